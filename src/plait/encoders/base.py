"""The contract of an encoder: one raw modality in, tokens out.

An encoder has two levels. Its *stem* is a cheap embedding of the raw input (patches, words); its
*features* come after the unimodal trunk. A fusion says which level it reads, and only that much of
the encoder is built.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from plait.config import DataSpec
from plait.types import LANGUAGE, VISION, Observation, Tokens, TokenSpec

Level = Literal["stem", "features"]


class Encoder(nn.Module, ABC):
    """Base of every encoder.

    A subclass takes `(data: DataSpec, width: int, level: Level, *, ...options)`; its options are
    keyword-only with defaults. Where the modality is absent all its token masks are False.

    Attributes:
        modality: The one modality it reads.
        token_spec: What it produces at the level it was built for.
    """

    modality: ClassVar[str]
    token_spec: TokenSpec

    @abstractmethod
    def __init__(self, data: DataSpec, width: int, level: Level) -> None:
        """Build the encoder up to `level`, for inputs as `data` describes them."""
        super().__init__()

    @abstractmethod
    def forward(self, observation: Observation) -> Tokens:
        """Encode the modality; masked where it is absent."""

    def save_files(self, folder: Path) -> None:
        """Write what a saved policy must keep beside its weights, such as a tokenizer: nothing."""
        del folder


def present_instructions(observation: Observation) -> tuple[str, ...]:
    """Return the instructions, empty where absent: those may be too long or hold unknown words."""
    present = observation.modality_mask[LANGUAGE].tolist()
    pairs = zip(observation.instruction, present, strict=True)
    return tuple(text if is_present else "" for text, is_present in pairs)


def scaled_views(
    observation: Observation, cameras: tuple[str, ...], dtype: torch.dtype
) -> Float[Tensor, "batch_views 3 height width_px"]:
    """Return the images of all cameras and window steps, camera by camera, from -2 to 2."""
    views = torch.stack([observation.images[camera] for camera in cameras], dim=1)
    if torch.is_autocast_enabled(views.device.type):
        # Half precision holds every one of 256 levels.
        dtype = torch.get_autocast_dtype(views.device.type)
    return views.flatten(0, 2).to(dtype) / 64 - 2


def view_mask(
    observation: Observation, cameras: tuple[str, ...], spec: TokenSpec
) -> Bool[Tensor, "batch tokens"]:
    """Return which image tokens are real: those of cameras that are there, if vision is."""
    present = observation.modality_mask[VISION]
    per_camera = torch.stack([observation.camera_mask[c] & present for c in cameras], dim=1)
    rows, columns = spec.grid or (1, 1)
    return per_camera.repeat_interleave(spec.num_views // len(cameras) * rows * columns, dim=1)
