"""How a task is worded: one plain wording a verb, and paraphrases that training never shows.

The two sets are disjoint. Paraphrases keep the colours' names and vary everything else.
"""

from functools import cache
from itertools import product

import numpy as np

from plait.envs.tabletop.scene import Thing
from plait.envs.tabletop.tasks import Task, all_tasks
from plait.errors import UnknownNameError

TEMPLATES: dict[str, tuple[str, ...]] = {
    "touch": ("touch the {thing}",),
    "push": ("push the {thing} {direction}",),
    "pick": ("pick up the {thing}",),
    "place": ("put the {thing} {preposition} the {to}",),
    "stack": ("stack the {thing} on the {to}",),
}
PARAPHRASES: dict[str, tuple[str, ...]] = {
    "touch": ("tap the {thing}", "make contact with the {thing}", "reach out to the {thing}"),
    "push": (
        "shove the {thing} {direction}",
        "slide the {thing} {direction}",
        "move the {thing} {direction}",
    ),
    "pick": ("grab the {thing}", "lift the {thing} off the table", "take hold of the {thing}"),
    "place": (
        "drop the {thing} {preposition} the {to}",
        "set the {thing} down {preposition} the {to}",
        "move the {thing} {preposition} the {to}",
    ),
    "stack": (
        "balance the {thing} on top of the {to}",
        "build a tower with the {thing} above the {to}",
        "set the {thing} down upon the {to}",
    ),
}
SYNONYMS: dict[str, tuple[str, ...]] = {
    "cube": ("block", "die"),
    "ball": ("sphere", "marble"),
    "cylinder": ("can", "tube"),
    "cross": ("plus sign", "plus"),
    "box": ("bin", "tray"),
    "plate": ("dish", "disc"),
    "left": ("to the left side", "leftwards"),
    "right": ("to the right side", "rightwards"),
    "forward": ("away from you", "ahead"),
    "backward": ("towards you", "back"),
    "in": ("into", "inside"),
    "on": ("onto", "on top of"),
}


def wordings(task: Task, *, paraphrase: bool = False) -> tuple[str, ...]:
    """Return every instruction the grammar has for a task.

    Args:
        task: What is asked for.
        paraphrase: The paraphrases, which training never shows, in place of the plain wording.
    """
    slots = {"thing": _names(task.thing, paraphrase=paraphrase)}
    if task.to is not None:
        slots["to"] = _names(task.to, paraphrase=paraphrase)
        preposition = "in" if task.to.shape == "box" else "on"
        slots["preposition"] = _words(preposition, paraphrase=paraphrase)
    if task.direction is not None:
        slots["direction"] = _words(task.direction, paraphrase=paraphrase)
    templates = (PARAPHRASES if paraphrase else TEMPLATES)[task.verb]
    return tuple(
        template.format(**dict(zip(slots, words, strict=True)))
        for template in templates
        for words in product(*slots.values())
    )


def _words(word: str, *, paraphrase: bool) -> tuple[str, ...]:
    """Return a word, or its synonyms."""
    return SYNONYMS[word] if paraphrase else (word,)


def _names(thing: Thing, *, paraphrase: bool) -> tuple[str, ...]:
    """Return the ways to name a thing."""
    return tuple(f"{thing.colour} {noun}" for noun in _words(thing.shape, paraphrase=paraphrase))


def instruct(task: Task, rng: np.random.Generator, *, paraphrase: bool = False) -> str:
    """Draw an instruction for a task."""
    options = dict.fromkeys(wordings(task, paraphrase=paraphrase))
    return list(options)[int(rng.integers(len(options)))]


@cache
def _meanings() -> dict[str, Task]:
    """Map every sentence of the grammar to its task."""
    return {
        text: task
        for task in all_tasks()
        for paraphrase in (False, True)
        for text in wordings(task, paraphrase=paraphrase)
    }


def parse(instruction: str) -> Task:
    """Read an instruction back into its task.

    Raises:
        UnknownNameError: If the grammar has no such sentence.
    """
    task = _meanings().get(instruction)
    if task is None:
        plain = [text for each in all_tasks() for text in wordings(each)]
        first = instruction.split(" ", maxsplit=1)[0]
        near = [text for text in plain if text.startswith(first)] or plain
        raise UnknownNameError("instruction", instruction, near[:: max(1, len(near) // 12)])
    return task
