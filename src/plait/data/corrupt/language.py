"""Corruptions of the instruction. None of them knows any grammar: what they need is given to them.

For the tabletop, `plait.envs.tabletop.grammar` has it: `PARAPHRASES` through `parse` and
`instruct(task, rng, paraphrase=True)`, `SYNONYMS`, and `wordings` of other tasks. An encoder with a
fixed vocabulary must be built to leave out words it does not know (`words` with `unknown="mask"`).

An absent instruction is left alone: it may hold anything.
"""

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from plait.data.corrupt.base import Draws, StatelessCorruption
from plait.data.corrupt.spelling import TYPOS
from plait.errors import OptionError, UnknownNameError
from plait.types import LANGUAGE, Observation

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
# Shorter words are spared, as in MultiBench: a typo would leave little of them.
LONG_WORD = re.compile(r"[^\W\d_]{4,}")


class LanguageCorruption(StatelessCorruption):
    """A corruption of the instruction, the same through an episode."""

    modality = LANGUAGE

    def corrupt(self, observation: Observation, draws: Draws) -> Observation:
        """Change the instructions that are present."""
        present = observation.modality_mask[LANGUAGE].tolist()
        samples = zip(observation.instruction, present, draws.episode_generators(), strict=True)
        changed = tuple(
            self.change(text, rng) if is_present else text for text, is_present, rng in samples
        )
        return replace(observation, instruction=changed)

    @abstractmethod
    def change(self, instruction: str, rng: np.random.Generator) -> str:
        """Return the corrupted instruction."""


class _AllOrNothing(LanguageCorruption):
    """A corruption of whole instructions that hits a share of them."""

    measure = "share of the episodes"
    strengths = SHARES

    def change(self, instruction: str, rng: np.random.Generator) -> str:
        """Draw whether the instruction is hit."""
        return self.replacement(instruction, rng) if rng.random() < self.strength else instruction

    @abstractmethod
    def replacement(self, instruction: str, rng: np.random.Generator) -> str:
        """Return what takes the place of an instruction that is hit."""


@dataclass(frozen=True)
class EmptyInstruction(_AllOrNothing):
    """Nothing is said, and no mask tells so: what a policy does with an empty command.

    To withhold the modality, with its mask, is another question; evaluations ask it of themselves.
    """

    name = "empty"
    keeps = "Nothing of the task: only what can be guessed from the scene."

    def replacement(self, instruction: str, rng: np.random.Generator) -> str:
        """Return nothing."""
        del instruction, rng
        return ""


@dataclass(frozen=True)
class OtherInstruction(_AllOrNothing):
    """A valid instruction of another task is given: a policy that still succeeds did not listen.

    Args:
        severity: 1 to 5.
        others: Instructions to draw from, one a task; at least two that differ.

    Raises:
        OptionError: If fewer than two differ, so that an instruction could be given for itself.
    """

    name = "other_instruction"
    keeps = "That it is a valid instruction; the task is another's."
    others: Sequence[str] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({_plain(text) for text in self.others}) < 2:
            raise OptionError(
                f"{self.name} draws from {list(self.others)}, but needs at least two instructions "
                "that differ, so that there always is another"
            )

    def replacement(self, instruction: str, rng: np.random.Generator) -> str:
        """Draw among all that differ by more than case and spaces."""
        given = _plain(instruction)
        return _draw([text for text in self.others if _plain(text) != given], rng)


@dataclass(frozen=True)
class Paraphrase(_AllOrNothing):
    """The same task in other words.

    Args:
        severity: 1 to 5.
        paraphrase: Words an instruction anew, drawing from the generator; it must keep the task.
    """

    name = "paraphrase"
    keeps = "The task, as far as the given paraphrases do."
    paraphrase: Callable[[str, np.random.Generator], str] = field(kw_only=True)

    def replacement(self, instruction: str, rng: np.random.Generator) -> str:
        """Ask for a paraphrase."""
        return self.paraphrase(instruction, rng)


