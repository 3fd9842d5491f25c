"""FiLM: language and state scale and shift the vision trunk at every block.

Idea: the instruction decides what the eyes look for. The pooled words and state give, for every
block of the vision trunk, a scale γ and a shift β per channel:

    x ← x + silu((1 + γ) · conv(norm(x)) + β),   (γ, β) = Σ_t MLP(t) / √T,   t of T words and states

Reference: Perez et al., 2018 (FiLM); BC-Z (Jang et al., 2022) and RT-1 (Brohan et al., 2022) weave
language into vision in this way. γ is predicted as an offset from 1.
Cost: the vision trunk itself plus one small MLP: no attention at all.
When it loses: when one vector cannot carry the instruction (several objects, relations between
them), or when there is no image to modulate.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, ResidualConv, grid_to_tokens, sinusoidal_grid, tokens_to_grid
from plait.masks import is_all_real, masked_fill, pooled_root_sum
from plait.types import LANGUAGE, PROPRIO, VISION, Fused, Tokens, TokenSpec


class FiLMFusion(Fusion):
    """A convolutional vision trunk modulated by language and proprioception.

    Args:
        specs: What each modality's tokens look like; vision must have a grid.
        width: Size of the tokens.
        hidden_dim: Hidden size of the MLP that turns the condition into γ and β.
        num_blocks: Modulated residual convolutions.

    Raises:
        ValueError: If the vision tokens have no grid to convolve over.
    """

    level: ClassVar[Mapping[str, str]] = {VISION: "stem", LANGUAGE: "features", PROPRIO: "features"}

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 128,
        num_blocks: int = 2,
    ) -> None:
        nn.Module.__init__(self)
        grid = specs[VISION].grid
        if grid is None:
            raise ValueError("film modulates feature maps, but the vision tokens have no grid")
        self.project = Projections(specs, width)
        self.vision_spec = specs[VISION]
        self.blocks = nn.ModuleList(ResidualConv(width) for _ in range(num_blocks))
        self.condition = MLP(width, hidden_dim, 2 * width * num_blocks)
        self.position = nn.Parameter(sinusoidal_grid(*grid, width))

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return the modulated vision tokens followed by the words and the state."""
        parts = self.project(tokens)
        vision, language, proprio = parts[VISION], parts[LANGUAGE], parts[PROPRIO]
        command = Tokens.concatenate([language, proprio])
        gates = self._gates(command).unflatten(-1, (len(self.blocks), 2, -1))
        num_views = self.vision_spec.num_views
        gates = gates.repeat_interleave(num_views, dim=0)
        grid = tokens_to_grid(vision.values, self.vision_spec)
        for index, block in enumerate(self.blocks):
            grid = block(grid, scale=gates[:, index, 0], shift=gates[:, index, 1])
        # Convolutions blur the position marked by the stem, so it is marked again for the head.
        values = grid_to_tokens(grid, num_views)
        values = values + self.position.repeat(num_views, 1).to(values.dtype)
        if not is_all_real(vision.mask):
            values = masked_fill(values, vision.mask.unsqueeze(-1).expand_as(values))
        return Fused.single(Tokens.concatenate([vision.with_values(values), language, proprio]))

    def _gates(self, command: Tokens) -> Float[Tensor, "batch gates"]:
        """Return `Σ_t MLP(t) / √T`; the MLP's last layer is linear, so it is applied once."""
        hidden = F.silu(self.condition.expand(command.values))
        pooled = pooled_root_sum(hidden, command.mask)
        count = command.mask.sum(dim=1, keepdim=True).to(pooled.dtype)
        last = self.condition.contract
        return F.linear(pooled, last.weight) + count.sqrt() * last.bias.to(pooled.dtype)
