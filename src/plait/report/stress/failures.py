"""The films of a stress test's most instructive failures, and what there is to say of each."""

from dataclasses import dataclass
from pathlib import Path

from plait.report import media, text
from plait.report.stress.reading import condition_name
from plait.results.stress import LISTENING, ORIGINAL, Failure

ENDINGS = {
    "timeout": "ran out of time",
    "wrong_object": "acted on another object",
    "wrong_place": "put it in another place",
    "original": "did the scene's own task",
    "neither": "did neither task",
}


@dataclass(frozen=True, kw_only=True)
class ShownFailure:
    """A film with its caption.

    Attributes:
        title: What was done to the policy.
        read: The instruction as the policy read it; empty where it read none.
        was_told: What it read undisturbed, where that is not the same.
        ending: What the policy did.
        own_ending: What it did undisturbed.
        how_often: How many scenes end like this one.
    """

    picture: media.Moving
    title: str
    read: str
    was_told: str
    ending: str
    own_ending: str
    how_often: str
    seed: int


def load_failures(failures: tuple[Failure, ...], folder: Path) -> list[ShownFailure]:
    """Read the films.

    Args:
        failures: Those of a result.
        folder: Of the stress test.

    Raises:
        DataError: If a film is missing or unreadable.
    """
    return [_shown(each, folder) for each in failures]


def _shown(failure: Failure, folder: Path) -> ShownFailure:
    is_the_same = failure.instruction == failure.own_instruction
    return ShownFailure(
        picture=media.load_moving(folder, failure.file),
        title=condition_name(failure.condition),
        read=failure.instruction,
        was_told="" if is_the_same else failure.own_instruction,
        ending=f"{ending(failure)} after {text.counted(failure.num_steps, 'step')}",
        own_ending=f"succeeded after {text.counted(failure.num_own_steps, 'step')}",
        how_often=f"So end {failure.num_alike} of "
        f"{text.counted(failure.num_solved, 'scene')} that succeed undisturbed.",
        seed=failure.seed,
    )


def ending(failure: Failure) -> str:
    """Say in words what the policy did: `acted on the blue cube instead`."""
    if failure.outcome == "wrong_object" and failure.acted_on:
        return f"acted on the {failure.acted_on} instead"
    is_elsewhere = failure.outcome != ORIGINAL and failure.condition.kind == LISTENING
    if is_elsewhere and failure.acted_on:
        return f"acted on the {failure.acted_on}, and did neither task"
    return ENDINGS.get(failure.outcome, text.words(failure.outcome))
