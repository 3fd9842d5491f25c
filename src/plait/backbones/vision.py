"""Vision backbones: uint8 images to a grid of patch tokens, through transformers or timm."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from plait.backbones.loading import (
    CONFIG_FILE,
    check_folder,
    no_model,
    reads_weights,
    require_library,
)
from plait.backbones.transformers_models import build_model, load_config
from plait.backbones.tuning import apply_tuning, fingerprint
from plait.errors import DataError, OptionError

PREPROCESSOR_FILE = "preprocessor_config.json"
# Parameters that no patch token depends on: the head of the pooled embedding, masked-image tokens.
UNUSED = ("post_layernorm", "pooler", "head", "mask_token", "classifier")
UNUSED_BY_TIMM = ("fc_norm", "head", "head_drop", "attn_pool")
# Towers of models that read two modalities; all others are loaded by their own type.
VISION_TOWERS = {
    "clip": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip2": "Siglip2VisionModel",
}
# Types whose model cuts no patches itself and takes any number of them.
ANY_PATCHES = "siglip2"


class VisionBackbone(nn.Module, ABC):
    """A pretrained image model as a map from images to a grid of tokens.

    Attributes:
        width: Size of a token.
        grid: Rows and columns of the tokens.
        image_size: Pixels a side that the model was trained on; images are resized to it.
    """

    width: int
    grid: tuple[int, int]
    image_size: int
    mean: Tensor
    std: Tensor

    def _set_pixels(self, image_size: int, mean: Any, std: Any) -> None:
        self.image_size = image_size
        for name, values in (("mean", mean), ("std", std)):
            column = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    def forward(
        self, images: UInt8[Tensor, "images 3 height width_px"]
    ) -> Float[Tensor, "images tokens width"]:
        """Encode images of any size; the whole of each is resized, nothing is cropped."""
        pixels = images.to(self.mean.dtype)
        if images.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(0, 255)
        return self.encode((pixels / 255 - self.mean) / self.std)

    @abstractmethod
    def encode(
        self, pixels: Float[Tensor, "images 3 size size"]
    ) -> Float[Tensor, "images tokens width"]:
        """Encode normalised pixels of the model's own size."""

    @abstractmethod
    def save_files(self, folder: Path) -> None:
        """Write what it takes to build the model again, its weights aside."""

    def fingerprint(self) -> str:
        """Return a hash of the weights and of all that happens to an image before them."""
        return fingerprint(self, self.image_size, self.mean.tolist(), self.std.tolist())


