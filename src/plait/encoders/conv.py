"""A small convolutional image encoder trained from scratch.

Idea: the stem cuts each view into patches of 4 pixels, joins neighbouring ones by overlapping
convolutions of stride 2, and gives a grid of embeddings that carry their position and their camera;
the trunk is a few residual 3×3 convolutions on that grid. Cutting first keeps the arithmetic small
enough for a CPU: overlapping convolutions at full resolution cost twice as much and gained nothing.
When it loses: photographs, where pretrained features win.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level, scaled_views, view_mask
from plait.errors import OptionError
from plait.layers import ResidualConv, grid_to_tokens, sinusoidal_grid, tokens_to_grid
from plait.types import VISION, Observation, Tokens, TokenSpec

# Pixels a side of what the stem's first layer looks at, by default.
CELL = 4


class ConvEncoder(Encoder):
    """Strided convolutional stem and a residual trunk over patch tokens.

    Args:
        data: Cameras, image size and window.
        width: Size of the token axis.
        level: `stem` or `features`.
        stem_channels: Channels between the stem's layers. The first layer makes one cell of
            `cell`×`cell` pixels, every further one halves the grid, and the last makes tokens of
            size `width`.
        num_blocks: Residual convolutions of the trunk.
        cell: Pixels a side of what the first layer looks at; things of few pixels need 2.

    Raises:
        OptionError: If the image cannot be halved that often.
    """

    modality = VISION

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        stem_channels: Sequence[int] = (32,),
        num_blocks: int = 1,
        cell: int = CELL,
    ) -> None:
        nn.Module.__init__(self)
        patch_size = cell * 2 ** len(stem_channels)
        if data.image_size % patch_size:
            raise OptionError(
                f"{len(stem_channels)} stem channels make patches of {patch_size} pixels, which "
                f"do not divide the image size {data.image_size}"
            )
        side = data.image_size // patch_size
        num_views = len(data.cameras) * data.observation_window
        self.cameras = data.cameras
        self.token_spec = TokenSpec(width, (side, side), num_views)
        self.stem = _stem((3, *stem_channels, width), cell)
        # Without the norm, positions of unit size would drown what the young stem sees.
        self.norm = nn.GroupNorm(1, width)
        self.position = nn.Parameter(sinusoidal_grid(side, side, width))
        self.view_embedding = nn.Parameter(torch.randn(num_views, 1, width) * 0.02)
        trunk = [ResidualConv(width) for _ in range(num_blocks)] if level == "features" else []
        self.trunk = nn.ModuleList(trunk)

    def forward(self, observation: Observation) -> Tokens:
        """Encode every view: `[batch, views * rows * columns, width]`."""
        pixels = scaled_views(observation, self.cameras, self.position.dtype)
        grid = self.norm(self.stem(pixels.contiguous(memory_format=torch.channels_last)))
        tokens = Tokens(self._mark_position(grid), self._mask(observation))
        if len(self.trunk):
            grid = tokens_to_grid(tokens.values, self.token_spec)
            for block in self.trunk:
                grid = block(grid)
            # Convolutions blur the position, so it is marked again for whoever points at a place.
            tokens = tokens.with_values(self._mark_position(grid))
        return tokens

    def _mark_position(self, grid: torch.Tensor) -> torch.Tensor:
        num_views = self.token_spec.num_views
        values = grid_to_tokens(grid, num_views).unflatten(1, (num_views, -1))
        # Added in the values' own type, so that what is computed in half precision stays there.
        marks = (self.position + self.view_embedding).to(values.dtype)
        return (values + marks).flatten(1, 2)

    def _mask(self, observation: Observation) -> torch.Tensor:
        return view_mask(observation, self.cameras, self.token_spec)


def _stem(channels: tuple[int, ...], cell: int) -> nn.Sequential:
    """Cells of a few pixels, then overlapping 3×3 convolutions of stride 2."""
    layers: list[nn.Module] = [nn.Conv2d(channels[0], channels[1], cell, stride=cell)]
    for in_channels, out_channels in pairwise(channels[1:]):
        # Padding on both sides centres a token on its patch to a quarter of the patch.
        conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        layers += [nn.ReLU(), conv]
    return nn.Sequential(*layers)
