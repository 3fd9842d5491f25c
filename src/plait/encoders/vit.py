"""A small vision transformer trained from scratch.

Idea: the image is cut into patches, each patch is a token, and the trunk lets every patch see every
other. When it loses: with little data or arithmetic; that near pixels belong together, which a
convolution knows, it has to learn.

Reference: Dosovitskiy et al., 2021 (ViT); Beyer et al., 2022 (sine-cosine positions).
"""

import torch
from torch import nn

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level, scaled_views, view_mask
from plait.errors import OptionError
from plait.layers import SelfAttentionBlock, sinusoidal_grid
from plait.types import VISION, Observation, Tokens, TokenSpec


class ViTEncoder(Encoder):
    """Patch embedding with positions, then transformer blocks within each view.

    Args:
        data: Cameras, image size and window.
        width: Size of the token axis.
        level: `stem` or `features`.
        patch_size: Side of a patch in pixels; must divide the image's.
        num_layers: Transformer blocks of the trunk.
        hidden_dim: Hidden size of their MLPs.
        num_heads: Attention heads.

    Raises:
        OptionError: If the patches do not fill the image.
    """

    modality = VISION

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        patch_size: int = 8,
        num_layers: int = 2,
        hidden_dim: int = 96,
        num_heads: int = 4,
    ) -> None:
        nn.Module.__init__(self)
        if patch_size < 1 or data.image_size % patch_size:
            raise OptionError(
                f"patches of {patch_size} pixels do not fill an image of {data.image_size}"
            )
        side = data.image_size // patch_size
        self.cameras = data.cameras
        self.num_views = len(data.cameras) * data.observation_window
        self.token_spec = TokenSpec(width, (side, side), self.num_views)
        self.embed = nn.Conv2d(3, width, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(width)
        self.position = nn.Parameter(sinusoidal_grid(side, side, width))
        self.view_embedding = nn.Parameter(torch.randn(self.num_views, 1, width) * 0.02)
        num_layers = num_layers if level == "features" else 0
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(width, hidden_dim, num_heads) for _ in range(num_layers)
        )

    def forward(self, observation: Observation) -> Tokens:
        """Encode every view: `[batch, views * rows * columns, width]`."""
        pixels = scaled_views(observation, self.cameras, self.position.dtype)
        patches = self.norm(self.embed(pixels).flatten(2).transpose(1, 2)) + self.position
        # Every view by itself: a camera that is off must not be seen through another's patches.
        is_real = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        tokens = Tokens(patches, is_real)
        for block in self.blocks:
            tokens = block(tokens)
        by_view = tokens.values.unflatten(0, (-1, self.num_views)) + self.view_embedding
        return Tokens(by_view.flatten(1, 2), view_mask(observation, self.cameras, self.token_spec))
