"""What encoders over pretrained backbones share. Not a strategy, hence the underscore.

A frozen backbone gives the same tokens for the same input every time, so its tokens can come from
elsewhere: a camera's from `Observation.features`, an instruction's from the encoder's own memory.
"""

from abc import abstractmethod
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

from plait.backbones.text import TransformersText
from plait.backbones.tuning import FROZEN
from plait.backbones.vision import VisionBackbone
from plait.config import DataSpec
from plait.encoders.base import Encoder, Level, present_instructions, view_mask
from plait.masks import lengths_to_mask, masked_fill
from plait.types import LANGUAGE, VISION, Observation, Tokens, TokenSpec

# Instructions remembered before the memory starts anew: typing errors never end.
MAX_REMEMBERED = 4096


class PretrainedEncoder(Encoder):
    """What encoders of either modality share.

    Attributes:
        backbone: Maps raw inputs to tokens.
        is_frozen: Whether the backbone stays as it is.
    """

    backbone: VisionBackbone | TransformersText
    is_frozen: bool

    def train(self, mode: bool = True) -> "PretrainedEncoder":  # noqa: FBT001, FBT002
        """Leave the backbone in evaluation mode: no dropout, statistics as pretrained."""
        super().train(mode)
        self.backbone.eval()
        return self

    def save_files(self, folder: Path) -> None:
        """Write what it takes to build the backbone again."""
        self.backbone.save_files(folder)

    def _backbone_gradients(self) -> torch.set_grad_enabled:
        """Build no graph inside a backbone that is frozen."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen)


class PretrainedVisionEncoder(PretrainedEncoder):
    """A vision backbone, then a norm and an embedding of the view, which are always trained."""

    modality = VISION
    backbone: VisionBackbone

    def _set_up(self, data: DataSpec, backbone: VisionBackbone, tuning: str) -> None:
        self.backbone = backbone
        self.is_frozen = tuning == FROZEN
        self.cameras = data.cameras
        num_views = len(data.cameras) * data.observation_window
        self.token_spec = TokenSpec(backbone.width, backbone.grid, num_views)
        self.norm = nn.LayerNorm(backbone.width)
        self.view_embedding = nn.Parameter(torch.randn(num_views, 1, backbone.width) * 0.02)

    def forward(self, observation: Observation) -> Tokens:
        """Encode every view: `[batch, views * rows * columns, width]`."""
        views = torch.cat([self._views(observation, camera) for camera in self.cameras], dim=1)
        values = self.norm(views.to(self.norm.weight.dtype)) + self.view_embedding
        mask = view_mask(observation, self.cameras, self.token_spec)
        return Tokens(values.flatten(1, 2), mask)

    def _views(
        self, observation: Observation, camera: str
    ) -> Float[Tensor, "batch window tokens width"]:
        if self.is_frozen and camera in observation.features:
            return observation.features[camera]
        images = observation.images[camera]
        return self.encode_images(images.flatten(0, 1)).unflatten(0, images.shape[:2])

    def encode_images(
        self, images: UInt8[Tensor, "images 3 height width_px"]
    ) -> Float[Tensor, "images tokens width"]:
        """Run the backbone, without a graph where it is frozen."""
        with self._backbone_gradients():
            return self.backbone(images)


class PretrainedTextEncoder(PretrainedEncoder):
    """A text backbone, then a norm, which is always trained.

    Every distinct instruction is encoded once while the backbone is frozen.

    Args:
        data: Not used: the tokenizer is the model's own.
        width: Not used: tokens have the model's width, and the fusion projects them.
        level: `stem` reads the tokens after `stem_layers` blocks, `features` after the last.
        model: Folder that `save_pretrained` wrote, tokenizer included, or a hub id.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.
        stem_layers: Blocks of the stem; all where None, since what a pretrained model has learned
            is in its depth.
    """

    modality = LANGUAGE
    backbone: TransformersText

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        model: str = "",
        tuning: str = FROZEN,
        rank: int = 8,
        stem_layers: int | None = None,
    ) -> None:
        nn.Module.__init__(self)
        del data, width
        num_layers = stem_layers if level == "stem" else None
        self.backbone = TransformersText(self.find_model(model), num_layers, tuning, rank)
        self.is_frozen = tuning == FROZEN
        self.token_spec = TokenSpec(self.backbone.width)
        self.norm = nn.LayerNorm(self.backbone.width)
        self._memory = InstructionMemory()
        self.register_load_state_dict_post_hook(_forget_if_other_weights)

    @staticmethod
    @abstractmethod
    def find_model(model: str) -> str:
        """Return the folder or hub id for what the option `model` says."""

    def forward(self, observation: Observation) -> Tokens:
        """Encode the instructions: `[batch, tokens, width]`, tokens up to the longest one."""
        present = observation.modality_mask[LANGUAGE]
        tokens = self._encode_distinct(present_instructions(observation))
        mask = tokens.mask & present.unsqueeze(-1)
        values = self.norm(tokens.values.to(self.norm.weight.dtype))
        return Tokens(masked_fill(values, mask.unsqueeze(-1).expand_as(values)), mask)

    def encode_texts(self, texts: tuple[str, ...]) -> Tokens:
        """Run the backbone, without a graph where it is frozen."""
        with self._backbone_gradients():
            return self.backbone(texts)

    def remember(self, texts: tuple[str, ...], tokens: Tokens) -> None:
        """Take the frozen backbone's tokens of some instructions from elsewhere."""
        self._memory.add(texts, tokens)

    def forget(self) -> None:
        """Encode every instruction anew when it comes again."""
        self._memory.clear()

    def _encode_distinct(self, texts: tuple[str, ...]) -> Tokens:
        distinct = tuple(dict.fromkeys(texts))
        if not self.is_frozen:
            tokens = self.encode_texts(distinct)
            place = {text: index for index, text in enumerate(distinct)}
            rows = [place[text] for text in texts]
            return Tokens(tokens.values[rows], tokens.mask[rows])
        new = tuple(text for text in distinct if text not in self._memory)
        if new:
            self._memory.add(new, self.encode_texts(new))
        return self._memory.look_up(texts, self.norm.weight.device)


