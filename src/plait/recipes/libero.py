"""What was trained on LIBERO, from Plait's own scripted demonstrations of it.

`benchmarks/libero.py` runs it. Figures do not compare with those of policies that were trained on
LIBERO's teleoperated demonstrations.
"""

from collections.abc import Mapping
from dataclasses import replace

from plait.config import Component
from plait.recipes.base import POLICY, TRAINING, Recipe

# LIBERO-PRO says the same in words that no demonstration has: they are left out.
LANGUAGE = Component(name="words", options={"unknown": "mask"})
# "pick up the black bowl between the plate and the ramekin and place it ...": 19 words at most.
LONG_LANGUAGE = Component(name="words", options={"unknown": "mask", "max_words": 24})


def _recipe(suite: str, language: Component) -> Recipe:
    return Recipe(
        env=f"libero/{suite}",
        # Half of what LIBERO has of its own: pictures of its scenes are dear.
        num_demonstrations=250,
        noise=0.2,
        cameras=("image", "wrist"),
        image_size=96,
        policy=replace(POLICY, language=language),
        # The loss on held-out demonstrations of the object suite falls no further after 3,500.
        training=replace(TRAINING, num_steps=4000),
        execution_horizon=4,
    )


RECIPES: Mapping[str, Recipe] = {
    "object": _recipe("object", LANGUAGE),
    "spatial": _recipe("spatial", LONG_LANGUAGE),
}
