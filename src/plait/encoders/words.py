"""A word-level language encoder trained from scratch.

Idea: the vocabulary is the set of words of the training instructions. An instruction is tokenised
once and kept; the trunk is one transformer block, enough for a grammar of commands. When it loses:
words it has never seen. They are refused rather than guessed at, unless `unknown="mask"`.
"""

import re

import torch
from torch import nn

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level, present_instructions
from plait.errors import OptionError, UnknownNameError
from plait.layers import SelfAttentionBlock
from plait.types import LANGUAGE, Observation, Tokens, TokenSpec

PADDING = 0
DEFAULT_MAX_WORDS = 16


def split_words(instruction: str) -> list[str]:
    """Split an instruction into lower-case words and numbers; punctuation is dropped."""
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", instruction.lower())


def build_vocabulary(instructions: tuple[str, ...]) -> tuple[str, ...]:
    """Collect the distinct words of the instructions, sorted."""
    return tuple(sorted({word for text in instructions for word in split_words(text)}))


class WordEncoder(Encoder):
    """Word embeddings with positions, and a transformer block over them.

    Attributes:
        word_index: Row of every known word in the embedding table.

    Args:
        data: Holds the vocabulary, and how long its instructions are.
        width: Size of the token axis.
        level: `stem` or `features`.
        max_words: Longest instruction; where None 16, or the longest of the data.
        unknown: `refuse` raises on a word outside the vocabulary; `mask` leaves it out.

    Raises:
        OptionError: If `unknown` is neither, or there is no vocabulary.
    """

    modality = LANGUAGE

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        max_words: int | None = None,
        unknown: str = "refuse",
    ) -> None:
        nn.Module.__init__(self)
        if unknown not in ("refuse", "mask"):
            raise OptionError(f"unknown must be 'refuse' or 'mask', but is {unknown!r}")
        if not data.vocabulary:
            raise OptionError("the training data has no instructions: there is no word to learn")
        self.token_spec = TokenSpec(width)
        self.max_words = max(DEFAULT_MAX_WORDS, data.most_words) if max_words is None else max_words
        self.unknown = unknown
        self.word_index = {word: index + 1 for index, word in enumerate(data.vocabulary)}
        self._rows: dict[str, int] = {}
        # Token ids of every distinct instruction met so far; derived, so not part of the state.
        self._table = torch.zeros(0, self.max_words, dtype=torch.int64)
        self.embedding = nn.Embedding(len(data.vocabulary) + 1, width, padding_idx=PADDING)
        self.position = nn.Parameter(torch.randn(self.max_words, width) * 0.02)
        trunk = SelfAttentionBlock(width, 2 * width) if level == "features" else nn.Identity()
        self.trunk = trunk

    def forward(self, observation: Observation) -> Tokens:
        """Encode the instructions: `[batch, words, width]`, words up to the longest one."""
        texts = present_instructions(observation)
        # Once each: a batch holds few instructions, many times over.
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        device = self.position.device
        ids = self.tokenize(tuple(rows)).to(device)
        values = self.embedding(ids) + self.position[: ids.shape[1]]
        distinct = self.trunk(Tokens(values, ids != PADDING))
        row_of = torch.tensor([rows[text] for text in texts], device=device)
        # Not by an index: its gradient is added up in an order that differs from run to run.
        return Tokens(distinct.values.index_select(0, row_of), distinct.mask[row_of])

    def tokenize(self, instructions: tuple[str, ...]) -> torch.Tensor:
        """Return word ids `[batch, words]`, padded with 0 to the longest instruction."""
        new = [text for text in dict.fromkeys(instructions) if text not in self._rows]
        if new:
            rows = torch.stack([self._word_ids(text) for text in new])
            self._rows.update({text: len(self._table) + i for i, text in enumerate(new)})
            self._table = torch.cat([self._table, rows])
        ids = self._table[[self._rows[text] for text in instructions]]
        longest = int((ids != PADDING).sum(1).max()) if len(ids) else 0
        return ids[:, : max(longest, 1)]

    def _word_ids(self, instruction: str) -> torch.Tensor:
        words = split_words(instruction)
        if self.unknown == "mask":
            words = [word for word in words if word in self.word_index]
        for word in words:
            if word not in self.word_index:
                raise UnknownNameError(
                    "word",
                    word,
                    self.word_index,
                    hint=f"It is in the instruction {instruction!r}; this policy knows only the "
                    "words it was trained on",
                )
        if len(words) > self.max_words:
            raise OptionError(
                f"the instruction {instruction!r} has {len(words)} words, more than the "
                f"{self.max_words} this policy reads; shorten it or raise max_words"
            )
        ids = [self.word_index[word] for word in words]
        return torch.tensor(ids + [PADDING] * (self.max_words - len(ids)))
