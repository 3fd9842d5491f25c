"""Concatenation of pooled features: the baseline everyone writes.

Idea: average each modality's tokens, put the averages side by side, and let an MLP find the rest:

    z = MLP([mean(vision) ; mean(language) ; mean(proprio)])

Reference: Baltrušaitis et al., 2019, "Multimodal Machine Learning", §7 (joint representations).
Cost: one pass over the tokens and one small MLP, the cheapest of all.
When it loses: whenever *where* matters. An average over the image cannot say which colour was at
which place (binding), so it cannot point at the named object among several.
"""

from collections.abc import Mapping

import torch
from torch import nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP
from plait.masks import pooled_mean
from plait.types import Fused, Tokens, TokenSpec


class ConcatFusion(Fusion):
    """Masked mean of every modality, concatenated, through an MLP, as one token.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the fused token.
        hidden_dim: Hidden size of the MLP.
    """

    def __init__(
        self, specs: Mapping[str, TokenSpec], width: int, *, hidden_dim: int = 256
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.mlp = MLP(len(specs) * width, hidden_dim, width)

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return one token, real where at least one modality is present."""
        parts = self.project(tokens)
        pooled = [pooled_mean(part.values, part.mask) for part in parts.values()]
        present = torch.stack([part.mask.any(dim=1) for part in parts.values()], dim=1)
        fused = self.mlp(torch.cat(pooled, dim=-1)).unsqueeze(1)
        return Fused.single(Tokens(fused, present.any(dim=1, keepdim=True)))
