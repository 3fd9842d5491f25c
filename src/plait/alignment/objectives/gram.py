"""GRAM: the volume that three embeddings span, with InfoNCE of the pairs beside it.

Idea: three vectors that mean the same span no volume, so one number judges the triple. When it
loses: retrieval between two modalities, which it does not see; `pair_weight` adds InfoNCE for that.

Reference: Cicchetti et al., 2025 (GRAM).
"""

import torch

from plait.alignment.base import ALIGNED, Embeddings
from plait.alignment.losses import gram
from plait.alignment.objectives.base import (
    LogitScale,
    Objective,
    ObjectiveLoss,
    check_repeats,
)
from plait.alignment.objectives.info_nce import InfoNceObjective
from plait.errors import OptionError
from plait.types import LANGUAGE


class GramObjective(Objective):
    """Cross-entropy over volumes with every modality as the anchor in turn, plus InfoNCE.

    Args:
        pair_weight: Of six-direction InfoNCE beside the volumes; 0 leaves it out.
        repeats: `mask` or `keep`; see `info_nce`. Masked where the anchor is language.
        initial_scale: Scale of the volumes at the start.
    """

    def __init__(
        self, *, pair_weight: float = 1.0, repeats: str = "mask", initial_scale: float = 1 / 0.07
    ) -> None:
        super().__init__()
        if pair_weight < 0:
            raise OptionError(f"the pair weight is {pair_weight}, but must be 0 or more")
        self.has_masked_repeats = check_repeats(repeats)
        self.scale = LogitScale(initial_scale)
        self.pair_weight = pair_weight
        self.pairs = InfoNceObjective(repeats=repeats, fused_weight=0.0) if pair_weight else None

    def forward(self, embeddings: Embeddings) -> ObjectiveLoss:
        """Return the mean over the anchors, plus the pairs; a sample must have all three."""
        self.refuse_several_processes()
        present = self.present(embeddings, ALIGNED)
        values = {k: v if present is None else v[present] for k, v in embeddings.values.items()}
        groups = embeddings.groups if present is None else embeddings.groups[present]
        parts = {}
        scale = self.scale()
        if len(groups):
            for anchor in ALIGNED:
                first, second = (values[name] for name in ALIGNED if name != anchor)
                # An instruction fits every frame and action it was given for, and those alone.
                is_masked = self.has_masked_repeats and anchor == LANGUAGE
                masked = groups if is_masked else None
                loss = gram(values[anchor], first, second, scale, groups=masked)
                parts[f"volume, {anchor}"] = loss
        total = torch.stack(list(parts.values())).mean() if parts else scale * 0.0
        if self.pairs is not None:
            pairwise = self.pairs(embeddings)
            total = total + self.pair_weight * pairwise.total
            parts |= pairwise.parts
        return ObjectiveLoss(total, {name: part.detach() for name, part in parts.items()})
