"""What some corruptions need: scales, other instructions, paraphrases and synonyms."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from plait.data.corrupt import ACTION, Corruption, all_corruptions, corruption, corruption_class
from plait.envs.tabletop.grammar import SYNONYMS, instruct, parse, wordings
from plait.envs.tabletop.suites import load_suite
from plait.envs.tabletop.tasks import all_tasks, is_held_out
from plait.errors import OptionError, UnknownNameError
from plait.results.stress import OPEN
from plait.types import LANGUAGE

TABLETOP = "tabletop/"
NEEDS_SCALE = ("proprio_noise", "proprio_bias")
NEEDS_GRAMMAR = ("paraphrase", "synonyms")
NEEDS_OTHERS = "other_instruction"


@dataclass(frozen=True)
class Ingredients:
    """What is at hand to corrupt with.

    Attributes:
        proprio_scale: Standard deviation of each dimension of the proprio; empty if unknown.
        instructions: Instructions to draw others from, one a task.
        has_grammar: Whether instructions are sentences of the tabletop's grammar.
    """

    proprio_scale: tuple[float, ...] = ()
    instructions: tuple[str, ...] = ()
    has_grammar: bool = False

    def make(self, name: str, severity: int) -> Corruption:
        """Build a corruption with what it needs.

        Raises:
            UnknownNameError: If there is no such corruption.
            OptionError: If what it needs is not at hand.
        """
        options: dict[str, Any] = {}
        if name in NEEDS_SCALE:
            options["scale"] = self.proprio_scale
        if name == NEEDS_OTHERS:
            options["others"] = self.instructions
        if name == "paraphrase":
            options["paraphrase"] = reword
        if name == "synonyms":
            options["synonyms"] = SYNONYMS
        return corruption(name, severity, **options)

    def obstacle(self, name: str, loop: str) -> str:
        """Say in one clause why a corruption cannot be done; empty where it can.

        Raises:
            UnknownNameError: If there is no such corruption.
        """
        modality = corruption_class(name).modality
        if modality == ACTION and loop == OPEN:
            return f"{name} changes what the robot does, which recorded demonstrations cannot show"
        if name in NEEDS_SCALE and not self.proprio_scale:
            return f"{name} is in units of how the proprio varies, which --data tells"
        if name in NEEDS_GRAMMAR and not self.has_grammar:
            return f"{name} needs other wordings, which only the tabletop's grammar has"
        if modality == LANGUAGE and len(set(self.instructions)) < 2:
            return f"{name} says nothing where there is a single instruction"
        return ""


def reword(instruction: str, rng: np.random.Generator) -> str:
    """Word a task of the tabletop in a way that training never shows."""
    return instruct(parse(instruction), rng, paraphrase=True)


def suite_instructions(env: str) -> tuple[str, ...]:
    """Return an instruction a task that an environment of the tabletop trains on."""
    verbs = load_suite(env.removeprefix(TABLETOP).partition("-")[0]).verbs
    return tuple(
        wordings(task)[0]
        for task in all_tasks()
        if task.verb in verbs and not is_held_out(task.verb, task.thing)
    )


def has_grammar(instructions: tuple[str, ...]) -> bool:
    """Say whether all instructions are sentences of the tabletop."""
    try:
        for text in instructions:
            parse(text)
    except UnknownNameError:
        return False
    return bool(instructions)


def choose_corruptions(wanted: tuple[str, ...], ingredients: Ingredients, loop: str) -> list[str]:
    """Return the names of the corruptions to play: those wanted, or all that can be done.

    Args:
        wanted: Names, `module:Class` among them, or modalities for all of their corruptions; all
            that can be done if empty.
        ingredients: What is at hand.
        loop: `closed` or `open`.

    Raises:
        UnknownNameError: If a name is neither a corruption nor a modality.
        OptionError: If one that was wanted by its name cannot be done.
    """
    known = all_corruptions()
    chosen: list[str] = []
    for name in wanted or tuple(known):
        if name in known:
            chosen += [each for each in known[name] if not ingredients.obstacle(each, loop)]
            continue
        obstacle = _obstacle_of(name, ingredients, loop, [*known])
        if obstacle:
            raise OptionError(f"the corruption does not fit: {obstacle}")
        chosen.append(name)
    return list(dict.fromkeys(chosen))


def _obstacle_of(name: str, ingredients: Ingredients, loop: str, modalities: list[str]) -> str:
    """Ask for the obstacle; a name that nothing answers to may also be a modality misspelt."""
    try:
        return ingredients.obstacle(name, loop)
    except UnknownNameError as error:
        names = [each for group in all_corruptions().values() for each in group]
        raise UnknownNameError("corruption", name, [*names, *modalities]) from error
