"""What was trained on LIBERO, from Plait's own scripted demonstrations of it.

`benchmarks/libero.py` runs it. Figures do not compare with those of policies that were trained on
LIBERO's teleoperated demonstrations.
"""

from collections.abc import Mapping
from dataclasses import replace

from plait.recipes.base import POLICY, TRAINING, Recipe


def _recipe(suite: str) -> Recipe:
    return Recipe(
        env=f"libero/{suite}",
        # Half of what LIBERO has of its own: pictures of its scenes are dear.
        num_demonstrations=250,
        noise=0.2,
        cameras=("image", "wrist"),
        image_size=96,
        policy=POLICY,
        training=replace(TRAINING, num_steps=6000),
        execution_horizon=4,
    )


RECIPES: Mapping[str, Recipe] = {suite: _recipe(suite) for suite in ("object", "spatial")}
