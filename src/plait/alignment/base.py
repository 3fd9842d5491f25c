"""What the towers hand to a loss and to the metrics: one unit vector a sample and modality."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from plait.types import LANGUAGE, VISION

ACTION = "action"
ALIGNED = (VISION, LANGUAGE, ACTION)
PAIRS = ((VISION, LANGUAGE), (VISION, ACTION), (LANGUAGE, ACTION))
# The six directions, in the order of the textbook's mean.
DIRECTIONS = tuple((a, b) for pair in PAIRS for a, b in (pair, pair[::-1]))


@dataclass(frozen=True)
class Embeddings:
    """A batch in the shared space.

    Attributes:
        values: By modality, vectors of length 1; what stands where a modality is absent means
            nothing.
        present: By modality, True where a sample has it.
        groups: The same number for samples that were given the same instruction.
    """

    values: Mapping[str, Float[Tensor, "batch width"]]
    present: Mapping[str, Bool[Tensor, " batch"]]
    groups: Int[Tensor, " batch"]


def pair_name(first: str, second: str) -> str:
    """Name a pair in options and logs: `vision-language`."""
    return f"{first}-{second}"
