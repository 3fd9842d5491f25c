"""Text backbones: instructions to tokens, through transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plait.backbones.loading import no_model, require_library
from plait.backbones.transformers_models import build_model, load_config
from plait.backbones.tuning import apply_tuning, fingerprint
from plait.errors import OptionError
from plait.masks import lengths_to_mask
from plait.types import Tokens

# Parameters that no token depends on.
UNUSED = ("pooler", "head", "text_projection")
TEXT_TOWERS: Mapping[str, str] = {
    "clip_text_model": "CLIPTextModel",
    "siglip_text_model": "SiglipTextModel",
    "siglip2_text_model": "Siglip2TextModel",
    "t5": "T5EncoderModel",
}


class TransformersText(nn.Module):
    """The text tower of CLIP or SigLIP, or a BERT-like model, through transformers.

    Args:
        model: Folder that `save_pretrained` wrote, tokenizer included, or a hub id.
        num_layers: Transformer blocks to keep, from the first; all where None.
        tuning: `frozen`, `full` or `lora`.
        rank: Of LoRA's additions.

    Attributes:
        width: Size of a token.
        max_tokens: Longest instruction in tokens.

    Raises:
        PlaitError: If the model cannot be found, read or used for text.
    """

    def __init__(self, model: str, num_layers: int | None, tuning: str, rank: int) -> None:
        nn.Module.__init__(self)
        transformers = require_library("transformers", "hf")
        config = load_config(model)
        config = getattr(config, "text_config", config)
        if not hasattr(config, "vocab_size"):
            raise OptionError(
                f"{model} is a model of type {config.model_type!r}, which reads no text; expected "
                "CLIP, SigLIP or a BERT-like model"
            )
        if num_layers is not None:
            config.num_hidden_layers = num_layers
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise no_model(f"{model} (its tokenizer)", error) from error
        class_name = TEXT_TOWERS.get(config.model_type, "AutoModel")
        self.model: Any = build_model(model, config, class_name, UNUSED)
        apply_tuning(self.model, tuning, rank, UNUSED)
        # SigLIP was trained on padded text without a mask, so that is what it reads here.
        self._is_padded = config.model_type.startswith("siglip")
        self.max_tokens = _max_tokens(config, self._tokenizer)
        self.width = int(config.hidden_size)

    def tokenize(self, texts: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """Return token ids and which of them are real, padded as the model was trained.

        Raises:
            OptionError: If a text is too long for the model.
        """
        rows = self._tokenizer(list(texts))["input_ids"]
        for text, row in zip(texts, rows, strict=True):
            if len(row) > self.max_tokens:
                raise OptionError(
                    f"the instruction {text!r} has {len(row)} tokens, more than the "
                    f"{self.max_tokens} this model reads; shorten it"
                )
        size = self.max_tokens if self._is_padded else max(1, *(len(row) for row in rows))
        padding = self._tokenizer.pad_token_id
        ids = torch.full((len(rows), size), 0 if padding is None else padding)
        mask = torch.zeros(ids.shape, dtype=torch.bool)
        for index, row in enumerate(rows):
            is_left = self._is_padded and self._tokenizer.padding_side == "left"
            place = slice(size - len(row), size) if is_left else slice(0, len(row))
            ids[index, place] = torch.tensor(row, dtype=ids.dtype)
            mask[index, place] = True
        return ids, mask

    def forward(self, texts: tuple[str, ...]) -> Tokens:
        """Encode texts; real tokens first, those that mark beginning and end among them."""
        device = next(self.model.parameters()).device
        ids, mask = (part.to(device) for part in self.tokenize(texts))
        attention = None if self._is_padded else mask.long()
        hidden = self.model(input_ids=ids, attention_mask=attention).last_hidden_state
        lengths = mask.sum(dim=1)
        longest = max(int(lengths.max()), 1)
        real_first = mask.int().argsort(dim=1, descending=True, stable=True)[:, :longest]
        values = hidden.gather(1, real_first.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        return Tokens(values, lengths_to_mask(lengths, longest))

    def save_files(self, folder: Path) -> None:
        """Write the configuration and the tokenizer."""
        self.model.config.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """Return a hash of the weights and the tokenizer."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        rules = backend.to_str() if backend else sorted(self._tokenizer.get_vocab().items())
        return fingerprint(self, rules, self._is_padded)


def _max_tokens(config: Any, tokenizer: Any) -> int:
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    # RoBERTa counts its positions from the padding's id on.
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
        limits[0] = config.max_position_embeddings - config.pad_token_id - 1
    return min([limit for limit in limits if limit] or [512])
