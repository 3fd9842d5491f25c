"""What the words of a paraphrase still tell a policy that knows those of training alone.

Paraphrases keep the names of colours. Of "tap the red block" training showed "the" and "red": a
policy that understands nothing else, and guesses among what is red, succeeds far above chance.
"""

from collections.abc import Callable, Collection, Sequence

from plait.encoders.words import split_words
from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.grammar import wordings
from plait.evaluation.rollout import Environment
from plait.evaluation.stress.listening import tabletop_of


def num_fitting(env: TabletopEnv, words: Collection[str]) -> int:
    """Count the tasks of the present scene whose plain wording has all known words of its own.

    Args:
        env: With a scene.
        words: Those that are known.
    """
    known = set(split_words(env.instruction)) & set(words)
    tasks = [task for task in env.feasible_tasks() if task.verb == env.task.verb]
    plain = (set(split_words(text)) for task in tasks for text in wordings(task))
    return max(sum(known <= said for said in plain), 1)


def count_fitting(
    make_env: Callable[[], Environment], seeds: Sequence[int], words: Collection[str]
) -> tuple[int, ...]:
    """Count the tasks that fit in every scene."""
    env = make_env()
    tabletop = tabletop_of(env)
    counts = []
    for seed in seeds:
        env.reset(seed=seed)
        counts.append(num_fitting(tabletop, words))
    env.close()
    return tuple(counts)