def _forget_if_other_weights(encoder: PretrainedTextEncoder, keys: _IncompatibleKeys) -> None:
    """Other weights have other tokens; a training's checkpoint leaves frozen ones as they are."""
    if not any("backbone." in key for key in keys.missing_keys):
        encoder.forget()


class InstructionMemory:
    """Tokens of instructions that were encoded before: derived, so not part of any state."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._row: dict[str, int] = {}
        self._values = torch.zeros(0, 0, 0)
        self._lengths = torch.zeros(0, dtype=torch.int64)

    def __contains__(self, text: str) -> bool:
        return text in self._row

    def add(self, texts: tuple[str, ...], tokens: Tokens) -> None:
        """Remember the tokens of texts that are not known yet."""
        values = tokens.values.detach()
        if not self._row:
            self._values = values[:0]
        size = max(values.shape[1], self._values.shape[1])
        old, new = (
            nn.functional.pad(part, (0, 0, 0, size - part.shape[1])).to(values)
            for part in (self._values, values)
        )
        self._row.update({text: len(old) + index for index, text in enumerate(texts)})
        self._values = torch.cat([old, new])
        self._lengths = torch.cat([self._lengths, tokens.mask.sum(1).cpu()])

    def look_up(self, texts: tuple[str, ...], device: torch.device) -> Tokens:
        """Return the tokens of known texts, padded to the longest of them."""
        rows = [self._row[text] for text in texts]
        lengths = self._lengths[rows]
        longest = max(int(lengths.max()), 1)
        mask = lengths_to_mask(lengths, longest)
        found = Tokens(self._values[rows, :longest].to(device), mask.to(device))
        if len(self._row) > MAX_REMEMBERED:
            self.clear()
        return found
