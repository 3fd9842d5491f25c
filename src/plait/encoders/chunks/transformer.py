"""A chunk of actions as one token a step, through a small transformer.

Idea: a single action says little about what is being done; the few that follow one another do.
Every step is embedded with its place in the chunk, and the steps see one another. When it loses:
chunks of one step, which have no order to read, and very few demonstrations.

Reference: Zhao et al., 2023 (ACT, whose variational encoder reads the chunk in this way).
"""

import torch
from torch import nn

from plait.config import DataSpec
from plait.encoders.chunks.base import ChunkEncoder
from plait.layers import Linear, SelfAttentionBlock
from plait.masks import masked_fill
from plait.types import ActionChunk, Tokens, TokenSpec


class TransformerChunkEncoder(ChunkEncoder):
    """Linear embedding of each normalised action with its place, then transformer blocks.

    Args:
        data: Size of an action.
        action_horizon: Steps of a chunk.
        width: Size of the token axis.
        num_layers: Transformer blocks.
        hidden_dim: Hidden size of their MLPs.
        num_heads: Attention heads; must divide `width`.
    """

    def __init__(
        self,
        data: DataSpec,
        action_horizon: int,
        width: int,
        *,
        num_layers: int = 2,
        hidden_dim: int = 96,
        num_heads: int = 4,
    ) -> None:
        nn.Module.__init__(self)
        self.token_spec = TokenSpec(width)
        self.embed = Linear(data.action_dim, width)
        # Large enough to be seen beside actions of unit size: the order is what makes a movement.
        self.position = nn.Parameter(torch.randn(action_horizon, width) * 0.5)
        self.blocks = nn.Sequential(
            *(SelfAttentionBlock(width, hidden_dim, num_heads) for _ in range(num_layers))
        )

    def forward(self, chunk: ActionChunk) -> Tokens:
        """Encode the real steps: `[batch, horizon, width]`."""
        real = chunk.mask.unsqueeze(-1).expand_as(chunk.actions)
        values = self.embed(masked_fill(chunk.actions, real)) + self.position
        tokens: Tokens = self.blocks(Tokens(values, chunk.mask))
        return tokens
