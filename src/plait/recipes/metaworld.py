"""What was trained for the figures on Meta-World; `benchmarks/metaworld.py` runs it.

Everything was chosen on validation episodes and on scenes from `VALIDATION_SEED` on. The scenes of
the final evaluation, from `FINAL_SEED` on, were played once, at the end.
`docs/log.md` tells what else was tried, and what failed.
"""

from collections.abc import Mapping
from dataclasses import replace

from plait.recipes.base import POLICY, TRAINING, Recipe

# The whole scene, and what is around the hand three times as fine: without the second, things of a
# few pixels are not found.
CAMERAS = ("corner2", "corner2_hand")
MT50 = Recipe(
    env="metaworld/MT50",
    num_demonstrations=2500,
    noise=0.3,
    cameras=CAMERAS,
    image_size=80,
    policy=POLICY,
    training=TRAINING,
    execution_horizon=2,
)
MT10 = replace(
    MT50,
    env="metaworld/MT10",
    num_demonstrations=500,
    training=replace(TRAINING, num_steps=10_000),
)
RECIPES: Mapping[str, Recipe] = {"MT10": MT10, "MT50": MT50}
