"""Joint transformer: self-attention over all encoded tokens, read out by learned tokens.

Idea: each modality is encoded first; then words, patches, state and a few learned readout tokens
attend to one another in one sequence. Readouts read everything and are read by nothing:

    [·, z] = Transformer([vision ; language ; proprio], readouts → all, all ↛ readouts)

Reference: Octo (Ghosh et al., 2024), block-wise attention with readout tokens.
Cost: attention quadratic in all tokens; the most general weave and the dearest.
When it loses: with little data or little time; it must learn what other strategies have built in.
"""

from collections.abc import Mapping

import torch
from torch import nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, Attention, SelfAttentionBlock
from plait.types import Fused, Tokens, TokenSpec


class ReadoutBlock(nn.Module):
    """Readout tokens attend over the sequence and over nothing else."""

    def __init__(self, width: int, hidden_dim: int, num_heads: int) -> None:
        super().__init__()
        self.readout_norm = nn.LayerNorm(width)
        self.sequence_norm = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden_dim, width)

    def forward(self, readouts: Tokens, sequence: Tokens) -> Tokens:
        """Update the readouts from the real tokens of the sequence."""
        keys = self.sequence_norm(sequence.values)
        read = self.attention(self.readout_norm(readouts.values), keys, sequence.mask)
        values = readouts.values + read
        return readouts.with_values(values + self.mlp(self.mlp_norm(values)))


class TransformerFusion(Fusion):
    """Self-attention over all modalities' features with readout tokens.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of the blocks' MLPs.
        num_layers: Blocks over the sequence, each followed by a readout.
        num_heads: Attention heads.
        num_readouts: Learned tokens that the head reads.
    """

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 128,
        num_layers: int = 2,
        num_heads: int = 2,
        num_readouts: int = 4,
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.readouts = nn.Parameter(torch.randn(1, num_readouts, width) * 0.02)
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(width, hidden_dim, num_heads) for _ in range(num_layers)
        )
        self.readout_blocks = nn.ModuleList(
            ReadoutBlock(width, hidden_dim, num_heads) for _ in range(num_layers)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return the readout tokens, real where any token is."""
        sequence = Tokens.concatenate(list(self.project(tokens).values()))
        is_any = sequence.mask.any(dim=1, keepdim=True)
        values = self.readouts.expand(len(sequence.values), -1, -1)
        readouts = Tokens(values, is_any.expand(values.shape[:2]))
        for block, readout_block in zip(self.blocks, self.readout_blocks, strict=True):
            sequence = block(sequence)
            readouts = readout_block(readouts, sequence)
        return Fused.single(readouts)
