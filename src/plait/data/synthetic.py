"""Tasks with known answers: what a fusion can do in principle, seen in seconds.

Every task draws tokens of all modalities and the class they mean, so a fusion and a head train on
it without encoders. What can be reached, and what a single modality can reach, follows from how
the tokens are drawn; it does not have to be measured.

| task | best | without fusion |
| --- | ---: | --- |
| `xor` | 1 | 1/2: each modality alone is independent of the answer |
| `redundancy` | 0.939 | 0.85: three witnesses, each wrong in 15 % of the samples |
| `distraction` | 1 | 1: language knows, vision and state are loud noise |
| `missing` | 1 | 1: vision and language both know, vision is gone at test time |
| `binding` | 1 | 1/6: which colour is at which place; pooled tokens are the same for every answer |
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plait.types import LANGUAGE, PROPRIO, VISION, Tokens, TokenSpec

WIDTH = 16
GRID = (2, 3)
NUM_PATCHES = GRID[0] * GRID[1]
NUM_WORDS = 3
SPECS = {
    VISION: TokenSpec(WIDTH, GRID),
    LANGUAGE: TokenSpec(WIDTH),
    PROPRIO: TokenSpec(WIDTH),
}
COUNTS = {VISION: NUM_PATCHES, LANGUAGE: NUM_WORDS, PROPRIO: 1}
NOISE = 0.3


@dataclass(frozen=True)
class Sample:
    """A batch of a task.

    Attributes:
        tokens: By modality, as a fusion reads them.
        answer: The class each sample means.
    """

    tokens: dict[str, Tokens]
    answer: Int[Tensor, " batch"]


class SyntheticTask(ABC):
    """A distribution of tokens and answers.

    Attributes:
        num_classes: Possible answers, equally likely.
        best: Accuracy of the best possible classifier at test time.
    """

    num_classes: ClassVar[int] = 2
    best: ClassVar[float] = 1.0

    def draw(self, batch_size: int, seed: int, *, is_test: bool = False) -> Sample:
        """Draw a batch; the same seed gives the same samples."""
        generator = torch.Generator().manual_seed(seed)
        return self._draw(batch_size, generator, is_test=is_test)

    @abstractmethod
    def _draw(self, batch_size: int, generator: torch.Generator, *, is_test: bool) -> Sample:
        """Draw a batch from a generator."""


def _codes(count: int, seed: int) -> Float[Tensor, "count width"]:
    """Return fixed vectors of about unit size a number, one a meaning."""
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def _noise(batch_size: int, name: str, generator: torch.Generator, size: float = NOISE) -> Tensor:
    return size * torch.randn(batch_size, COUNTS[name], WIDTH, generator=generator)


def _bits(batch_size: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
    return torch.randint(2, (batch_size,), generator=generator)


def _present(values: Float[Tensor, "batch tokens width"]) -> Tokens:
    return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))


_BIT_CODES = {name: _codes(2, index) for index, name in enumerate(SPECS)}


def _bit_tokens(name: str, bits: Int[Tensor, " batch"], generator: torch.Generator) -> Tokens:
    """Say a bit in every token of a modality."""
    return _present(_BIT_CODES[name][bits].unsqueeze(1) + _noise(len(bits), name, generator))


class Xor(SyntheticTask):
    """Whether the bit that is seen differs from the bit that is told."""

    def _draw(self, batch_size: int, generator: torch.Generator, *, is_test: bool) -> Sample:
        del is_test
        seen, told = _bits(batch_size, generator), _bits(batch_size, generator)
        tokens = {
            VISION: _bit_tokens(VISION, seen, generator),
            LANGUAGE: _bit_tokens(LANGUAGE, told, generator),
            PROPRIO: _present(_noise(batch_size, PROPRIO, generator)),
        }
        return Sample(tokens, seen ^ told)


class Redundancy(SyntheticTask):
    """Three modalities say the same bit, each wrong on its own in 15 % of the samples."""

    wrong: ClassVar[float] = 0.15
    best: ClassVar[float] = (1 - 0.15) ** 3 + 3 * 0.15 * (1 - 0.15) ** 2

    def _draw(self, batch_size: int, generator: torch.Generator, *, is_test: bool) -> Sample:
        del is_test
        answer = _bits(batch_size, generator)
        tokens = {}
        for name in SPECS:
            is_wrong = torch.rand(batch_size, generator=generator) < self.wrong
            tokens[name] = _bit_tokens(name, answer ^ is_wrong.long(), generator)
        return Sample(tokens, answer)


class Distraction(SyntheticTask):
    """Language says the bit; the other modalities are noise, ten times as loud as elsewhere."""

    def _draw(self, batch_size: int, generator: torch.Generator, *, is_test: bool) -> Sample:
        del is_test
        answer = _bits(batch_size, generator)
        tokens = {
            VISION: _present(_noise(batch_size, VISION, generator, 10 * NOISE)),
            LANGUAGE: _bit_tokens(LANGUAGE, answer, generator),
            PROPRIO: _present(_noise(batch_size, PROPRIO, generator, 10 * NOISE)),
        }
        return Sample(tokens, answer)


class Missing(SyntheticTask):
    """Vision and language say the bit, each absent in 30 % of training; vision in every test."""

    absent: ClassVar[float] = 0.3

    def _draw(self, batch_size: int, generator: torch.Generator, *, is_test: bool) -> Sample:
        answer = _bits(batch_size, generator)
        tokens = {name: _bit_tokens(name, answer, generator) for name in (VISION, LANGUAGE)}
        tokens[PROPRIO] = _present(_noise(batch_size, PROPRIO, generator))
        lost = torch.rand(batch_size, generator=generator)
        # Never both: nobody could answer then.
        is_absent = {VISION: lost < self.absent, LANGUAGE: lost > 1 - self.absent}
        if is_test:
            is_absent = {
                VISION: torch.ones(batch_size, dtype=torch.bool),
                LANGUAGE: torch.zeros(batch_size, dtype=torch.bool),
            }
        for name, absent in is_absent.items():
            mask = tokens[name].mask & ~absent.unsqueeze(1)
            tokens[name] = Tokens(tokens[name].values, mask)
        return Sample(tokens, answer)


class Binding(SyntheticTask):
    """At which place is the colour that is named? Every colour is somewhere, every place is taken.

    A patch is the code of its colour plus the code of its place. The mean over the patches is then
    the same for all arrangements: whoever averages linear features first cannot answer.
    """

    num_classes: ClassVar[int] = NUM_PATCHES
    _colours = _codes(NUM_PATCHES, 10)
    _places = _codes(NUM_PATCHES, 11)
    _words = _codes(NUM_PATCHES, 12)

    def _draw(self, batch_size: int, generator: torch.Generator, *, is_test: bool) -> Sample:
        del is_test
        colour_at = torch.rand(batch_size, NUM_PATCHES, generator=generator).argsort(dim=1)
        answer = torch.randint(NUM_PATCHES, (batch_size,), generator=generator)
        named = colour_at.gather(1, answer.unsqueeze(1)).squeeze(1)
        words = self._words[named].unsqueeze(1) + _noise(batch_size, LANGUAGE, generator)
        tokens = {
            VISION: _present(self._colours[colour_at] + self._places),
            LANGUAGE: _present(words),
            PROPRIO: _present(_noise(batch_size, PROPRIO, generator)),
        }
        return Sample(tokens, answer)


TASKS: dict[str, SyntheticTask] = {
    "xor": Xor(),
    "redundancy": Redundancy(),
    "distraction": Distraction(),
    "missing": Missing(),
    "binding": Binding(),
}
