"""A pretrained language model of transformers: `--language hf:FOLDER_OR_ID`.

Idea: words that the demonstrations never use have a meaning already, and no vocabulary has to be
learned. When it loses: a small command grammar, where `words` is exact, small and fast.

Reference: Radford et al., 2021 (CLIP); Zhai et al., 2023 (SigLIP); Devlin et al., 2019 (BERT).
"""

from torch import nn

from plait.backbones.text import TransformersText
from plait.backbones.tuning import FROZEN
from plait.config import DataSpec
from plait.encoders._pretrained import PretrainedTextEncoder
from plait.encoders.base import Level
from plait.errors import OptionError


class TransformersTextEncoder(PretrainedTextEncoder):
    """Token embeddings of CLIP's or SigLIP's text tower, or of a BERT-like model.

    Args:
        data: Not used: the tokenizer is the model's own.
        width: Not used: tokens have the model's width, and the fusion projects them.
        level: `stem` reads the tokens after `stem_layers` blocks, `features` after the last.
        model: Folder that `save_pretrained` wrote, tokenizer included, or a hub id.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.
        stem_layers: Blocks of the stem; all where None, since what a pretrained model has learned
            is in its depth.

    Raises:
        OptionError: If no model is named.
        PlaitError: If the model cannot be found, read or used for text.
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
        del data, width
        if not model:
            raise OptionError("hf_text needs a model: a folder, or a hub id (hf:FOLDER_OR_ID)")
        num_layers = stem_layers if level == "stem" else None
        self._set_up(TransformersText(model, num_layers, tuning, rank), tuning)
