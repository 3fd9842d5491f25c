"""GRAM: the volume that three embeddings span, with InfoNCE of the pairs beside it.

Idea: three vectors that mean the same span no volume, so one number judges the triple. When it
loses: retrieval between two modalities, which it does not see; `pair_weight` adds InfoNCE for that.

Reference: Cicchetti et al., 2025 (GRAM).
"""

from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor

from plait.alignment.base import ALIGNED
from plait.alignment.losses import gram
from plait.alignment.objectives._triple import TripleObjective
from plait.types import LANGUAGE


class GramObjective(TripleObjective):
    """Cross-entropy over volumes with every modality as the anchor in turn, plus InfoNCE.

    Args:
        pair_weight: Of six-direction InfoNCE beside the volumes; 0 leaves it out.
        repeats: `mask` or `keep`; see `info_nce`. Masked where the anchor is language.
        initial_scale: Scale of the volumes at the start.
    """

    def __init__(
        self, *, pair_weight: float = 1.0, repeats: str = "mask", initial_scale: float = 1 / 0.07
    ) -> None:
        super().__init__(pair_weight=pair_weight, repeats=repeats, initial_scale=initial_scale)

    def parts_of(
        self,
        values: Mapping[str, Float[Tensor, "batch width"]],
        groups: Int[Tensor, " batch"],
        scale: Float[Tensor, ""],
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the loss of every anchor."""
        parts = {}
        for anchor in ALIGNED:
            first, second = (values[name] for name in ALIGNED if name != anchor)
            # An instruction fits every frame and action it was given for, and those alone.
            is_masked = self.has_masked_repeats and anchor == LANGUAGE
            masked = groups if is_masked else None
            parts[f"volume, {anchor}"] = gram(values[anchor], first, second, scale, groups=masked)
        return parts
