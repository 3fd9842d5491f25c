"""Bottleneck fusion: every modality keeps its own stream; a few latent tokens carry the exchange.

Idea: all that modalities tell one another must pass through B latents Z. Per layer and modality m,
and then over the modalities that are present:

    [X_m ; Z_m] ← Block_m([X_m ; Z]),   Z ← mean_m Z_m

Reference: Nagrani et al., 2021 (MBT, attention bottlenecks).
Cost: attention quadratic within a modality only, plus B tokens; cheaper than joint attention.
When it loses: when much must be exchanged at once, many words for many places, through few latents.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from plait.fusion.base import Fusion, Projections
from plait.layers import SelfAttentionBlock
from plait.masks import masked_mean
from plait.types import MODALITIES, Fused, Tokens, TokenSpec


class BottleneckFusion(Fusion):
    """Unimodal transformers that share a few latent tokens.

    The streams are the unimodal encoders, so they read the stems.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of the blocks' MLPs.
        num_layers: Blocks a modality; an exchange follows each.
        num_heads: Attention heads.
        num_latents: Latent tokens, the width of the bottleneck.
    """

    level = dict.fromkeys(MODALITIES, "stem")

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 96,
        num_layers: int = 2,
        num_heads: int = 2,
        num_latents: int = 8,
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.latents = nn.Parameter(torch.randn(1, num_latents, width))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {name: SelfAttentionBlock(width, hidden_dim, num_heads) for name in specs}
            )
            for _ in range(num_layers)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return the streams of all modalities, followed by the latents."""
        streams = self.project(tokens)
        # An absent modality still updates its copy of the latents; the mean leaves it out.
        present = torch.stack([part.mask.any(dim=1) for part in streams.values()], dim=1)
        values = self.latents.expand(len(present), -1, -1)
        latents = Tokens(values, present.any(dim=1, keepdim=True).expand(values.shape[:2]))
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)  # a ModuleList forgets what it holds
            copies: list[Tensor] = []
            for name in streams:
                mixed = layer[name](Tokens.concatenate([streams[name], latents]))
                num_own = streams[name].mask.shape[1]
                streams[name] = streams[name].with_values(mixed.values[:, :num_own])
                copies.append(mixed.values[:, num_own:])
            stacked = torch.stack(copies, dim=1)
            is_real = present[:, :, None, None].expand_as(stacked)
            latents = latents.with_values(masked_mean(stacked, is_real, dim=1))
        return Fused.single(Tokens.concatenate([*streams.values(), latents]))
