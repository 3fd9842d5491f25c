"""What was trained on LIBERO, from Plait's own scripted demonstrations of it.

`benchmarks/libero.py` runs it. Figures do not compare with those of policies that were trained on
LIBERO's teleoperated demonstrations.
"""

from collections.abc import Mapping

from plait.config import Component, PolicyConfig, TrainingConfig
from plait.recipes.base import Recipe

POLICY = PolicyConfig(
    fusion=Component(name="film", options={"num_blocks": 4, "hidden_dim": 256}),
    vision=Component(name="conv", options={"stem_channels": [64]}),
    head=Component(name="regression", options={"loss": "l1", "hidden_dim": 256, "num_queries": 32}),
    width=96,
    action_horizon=8,
)
TRAINING = TrainingConfig(
    num_steps=10_000,
    batch_size=128,
    learning_rate=1.5e-3,
    warmup_steps=300,
    image_shift=4,
    precision="bf16",
    ema_decay=0.999,
    validation_interval=500,
    checkpoint_interval=1000,
)


def _recipe(suite: str) -> Recipe:
    return Recipe(
        env=f"libero/{suite}",
        cameras=("image", "wrist"),
        image_size=96,
        policy=POLICY,
        training=TRAINING,
        execution_horizon=4,
    )


RECIPES: Mapping[str, Recipe] = {suite: _recipe(suite) for suite in ("object", "spatial")}
