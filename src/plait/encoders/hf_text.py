"""A pretrained language model of transformers: `--language hf:FOLDER_OR_ID`.

Idea: words that the demonstrations never use have a meaning already, and no vocabulary has to be
learned. When it loses: a small command grammar, where `words` is exact, small and fast.

Reference: Radford et al., 2021 (CLIP); Zhai et al., 2023 (SigLIP); Devlin et al., 2019 (BERT).
"""

from plait.encoders._pretrained import PretrainedTextEncoder
from plait.errors import OptionError


class TransformersTextEncoder(PretrainedTextEncoder):
    """Token embeddings of CLIP's or SigLIP's text tower, or of a BERT-like model.

    Options and errors are those of `PretrainedTextEncoder`; `model` must be given.
    """

    @staticmethod
    def find_model(model: str) -> str:
        """Return what was given.

        Raises:
            OptionError: If nothing was.
        """
        if not model:
            raise OptionError("hf_text needs a model: a folder, or a hub id (hf:FOLDER_OR_ID)")
        return model
