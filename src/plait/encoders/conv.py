"""A small convolutional image encoder trained from scratch.

Idea: a strided stem turns each view into a grid of patch embeddings that carry their position and
their camera; the trunk is a few residual 3×3 convolutions on that grid. The stem's stride keeps
the arithmetic small enough for a CPU. When it loses: photographs, where pretrained features win.
"""

import torch
import torch.nn.functional as F
from torch import nn

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level
from plait.errors import OptionError
from plait.layers import ResidualConv, grid_to_tokens, sinusoidal_grid, tokens_to_grid
from plait.types import VISION, Observation, Tokens, TokenSpec


class ConvEncoder(Encoder):
    """Strided convolutional stem and a residual trunk over patch tokens.

    Args:
        data: Cameras, image size and window.
        width: Size of the token axis.
        level: `stem` or `features`.
        stem_channels: Channels of the first convolution.
        patch_size: Pixels a token spans along each axis; a multiple of 4.
        num_blocks: Residual convolutions of the trunk.

    Raises:
        OptionError: If the image size is not a multiple of `patch_size`.
    """

    modality = VISION

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        stem_channels: int = 32,
        patch_size: int = 8,
        num_blocks: int = 2,
    ) -> None:
        nn.Module.__init__(self)
        if patch_size % 4 or data.image_size % patch_size:
            raise OptionError(
                f"patch_size {patch_size} must be a multiple of 4 and divide the image size "
                f"{data.image_size}"
            )
        side = data.image_size // patch_size
        num_views = len(data.cameras) * data.observation_window
        self.cameras = data.cameras
        self.token_spec = TokenSpec(width, (side, side), num_views)
        self.patchify = nn.Conv2d(3, stem_channels, 4, stride=4)
        self.embed = nn.Conv2d(stem_channels, width, 3, stride=patch_size // 4, padding=1)
        self.position = nn.Parameter(sinusoidal_grid(side, side, width))
        self.view_embedding = nn.Parameter(torch.randn(num_views, 1, width) * 0.02)
        trunk = [ResidualConv(width) for _ in range(num_blocks)] if level == "features" else []
        self.trunk = nn.ModuleList(trunk)

    def forward(self, observation: Observation) -> Tokens:
        """Encode every view: `[batch, views * rows * columns, width]`."""
        views = torch.stack([observation.images[camera] for camera in self.cameras], dim=1)
        pixels = views.flatten(0, 2).to(self.patchify.weight.dtype) / 64 - 2
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        grid = self.embed(F.gelu(self.patchify(pixels)))
        tokens = Tokens(self._mark_position(grid), self._mask(observation))
        if len(self.trunk):
            grid = tokens_to_grid(tokens.values, self.token_spec)
            for block in self.trunk:
                grid = block(grid)
            tokens = tokens.with_values(grid_to_tokens(grid, self.token_spec.num_views))
        return tokens

    def _mark_position(self, grid: torch.Tensor) -> torch.Tensor:
        num_views = self.token_spec.num_views
        values = grid_to_tokens(grid, num_views).unflatten(1, (num_views, -1))
        return (values + self.position + self.view_embedding).flatten(1, 2)

    def _mask(self, observation: Observation) -> torch.Tensor:
        present = observation.modality_mask[VISION]
        per_camera = torch.stack([observation.camera_mask[c] & present for c in self.cameras], 1)
        return per_camera.repeat_interleave(self._tokens_per_camera(), dim=1)

    def _tokens_per_camera(self) -> int:
        rows, columns = self.token_spec.grid or (1, 1)
        return self.token_spec.num_views // len(self.cameras) * rows * columns
