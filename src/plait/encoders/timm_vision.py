"""A pretrained image model of timm: `--vision timm:NAME_OR_FOLDER`.

Idea: any of timm's convolutional or transformer models that gives feature maps, read as a grid of
tokens. When it loses: as `hf_vision` does; a deep convolutional map is also coarse (stride 32),
so that small objects share a token.

Reference: Wightman, 2019 (PyTorch Image Models).
"""

from torch import nn

from plait.backbones.tuning import FROZEN
from plait.backbones.vision import TimmVision
from plait.config import DataSpec
from plait.encoders._pretrained import PretrainedVisionEncoder
from plait.encoders.base import Level
from plait.errors import OptionError


class TimmVisionEncoder(PretrainedVisionEncoder):
    """The feature map of a timm model's last block or stage, at both levels.

    What a pretrained model has learned is in its depth, so it has no stem worth reading.

    Args:
        data: Cameras and window; images are resized to the model's own size.
        width: Not used: tokens have the model's width, and the fusion projects them.
        level: Makes no difference.
        model: Folder that `timm.models.save_for_hf` wrote, or a name that timm knows.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.

    Raises:
        OptionError: If no model is named.
        PlaitError: If the model cannot be found, read or used.
    """

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        model: str = "",
        tuning: str = FROZEN,
        rank: int = 8,
    ) -> None:
        nn.Module.__init__(self)
        del width, level
        if not model:
            raise OptionError("timm_vision needs a model: a name of timm's or a folder (timm:NAME)")
        self._set_up(data, TimmVision(model, tuning, rank), tuning)
