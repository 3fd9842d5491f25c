"""Mixture of transformers: one expert a modality in every layer, attention shared by all.

Idea: words, patches and states have little in common as vectors, but must see one another. Every
token passes the norms and the MLP of its own modality; all tokens meet in one attention:

    X ← X + Attention(norm_m(x) for all m),   x ← x + MLP_m(norm_m(x)) for x of modality m

Reference: Liang et al., 2024 (Mixture-of-Transformers); π0 (Black et al., 2024) weaves a vision-
language model and an action expert in this way.
Cost: that of joint self-attention; more parameters at the same arithmetic, since every token uses
only its own modality's expert.
When it loses: with equal parameters each expert is thinner than the one MLP of `transformer`.
"""

from collections.abc import Mapping

from torch import nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, Attention
from plait.types import VISION, Fused, Tokens, TokenSpec


class MixtureBlock(nn.Module):
    """Shared attention, then each modality's own MLP."""

    def __init__(self, hidden_dims: Mapping[str, int], width: int, num_heads: int) -> None:
        super().__init__()
        self.attention_norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in hidden_dims})
        self.attention = Attention(width, num_heads)
        self.mlp_norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in hidden_dims})
        self.mlps = nn.ModuleDict(
            {name: MLP(width, hidden_dim, width) for name, hidden_dim in hidden_dims.items()}
        )

    def forward(self, streams: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """Let all real tokens meet, then transform each modality by itself."""
        normed = Tokens.concatenate(
            [part.with_values(self.attention_norms[k](part.values)) for k, part in streams.items()]
        )
        met = self.attention(normed.values, normed.values, normed.mask)
        sizes = [part.mask.shape[1] for part in streams.values()]
        mixed = {}
        for (name, part), read in zip(streams.items(), met.split(sizes, dim=1), strict=True):
            values = part.values + read
            values = values + self.mlps[name](self.mlp_norms[name](values))
            mixed[name] = part.with_values(values)
        return mixed


class MixtureFusion(Fusion):
    """A transformer with an expert a modality.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of vision's experts; the others' have half of it.
        num_layers: Blocks.
        num_heads: Attention heads.
    """

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 128,
        num_layers: int = 2,
        num_heads: int = 2,
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        hidden_dims = {
            name: hidden_dim if name == VISION else max(1, hidden_dim // 2) for name in specs
        }
        blocks = [MixtureBlock(hidden_dims, width, num_heads) for _ in range(num_layers)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return all tokens after the last block."""
        streams = self.project(tokens)
        for block in self.blocks:
            streams = block(streams)
        return Fused.single(Tokens.concatenate(list(streams.values())))
