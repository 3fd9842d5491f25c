"""Low-rank tensor fusion: every patch is multiplied with the instruction and the state.

Idea: the outer product of all modalities holds every interaction between them; a tensor of low
rank reads it without ever building it. With v_p a patch, and l and s the pooled words and state:

    z_p = v_p + W [ (A v_p + a) ∘ (B l + b) ∘ (C s + c) ]

A, B and C are the factors of a tensor of rank R in canonical form, W its last factor. The biases
start at 1, so interactions of lower order, and modalities alone, are in it too; a modality that is
absent leaves its bias. Multiplying patch by patch keeps *where* a product is large, which the
original, over pooled vectors, loses.

Reference: Liu et al., 2018 (LMF); Zadeh et al., 2017 (the full tensor).
Cost: linear in the patches, no attention; about that of an MLP over the patches.
When it loses: when an instruction names several things, since the words are summed before they meet
a patch; and numerically, where products of three factors grow or vanish.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from plait.fusion.base import Fusion, Projections
from plait.layers import Linear
from plait.masks import masked_fill, pooled_root_sum
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION, Fused, Tokens, TokenSpec


class LowRankTensorFusion(Fusion):
    """A multiplicative layer over patches, words and state.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Rank of the tensor.
    """

    def __init__(
        self, specs: Mapping[str, TokenSpec], width: int, *, hidden_dim: int = 256
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in MODALITIES})
        factors = {name: Linear(width, hidden_dim) for name in MODALITIES}
        for factor in factors.values():
            nn.init.ones_(factor.bias)
        self.factors = nn.ModuleDict(factors)
        self.readout = Linear(hidden_dim, width)
        # A product of factors that are 1 + noise of size 1 each has a second moment of 2 a factor.
        self.scale = 1 / math.sqrt(2 ** len(MODALITIES))

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return the patches, and one token for the command alone."""
        parts = self.project(tokens)
        vision = parts[VISION]
        command = self._pooled(LANGUAGE, parts) * self._pooled(PROPRIO, parts)
        seen = self.factors[VISION](self.norms[VISION](vision.values))
        values = vision.values + self.readout(self.scale * seen * command.unsqueeze(1))
        # Without a picture the command is still there: vision's own factor is then 1.
        alone = self.readout(self.scale * command).unsqueeze(1)
        told = torch.cat([parts[LANGUAGE].mask, parts[PROPRIO].mask], dim=1)
        is_told = told.any(dim=1, keepdim=True)
        alone = masked_fill(alone, is_told.unsqueeze(-1).expand_as(alone))
        return Fused.single(
            Tokens.concatenate([vision.with_values(values), Tokens(alone, is_told)])
        )

    def _pooled(self, name: str, parts: Mapping[str, Tokens]) -> Tensor:
        """Return the factor of a modality's tokens together: `[batch, rank]`, 1 if absent."""
        part = parts[name]
        return self.factors[name](pooled_root_sum(self.norms[name](part.values), part.mask))
