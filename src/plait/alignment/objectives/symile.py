"""Symile: a multilinear product of three embeddings, with InfoNCE of the pairs beside it.

Idea: a bound on the total correlation of all three, which sees what no pair of them shows. When it
loses: retrieval between two modalities, and data where one of the three says little.

Reference: Saporta et al., 2024 (Symile).
"""

import math

import torch

from plait.alignment.base import ALIGNED, Embeddings
from plait.alignment.losses import symile
from plait.alignment.objectives.base import LogitScale, Objective, ObjectiveLoss
from plait.alignment.objectives.info_nce import InfoNceObjective
from plait.errors import OptionError


class SymileObjective(Objective):
    """Symile's loss, plus InfoNCE.

    Args:
        pair_weight: Of six-direction InfoNCE beside it; 0 leaves it out.
        repeats: Of that InfoNCE: `mask` or `keep`.
        initial_scale: Scale of a product of unit vectors of width 1; it grows with √width.
    """

    def __init__(
        self, *, pair_weight: float = 0.0, repeats: str = "mask", initial_scale: float = 1 / 0.07
    ) -> None:
        super().__init__()
        if pair_weight < 0:
            raise OptionError(f"the pair weight is {pair_weight}, but must be 0 or more")
        self.scale = LogitScale(initial_scale)
        self.pair_weight = pair_weight
        self.pairs = InfoNceObjective(repeats=repeats, fused_weight=0.0) if pair_weight else None

    def forward(self, embeddings: Embeddings) -> ObjectiveLoss:
        """Return the loss over the samples that have all three, plus the pairs."""
        self.refuse_several_processes()
        present = self.present(embeddings, ALIGNED)
        values = [embeddings.values[name] for name in ALIGNED]
        values = values if present is None else [part[present] for part in values]
        scale = self.scale() * math.sqrt(values[0].shape[1])
        total = symile(values[0], values[1], values[2], scale) if len(values[0]) else scale * 0.0
        parts = {"multilinear": total.detach()}
        if self.pairs is not None:
            pairwise = self.pairs(embeddings)
            total = total + self.pair_weight * pairwise.total
            parts |= pairwise.parts
        return ObjectiveLoss(torch.as_tensor(total), parts)
