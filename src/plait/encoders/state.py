"""The robot's own state as one token a window step, through a small MLP.

Idea: proprioception has few numbers and no structure worth more. When it loses: long histories,
where a sequence model over the window would do better.
"""

import torch
from torch import nn

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level
from plait.layers import MLP, Linear
from plait.masks import masked_fill
from plait.types import PROPRIO, Observation, Tokens, TokenSpec


class StateEncoder(Encoder):
    """Linear embedding of the normalised state, then an MLP with a residual.

    Args:
        data: Size of the state and the window.
        width: Size of the token axis.
        level: `stem` or `features`.
        hidden_dim: Hidden size of the trunk's MLP.
    """

    modality = PROPRIO

    def __init__(self, data: DataSpec, width: int, level: Level, *, hidden_dim: int = 64) -> None:
        nn.Module.__init__(self)
        self.token_spec = TokenSpec(width)
        self.embed = Linear(data.proprio_dim, width)
        self.step_embedding = nn.Parameter(torch.randn(data.observation_window, width) * 0.02)
        self.trunk = MLP(width, hidden_dim, width) if level == "features" else None

    def forward(self, observation: Observation) -> Tokens:
        """Encode the normalised state: `[batch, window, width]`."""
        present = observation.modality_mask[PROPRIO][:, None, None].expand_as(observation.proprio)
        values = self.embed(masked_fill(observation.proprio, present)) + self.step_embedding
        if self.trunk is not None:
            values = values + self.trunk(values)
        return Tokens(values, present[..., 0])