@dataclass(frozen=True)
class Synonyms(LanguageCorruption):
    """Words, or set phrases, are replaced by others of the same meaning.

    Args:
        severity: 1 to 5.
        synonyms: For a word or a phrase, what may stand for it; of two that overlap in an
            instruction the longer is replaced.

    Raises:
        OptionError: If there are no synonyms, or none for one of the words.
    """

    name = "synonyms"
    keeps = "The task and the order of words, as far as the given synonyms do."
    measure = "share of the words that have synonyms, at least one"
    strengths = SHARES
    synonyms: Mapping[str, Sequence[str]] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        lacking = [word for word, others in self.synonyms.items() if not others or not word]
        if lacking or not self.synonyms:
            raise OptionError(f"{self.name} has no synonym for {lacking or 'any word'}")

    def change(self, instruction: str, rng: np.random.Generator) -> str:
        """Replace a share of the words that can be."""
        matches = list(self._pattern.finditer(instruction))
        new_words = [_draw(self._others[match[0].lower()], rng) for match in matches]
        for index in sorted(_choose(len(matches), self.strength, rng), reverse=True):
            start, end = matches[index].span()
            new = _with_case_of(instruction[start], new_words[index])
            instruction = instruction[:start] + new + instruction[end:]
        return instruction

    @cached_property
    def _others(self) -> Mapping[str, Sequence[str]]:
        return {word.lower(): others for word, others in self.synonyms.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._others, key=len, reverse=True)
        words = "|".join(re.escape(word) for word in longest_first)
        return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


@dataclass(frozen=True)
class MaskedWords(LanguageCorruption):
    """Words are lost.

    Args:
        severity: 1 to 5.
        mask_word: What stands in place of each, such as a tokenizer's `[MASK]`; nothing if empty.
    """

    name = "masked_words"
    keeps = "The other words and their order."
    measure = "share of the words, at least one"
    strengths = SHARES
    mask_word: str = field(default="", kw_only=True)

    def change(self, instruction: str, rng: np.random.Generator) -> str:
        """Mask a share of the words."""
        words = instruction.split()
        for index in _choose(len(words), self.strength, rng):
            words[index] = self.mask_word
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class ShuffledWords(LanguageCorruption):
    """Words are said in another order; each that is hit takes the place of another."""

    name = "shuffled_words"
    keeps = "Which words are said."
    measure = "share of the words, at least two"
    strengths = SHARES

    def change(self, instruction: str, rng: np.random.Generator) -> str:
        """Move a share of the words around in a circle."""
        words = instruction.split()
        moved = _choose(len(words), self.strength, rng, at_least=2)
        shuffled = list(words)
        for source, target in zip(moved, moved[1:] + moved[:1], strict=True):
            shuffled[target] = words[source]
        return " ".join(shuffled)


@dataclass(frozen=True)
class Typos(LanguageCorruption):
    """One slip of the fingers in each word that is hit, among those of more than three letters.

    Args:
        severity: 1 to 5.
        kinds: Which slips are made; see `spelling.py`.

    Raises:
        UnknownNameError: If there is no such slip.
        OptionError: If there is none at all.

    Reference: the five of MultiBench's text robustness (Liang et al., 2021), each made to change
    the word wherever it can.
    """

    name = "typos"
    keeps = "The other words and, to a human reader, the task."
    measure = "share of the words of more than three letters, at least one"
    strengths = SHARES
    kinds: Sequence[str] = field(default=tuple(TYPOS), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds:
            raise OptionError(f"{self.name} has no kinds to choose from")
        for kind in self.kinds:
            if kind not in TYPOS:
                raise UnknownNameError("kind of typo", kind, TYPOS)

    def change(self, instruction: str, rng: np.random.Generator) -> str:
        """Misspell a share of the long words."""
        matches = list(LONG_WORD.finditer(instruction))
        misspelt = [self._misspell(match[0], rng) for match in matches]
        for index in sorted(_choose(len(matches), self.strength, rng), reverse=True):
            start, end = matches[index].span()
            instruction = instruction[:start] + misspelt[index] + instruction[end:]
        return instruction

    def _misspell(self, word: str, rng: np.random.Generator) -> str:
        """Try the kinds in random order until one changes the word."""
        tries = (TYPOS[self.kinds[index]](word, rng) for index in rng.permutation(len(self.kinds)))
        return next((changed for changed in tries if changed != word), word)


def _choose(count: int, share: float, rng: np.random.Generator, *, at_least: int = 1) -> list[int]:
    """Draw a share of `count` places, rounded up; a larger share holds a smaller one's.

    None where there are fewer than `at_least`.
    """
    # Less a little, for 0.6 * 5 may come out above 3.
    wanted = max(math.ceil(share * count - 1e-9), at_least)
    order: list[int] = rng.permutation(count).tolist()
    return order[:wanted] if count >= at_least else []


def _draw(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _plain(instruction: str) -> str:
    return " ".join(instruction.lower().split())


def _with_case_of(letter: str, word: str) -> str:
    return word[:1].upper() + word[1:] if letter.isupper() else word
