"""What a suite may ask for: tasks, combinations and sentences, without drawing a scene."""

from collections.abc import Iterable
from functools import cache
from itertools import chain

from plait.envs.tabletop.grammar import parse, wordings
from plait.envs.tabletop.scene import Thing
from plait.envs.tabletop.suites import load_suite, suite_options
from plait.envs.tabletop.tasks import Task, all_tasks, is_held_out

Combination = tuple[str, Thing]


def suite_tasks(name: str) -> tuple[Task, ...]:
    """Return every task that some scene of a suite such as `pick-holdout` may ask for.

    Raises:
        UnknownNameError: If there is no such suite.
    """
    options = suite_options(name)
    verbs, asks_held_out = load_suite(str(options["suite"])).verbs, "split" in options
    return tuple(
        task
        for task in all_tasks()
        if task.verb in verbs and is_held_out(task.verb, task.thing) == asks_held_out
    )


@cache
def suite_sentences(name: str) -> tuple[str, ...]:
    """Return every instruction that a suite may give.

    Raises:
        UnknownNameError: If there is no such suite.
    """
    is_reworded = bool(suite_options(name).get("paraphrase"))
    texts = (wordings(task, paraphrase=is_reworded) for task in suite_tasks(name))
    return tuple(dict.fromkeys(chain.from_iterable(texts)))


def combinations_of(instructions: Iterable[str]) -> frozenset[Combination]:
    """Return the combinations of verb, colour and shape that are asked for.

    Raises:
        UnknownNameError: If an instruction is no sentence of the grammar.
    """
    tasks = map(parse, instructions)
    return frozenset((task.verb, task.thing) for task in tasks)


def have_same_scenes(first: str, second: str) -> bool:
    """Say whether two suites draw the same scene and task from a seed, in whichever words."""
    options = (suite_options(name) for name in (first, second))
    without_words = [{k: v for k, v in each.items() if k != "paraphrase"} for each in options]
    return without_words[0] == without_words[1]
