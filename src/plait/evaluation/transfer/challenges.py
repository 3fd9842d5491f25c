"""What is asked for, and how it relates to what training showed.

The relation is read off the sentences, never off the name of a suite: combinations count as never
seen because no demonstration asked for one of them, not because they are called held out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from plait.encoders.words import build_vocabulary
from plait.envs import available_suites
from plait.envs.tabletop.asking import (
    Combination,
    combinations_of,
    have_same_scenes,
    suite_sentences,
)
from plait.envs.tabletop.suites import SUITES, VARIANTS
from plait.errors import OptionError, UnknownNameError
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    FAMILIAR,
    PARAPHRASES,
    TRAINED,
    VERBS,
    Challenge,
)

TABLETOP = "tabletop/"
# Columns from what is known best to what is least.
ORDER = (TRAINED, FAMILIAR, BESIDE, COMBINATIONS, PARAPHRASES, VERBS)


@dataclass(frozen=True)
class Shown:
    """What training showed.

    Attributes:
        env: Environment the demonstrations are of.
        instructions: Of the demonstrations; all that the environment may give where they are not
            at hand.
        are_recorded: Whether they were read off the demonstrations.
    """

    env: str
    instructions: frozenset[str]
    are_recorded: bool

    @cached_property
    def combinations(self) -> frozenset[Combination]:
        """Verb, colour and shape that were shown together."""
        return combinations_of(self.instructions)

    @cached_property
    def words(self) -> frozenset[str]:
        """Words that were shown."""
        return frozenset(build_vocabulary(tuple(self.instructions)))

    @property
    def verbs(self) -> set[str]:
        """Verbs that were shown."""
        return {verb for verb, _ in self.combinations}


def shown_by(env: str, instructions: Iterable[str] = ()) -> Shown:
    """Return what a training on an environment showed.

    Args:
        env: Environment id.
        instructions: Of the demonstrations, if they are known.

    Raises:
        UnknownNameError: If there is no such environment, or an instruction is not of the tabletop.
        OptionError: If the environment asks for nothing that was demonstrated.
    """
    given = frozenset(instructions)
    own = sentences_of(env)
    shown = Shown(env, given or frozenset(own), bool(given))
    if given.isdisjoint(own) and given:
        raise OptionError(
            f"{env} never asks for what the demonstrations show ({_example(given)}), so it is not "
            "what the policy was trained on; name that environment by --trained-on"
        )
    combinations_of(given)
    return shown


def tabletops() -> tuple[str, ...]:
    """Return the environments whose sentences follow a grammar, and so can be recombined."""
    return tuple(name for name in available_suites() if name.startswith(TABLETOP))


def guess_env(instructions: Iterable[str]) -> str | None:
    """Return the environment whose sentences hold all instructions; the one with the fewest.

    None where no environment gives them all.
    """
    given = set(instructions)
    fitting = [name for name in tabletops() if given <= set(sentences_of(name))]
    return min(fitting, key=lambda name: len(sentences_of(name)), default=None)


def sentences_of(env: str) -> tuple[str, ...]:
    """Return every instruction that an environment may give.

    Raises:
        UnknownNameError: If there is no such environment; close ones are suggested.
    """
    if env not in tabletops():
        raise UnknownNameError("tabletop environment", env, tabletops())
    return suite_sentences(env.removeprefix(TABLETOP))


def default_envs(env: str) -> tuple[str, ...]:
    """Return the sister suites of an environment, and the other verbs of its family.

    Of the suite of all verbs, the others are those of a single one.
    """
    base = env.removeprefix(TABLETOP).partition("-")[0]
    sisters = [base, *(f"{base}-{variant}" for variant in VARIANTS)]
    others = [name for name, suite in SUITES.items() if name != base and len(suite.verbs) == 1]
    names = [f"{TABLETOP}{name}" for name in (*sisters, *others)]
    return tuple(name for name in names if name != env)


def relation_of(env: str, shown: Shown) -> str:
    """Say how what an environment asks for relates to what training showed.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    sentences = sentences_of(env)
    asked = combinations_of(sentences)
    if env == shown.env:
        return TRAINED
    if not {verb for verb, _ in asked} <= shown.verbs:
        return VERBS
    if not shown.instructions.isdisjoint(sentences):
        return FAMILIAR
    return COMBINATIONS if asked.isdisjoint(shown.combinations) else PARAPHRASES


def make_challenges(envs: Sequence[str], shown: Shown) -> tuple[Challenge, ...]:
    """Return what is asked for: what was trained first, then the environments by their relation.

    Beside combinations that were never seen stands their control: the very same scenes, asked for
    a combination that was.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    challenges = [Challenge(env=shown.env, relation=TRAINED)]
    for env in dict.fromkeys(envs):
        relation = relation_of(env, shown)
        if relation == COMBINATIONS:
            challenges.append(Challenge(env=env, relation=BESIDE))
        if relation != TRAINED:
            challenges.append(Challenge(env=env, relation=relation))
    return tuple(sorted(challenges, key=lambda each: ORDER.index(each.relation)))


def are_paired(first: Challenge, second: Challenge) -> bool:
    """Say whether a seed gives the same scene and task in both, in whichever words."""
    if BESIDE in (first.relation, second.relation):
        return False
    names = (each.env.removeprefix(TABLETOP) for each in (first, second))
    return have_same_scenes(*names)


def spoken_in(challenge: Challenge) -> tuple[str, ...]:
    """Return every instruction that may be given in a challenge."""
    if challenge.relation == BESIDE:
        return sentences_of(challenge.env.partition("-")[0])
    return sentences_of(challenge.env)


def num_shown_in(env: str, shown: Shown) -> int:
    """Count the sentences of an environment that were in the demonstrations."""
    return len(shown.instructions.intersection(sentences_of(env)))


def _example(instructions: frozenset[str]) -> str:
    first = min(instructions)
    rest = len(instructions) - 1
    return f"{first!r} and {rest} more" if rest else repr(first)
