"""The cells of a transfer test: which process plays which, and the file each leaves behind."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from plait.compare.cells import CELLS_FOLDER, deal
from plait.compare.environment import EnvFactory
from plait.compare.subjects import Subject
from plait.compare.workers import Report
from plait.envs.tabletop.asking import suite_tasks
from plait.envs.tabletop.suites import MAX_STEPS
from plait.evaluation.stress.policies import Checked, load_policy
from plait.evaluation.transfer.challenges import TABLETOP, Shown
from plait.evaluation.transfer.play import play_challenge
from plait.evaluation.transfer.reading import treat_unknown_words
from plait.results import load_result, save_result
from plait.results.transfer import Challenge, TransferCell


@dataclass(frozen=True)
class CellPlan:
    """One cell that is to be played.

    Attributes:
        subject: The policy.
        challenge: What is asked for.
        seeds: Of the scenes.
    """

    subject: Subject
    challenge: Challenge
    seeds: tuple[int, ...]

    @property
    def weight(self) -> int:
        """Control steps if every scene takes all the time it has."""
        return len(self.seeds) * longest_episode(self.challenge.env)

    def file(self, folder: Path) -> Path:
        """Return where the cell is kept."""
        arm = re.sub(r"[^\w.-]+", "~", self.subject.arm)
        name = f"{self.challenge.key}.json"
        return folder / CELLS_FOLDER / arm / f"seed-{self.subject.seed}" / name

    def read(self, folder: Path) -> TransferCell:
        """Read the finished cell.

        Raises:
            DataError: If it is missing or unreadable.
        """
        return load_result(self.file(folder), TransferCell)


@dataclass(frozen=True)
class TransferJob:
    """Plays some cells one after the other; call it with a progress report in any process.

    Args:
        cells: Those of one policy side by side, so that it is loaded once.
        shown: What training showed.
        unknown_words: What policies do with words they do not know.
        action_dim: Size of an action.
        execution_horizon: Steps executed before a policy looks again; as many as it predicts, if
            those are fewer.
        folder: Where the cells' files go.
    """

    cells: tuple[CellPlan, ...]
    shown: Shown
    unknown_words: str
    action_dim: int
    execution_horizon: int
    folder: Path

    @property
    def weight(self) -> int:
        """About how long all of it takes."""
        return sum(cell.weight for cell in self.cells)

    def __call__(self, report: Report) -> None:
        """Play and save every cell."""
        load = lru_cache(maxsize=1)(self._load)
        done = 0
        for cell in self.cells:
            policy = load(cell.subject.policy)
            save_result(cell.file(self.folder), self._play(cell, policy, report, done))
            done += cell.weight
            report(cell.challenge.env, done / self.weight, cell.subject.arm)

    def _load(self, name: str) -> Checked:
        return treat_unknown_words(load_policy(name, self.action_dim), self.unknown_words)

    def _play(self, cell: CellPlan, policy: Checked, report: Report, done: int) -> TransferCell:
        scenes, env = 0, cell.challenge.env

        def on_episode(_: object) -> None:
            nonlocal scenes
            scenes += 1
            steps = done + cell.weight * scenes // len(cell.seeds)
            report(env, steps / self.weight, cell.subject.arm)

        return play_challenge(
            policy,
            EnvFactory(env, policy.cameras, policy.image_size),
            cell.challenge,
            cell.seeds,
            self.shown,
            arm=cell.subject.arm,
            training_seed=cell.subject.seed,
            execution_horizon=min(self.execution_horizon, policy.action_horizon),
            masked=cell.subject.masked,
            on_episode=on_episode,
        )


def share_out(cells: Iterable[CellPlan], job: TransferJob, num_workers: int) -> list[TransferJob]:
    """Deal the cells that are not done to processes; each gets those of a policy in one go."""
    waiting = [cell for cell in cells if not cell.file(job.folder).exists()]
    hands = deal(waiting, num_workers)
    return [replace(job, cells=hand) for hand in hands]


def longest_episode(env: str) -> int:
    """Return the most control steps that a scene of an environment may take."""
    tasks = suite_tasks(env.removeprefix(TABLETOP))
    return max(MAX_STEPS[verb] for verb in {task.verb for task in tasks})


def scene_seeds(first: int, num_scenes: int, position: int) -> tuple[int, ...]:
    """Return the scenes of an arm's training seed by its position: no two share a scene.

    So the rollouts of all training seeds are of different scenes, and their interval covers scenes.
    """
    return tuple(range(first + position * num_scenes, first + (position + 1) * num_scenes))


def positions(subjects: Sequence[Subject]) -> dict[Subject, int]:
    """Return the place of each policy's training seed among those of its arm."""
    seeds: dict[str, list[int]] = {}
    for subject in sorted(subjects, key=lambda each: each.seed):
        seeds.setdefault(subject.arm, []).append(subject.seed)
    return {subject: seeds[subject.arm].index(subject.seed) for subject in subjects}
