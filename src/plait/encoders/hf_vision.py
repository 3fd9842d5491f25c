"""A pretrained image model of transformers: `--vision hf:FOLDER_OR_ID`.

Idea: CLIP, SigLIP and DINO have seen a billion photographs; their patch tokens know objects and
textures that a few thousand demonstrations never show. Patches only: the class token is left out,
since a policy needs to know where things are. When it loses: simple renderings and small images,
where a small network trained on the task sees more, and a CPU, which it keeps busy.

Reference: Radford et al., 2021 (CLIP); Zhai et al., 2023 (SigLIP); Oquab et al., 2024 (DINOv2).
"""

from torch import nn

from plait.backbones.tuning import FROZEN
from plait.backbones.vision import TransformersVision
from plait.config import DataSpec
from plait.encoders._pretrained import PretrainedVisionEncoder
from plait.encoders.base import Level
from plait.errors import OptionError


class TransformersVisionEncoder(PretrainedVisionEncoder):
    """Patch tokens of CLIP, SigLIP, DINOv2, DINOv3 or a ViT.

    Args:
        data: Cameras and window; images are resized to the model's own size.
        width: Not used: tokens have the model's width, and the fusion projects them.
        level: `stem` reads the tokens after `stem_layers` blocks, `features` after the last.
        model: Folder that `save_pretrained` wrote, or a hub id.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.
        stem_layers: Blocks of the stem; all where None, since what a pretrained model has learned
            is in its depth.

    Raises:
        OptionError: If no model is named.
        PlaitError: If the model cannot be found, read or used for images.
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
        stem_layers: int | None = None,
    ) -> None:
        nn.Module.__init__(self)
        del width
        if not model:
            raise OptionError("hf_vision needs a model: a folder, or a hub id (hf:FOLDER_OR_ID)")
        num_layers = stem_layers if level == "stem" else None
        self._set_up(data, TransformersVision(model, num_layers, tuning, rank), tuning)
