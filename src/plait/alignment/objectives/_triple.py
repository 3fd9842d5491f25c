"""What objectives of whole triples have in common: InfoNCE of the pairs beside their own loss."""

from abc import abstractmethod
from collections.abc import Mapping

from jaxtyping import Float, Int
from torch import Tensor

from plait.alignment.base import ALIGNED, Embeddings
from plait.alignment.objectives.base import (
    LogitScale,
    Objective,
    ObjectiveLoss,
    check_repeats,
)
from plait.alignment.objectives.info_nce import InfoNceObjective
from plait.errors import OptionError


class TripleObjective(Objective):
    """A loss over the samples that have all three modalities, plus six-direction InfoNCE.

    Args:
        pair_weight: Of InfoNCE beside it; 0 leaves it out.
        repeats: `mask` or `keep`; see `info_nce`.
        initial_scale: Scale of its own loss at the start.
    """

    def __init__(self, *, pair_weight: float, repeats: str, initial_scale: float) -> None:
        super().__init__()
        if pair_weight < 0:
            raise OptionError(f"the pair weight is {pair_weight}, but must be 0 or more")
        self.has_masked_repeats = check_repeats(repeats)
        self.scale = LogitScale(initial_scale)
        self.pair_weight = pair_weight
        self.pairs = InfoNceObjective(repeats=repeats, fused_weight=0.0) if pair_weight else None

    @abstractmethod
    def parts_of(
        self,
        values: Mapping[str, Float[Tensor, "batch width"]],
        groups: Int[Tensor, " batch"],
        scale: Float[Tensor, ""],
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the parts whose mean is the loss of some triples, of which there is at least one.

        Args:
            values: By modality, unit vectors.
            groups: The same number for samples that were given the same instruction.
            scale: The learned scale.
        """

    def forward(self, embeddings: Embeddings) -> ObjectiveLoss:
        """Return the loss over the samples that have all three, plus the pairs."""
        self.refuse_several_processes()
        present = self.present(embeddings, ALIGNED)
        values, groups = embeddings.values, embeddings.groups
        if present is not None:
            values, groups = {k: v[present] for k, v in values.items()}, groups[present]
        scale = self.scale()
        parts = self.parts_of(values, groups, scale) if len(groups) else {}
        total = sum(parts.values(), scale * 0.0) / max(len(parts), 1)
        if self.pairs is not None:
            pairwise = self.pairs(embeddings)
            total = total + self.pair_weight * pairwise.total
            parts |= pairwise.parts
        return ObjectiveLoss(total, {name: part.detach() for name, part in parts.items()})