class TransformersVision(VisionBackbone):
    """The vision tower of CLIP, SigLIP, SigLIP 2, DINOv2, DINOv3 or a ViT, through transformers.

    Args:
        model: Folder that `save_pretrained` wrote, or a hub id.
        num_layers: Transformer blocks to keep, from the first; all where None.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.

    Raises:
        PlaitError: If the model cannot be found, read or used for images.
    """

    def __init__(self, model: str, num_layers: int | None, tuning: str, rank: int) -> None:
        nn.Module.__init__(self)
        config = load_config(model)
        config = getattr(config, "vision_config", config)
        if not hasattr(config, "patch_size") or not isinstance(config.patch_size, int):
            raise OptionError(
                f"{model} is a model of type {config.model_type!r}, which has no image patches; "
                "expected CLIP, SigLIP, DINOv2, DINOv3 or a ViT"
            )
        if num_layers is not None:
            config.num_hidden_layers = num_layers
        if config.model_type.startswith("siglip"):
            config.vision_use_head = False
        family = config.model_type.removesuffix("_vision_model")
        self.model: Any = build_model(model, config, VISION_TOWERS.get(family, "AutoModel"), UNUSED)
        apply_tuning(self.model, tuning, rank, UNUSED)
        self._preprocessing = read_preprocessing(model)
        self._patch_size = config.patch_size
        self._takes_patches = family == ANY_PATCHES
        built_for = _built_for(config)
        size = _pixels_a_side(self._preprocessing, built_for)
        self._set_pixels(size, *_mean_and_std(model, self._preprocessing))
        # A model that is given another size than it was built for stretches its positions; DINO
        # does so unasked.
        stretches = size != built_for and not family.startswith("dino")
        self._options = {"interpolate_pos_encoding": True} if stretches else {}
        self.grid = (size // self._patch_size, size // self._patch_size)
        self.width = int(config.hidden_size)

    def encode(
        self, pixels: Float[Tensor, "images 3 size size"]
    ) -> Float[Tensor, "images tokens width"]:
        """Return the patch tokens; class and register tokens, which come first, are left out."""
        if self._takes_patches:
            return self._encode_patches(pixels)
        hidden: Tensor = self.model(pixel_values=pixels, **self._options).last_hidden_state
        return hidden[:, -self.grid[0] * self.grid[1] :]

    def _encode_patches(
        self, pixels: Float[Tensor, "images 3 size size"]
    ) -> Float[Tensor, "images tokens width"]:
        """Cut the patches for a model that expects them cut, row by row, colours last."""
        side = self._patch_size
        cut = pixels.unflatten(3, (-1, side)).unflatten(
            2, (-1, side)
        )  # [images 3 rows y columns x]
        patches = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        shape = torch.tensor(self.grid, device=pixels.device).expand(len(pixels), 2)
        hidden: Tensor = self.model(
            pixel_values=patches,
            pixel_attention_mask=torch.ones_like(patches[..., 0], dtype=torch.int64),
            spatial_shapes=shape,
        ).last_hidden_state
        return hidden

    def save_files(self, folder: Path) -> None:
        """Write the configuration of the model and of its preprocessing."""
        self.model.config.save_pretrained(folder)
        text = json.dumps(self._preprocessing, indent=2, sort_keys=True)
        (folder / PREPROCESSOR_FILE).write_text(text, encoding="utf-8")


class TimmVision(VisionBackbone):
    """A timm model: the feature map of its last block or stage.

    Args:
        model: Folder that `timm.models.save_for_hf` wrote, or a name that timm knows.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.

    Raises:
        PlaitError: If the model cannot be found, or gives no feature maps.
    """

    def __init__(self, model: str, tuning: str, rank: int) -> None:
        nn.Module.__init__(self)
        timm = require_library("timm", "timm")
        check_folder(model)
        is_folder = Path(model).expanduser().is_dir()
        name = f"local-dir:{Path(model).expanduser()}" if is_folder else model
        try:
            # With its classifier: without, timm would not mind weights that do not fit.
            self.model = timm.create_model(name, pretrained=reads_weights()).eval()
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            raise no_model(model, error) from error
        if not hasattr(self.model, "forward_intermediates"):
            raise OptionError(f"{model} is a timm model without forward_intermediates")
        data = timm.data.resolve_model_data_config(self.model)
        self._set_pixels(data["input_size"][-1], data["mean"], data["std"])
        self._indices = self.model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
        apply_tuning(self.model, tuning, rank, UNUSED_BY_TIMM)
        self._measure()

    def _measure(self) -> None:
        """Learn grid and width from one empty image."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            shape = self._feature_map(
                torch.zeros(1, 3, self.image_size, self.image_size).to(device)
            ).shape
        self.width, self.grid = int(shape[1]), (int(shape[2]), int(shape[3]))

    def _feature_map(self, pixels: Tensor) -> Tensor:
        maps = self.model.forward_intermediates(
            pixels,
            indices=self._indices,
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return maps[-1]

    def encode(
        self, pixels: Float[Tensor, "images 3 size size"]
    ) -> Float[Tensor, "images tokens width"]:
        """Return the feature map, row by row."""
        return self._feature_map(pixels).flatten(2).transpose(1, 2)

    def save_files(self, folder: Path) -> None:
        """Write the architecture and the preprocessing."""
        hub = require_library("timm.models._hub", "timm")
        hub.save_config_for_hf(self.model, str(folder / CONFIG_FILE))


def read_preprocessing(model: str) -> dict[str, Any]:
    """Read how a transformers model wants its pixels."""
    transformers = require_library("transformers", "hf")
    try:
        values, _ = transformers.ImageProcessingMixin.get_image_processor_dict(model)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{model}/{PREPROCESSOR_FILE}",
            "no such file",
            "image_mean, image_std and size, beside the model",
            "Save it with AutoImageProcessor.from_pretrained(...).save_pretrained(...)",
        ) from error
    return dict(values)


def _built_for(config: Any) -> int:
    """Return the pixels a side that a model's positions were made for."""
    if getattr(config, "image_size", None) is not None:
        return int(config.image_size)
    return int(config.num_patches**0.5) * int(config.patch_size)


def _pixels_a_side(preprocessing: Mapping[str, Any], default: int) -> int:
    for key in ("crop_size", "size"):
        value = preprocessing.get(key)
        if key == "crop_size" and not preprocessing.get("do_center_crop", value is not None):
            continue
        if isinstance(value, int):
            return value
        if isinstance(value, Mapping):
            side = value.get("height") or value.get("shortest_edge")
            if side:
                return int(side)
    return default


def _mean_and_std(model: str, preprocessing: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    if not preprocessing.get("do_normalize", True):
        return [0.0] * 3, [1.0] * 3
    for key in ("image_mean", "image_std"):
        values = preprocessing.get(key)
        if not isinstance(values, list) or len(values) != 3:
            raise DataError(
                f"{model}/{PREPROCESSOR_FILE}",
                f"{key} is {values!r}",
                "three numbers, one a colour",
            )
    return preprocessing["image_mean"], preprocessing["image_std"]
