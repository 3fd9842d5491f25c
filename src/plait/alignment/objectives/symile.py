"""Symile: a multilinear product of three embeddings, with InfoNCE of the pairs beside it.

Idea: a bound on the total correlation of all three, which sees what no pair of them shows. When it
loses: retrieval between two modalities, and data where one of the three says little.

Reference: Saporta et al., 2024 (Symile).
"""

import math
from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor

from plait.alignment.base import ALIGNED
from plait.alignment.losses import symile
from plait.alignment.objectives._triple import TripleObjective


class SymileObjective(TripleObjective):
    """Symile's loss, plus InfoNCE.

    Args:
        pair_weight: Of six-direction InfoNCE beside it; 0 leaves it out.
        repeats: Of that InfoNCE: `mask` or `keep`.
        initial_scale: Scale of a product of unit vectors of width 1; it grows with √width.
    """

    def __init__(
        self, *, pair_weight: float = 0.0, repeats: str = "mask", initial_scale: float = 1 / 0.07
    ) -> None:
        super().__init__(pair_weight=pair_weight, repeats=repeats, initial_scale=initial_scale)

    def parts_of(
        self,
        values: Mapping[str, Float[Tensor, "batch width"]],
        groups: Int[Tensor, " batch"],  # noqa: ARG002
        scale: Float[Tensor, ""],
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the one loss there is."""
        x, y, z = (values[name] for name in ALIGNED)
        return {"multilinear": symile(x, y, z, scale * math.sqrt(x.shape[1]))}
