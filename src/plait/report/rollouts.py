"""The pictures of the rollouts, arm by arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.report import media, text
from plait.results import RolloutPicture, RunResult


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One picture with what there is to say of it."""

    picture: media.Moving
    instruction: str
    outcome: str
    success: bool
    seed: int


def load_rollouts(runs: Sequence[tuple[RunResult, Path]]) -> dict[str, list[Rollout]]:
    """Read the pictures of every arm, successes first.

    Args:
        runs: Results with their folders.

    Raises:
        DataError: If a picture is missing or unreadable.
    """
    shown: dict[str, list[Rollout]] = {}
    for run, folder in runs:
        for picture in sorted(run.pictures, key=lambda picture: not picture.success):
            shown.setdefault(run.arm, []).append(_rollout(picture, folder))
    return shown


def _rollout(picture: RolloutPicture, folder: Path) -> Rollout:
    return Rollout(
        picture=media.load_moving(folder, picture.file),
        instruction=picture.instruction,
        outcome=text.words(picture.outcome),
        success=picture.success,
        seed=picture.seed,
    )
