"""What was trained for the figures on Meta-World; `benchmarks/metaworld.py` runs it.

Everything was chosen on validation episodes and on scenes from `VALIDATION_SEED` on. The scenes of
the final evaluation, from `FINAL_SEED` on, were played once, at the end.
`docs/log.md` tells what else was tried, and what failed.
"""

from collections.abc import Mapping
from dataclasses import replace

from plait.config import Component, PolicyConfig, TrainingConfig
from plait.recipes.base import Recipe

# The whole scene, and what is around the hand three times as fine: without the second, things of a
# few pixels are not found.
CAMERAS = ("corner2", "corner2_hand")
# Words and state scale and shift every layer of the trunk, on a grid fine enough to tell where a
# puck is; absolute error, because the experts' actions are mostly at a limit.
POLICY = PolicyConfig(
    fusion=Component(name="film", options={"num_blocks": 4, "hidden_dim": 256}),
    vision=Component(name="conv", options={"stem_channels": [64]}),
    head=Component(name="regression", options={"loss": "l1", "hidden_dim": 256, "num_queries": 32}),
    width=96,
    action_horizon=8,
)
# Shifted pictures: what holds in them is where things are relative to the hand, and not where they
# are in the picture (docs/log.md).
TRAINING = TrainingConfig(
    num_steps=20_000,
    batch_size=128,
    learning_rate=1.5e-3,
    warmup_steps=300,
    image_shift=4,
    precision="bf16",
    ema_decay=0.999,
    validation_interval=500,
    checkpoint_interval=1000,
)
MT50 = Recipe(
    env="metaworld/MT50",
    cameras=CAMERAS,
    image_size=80,
    policy=POLICY,
    training=TRAINING,
    execution_horizon=2,
)
MT10 = replace(MT50, env="metaworld/MT10", training=replace(TRAINING, num_steps=10_000))
RECIPES: Mapping[str, Recipe] = {"MT10": MT10, "MT50": MT50}
