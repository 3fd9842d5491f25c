"""The cells of an evaluation: which scenes are played together, and the file each leaves behind.

Scenes are dealt to cells by chance, not in turn: where the seed decides the task in turn, some
processes would get the long tasks and others the short ones. Which cell a scene is in does not
depend on the number of processes, so neither do the numbers.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from plait.compare.cells import CELLS_FOLDER, deal
from plait.compare.environment import EnvFactory, max_parallel
from plait.compare.settings import CONTROLS
from plait.compare.workers import Report
from plait.evaluation.rollout import evaluate_policy
from plait.evaluation.stress.policies import Checked, load_policy
from plait.results import EpisodeResult, load_result, save_result
from plait.results.evaluation import EvaluationCell

SCENES_PER_CELL = 20
# Two or four processes then get equally many cells.
CELLS_MULTIPLE = 4
NUM_PARALLEL = 16
OWN = "policy"


@dataclass(frozen=True)
class Setup:
    """What every process must know; picklable.

    Attributes:
        policy: Folder, or `module:function`.
        env: Environment id.
        execution_horizon: Steps executed before the policy looks again.
        masked: Modalities hidden from the policy in any case.
        action_dim: Size of an action.
        view: How pictures are taken, where the environment knows several ways.
    """

    policy: str
    env: str
    execution_horizon: int
    masked: tuple[str, ...]
    action_dim: int | None
    view: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Checked:
        """Load the policy."""
        return load_policy(self.policy, self.action_dim)

    def env_factory(self, policy: Checked, *, has_pictures: bool = False) -> EnvFactory:
        """Return what makes the environment with the policy's cameras."""
        return EnvFactory(self.env, policy.cameras, policy.image_size, has_pictures, self.view)

    def masked_in(self, control: str | None) -> tuple[str, ...]:
        """Return the modalities hidden under a condition."""
        hidden = CONTROLS[control] if control else ()
        return tuple(dict.fromkeys((*self.masked, *hidden)))


@dataclass(frozen=True)
class CellPlan:
    """Scenes that are played in one go under one condition.

    Attributes:
        control: Name of the condition; None for the policy as it is.
        number: Of the cell.
        seeds: Of its scenes.
    """

    control: str | None
    number: int
    seeds: tuple[int, ...]

    def file(self, folder: Path) -> Path:
        """Return where the cell is kept."""
        return folder / CELLS_FOLDER / (self.control or OWN) / f"{self.number:04}.json"

    def read(self, folder: Path) -> EvaluationCell:
        """Read the finished cell.

        Raises:
            DataError: If it is missing or unreadable.
        """
        return load_result(self.file(folder), EvaluationCell)


@dataclass(frozen=True)
class EvaluationJob:
    """Plays some cells one after the other; call it with a progress report in any process.

    Args:
        setup: What is played.
        cells: Which scenes, under which conditions.
        folder: Where the cells' files go.
    """

    setup: Setup
    cells: tuple[CellPlan, ...]
    folder: Path

    @property
    def weight(self) -> int:
        """Scenes."""
        return sum(len(cell.seeds) for cell in self.cells)

    def __call__(self, report: Report) -> None:
        """Play and save every cell."""
        policy = self.setup.load()
        make_env = self.setup.env_factory(policy)
        done = 0

        def on_episode(_: EpisodeResult) -> None:
            nonlocal done
            done += 1
            report("playing", done / self.weight, "")

        for cell in self.cells:
            start = time.monotonic()
            episodes = evaluate_policy(
                policy,
                make_env,
                cell.seeds,
                execution_horizon=self.setup.execution_horizon,
                num_parallel=min(NUM_PARALLEL, max_parallel(self.setup.env)),
                masked_modalities=self.setup.masked_in(cell.control),
                on_progress=on_episode,
            )
            seconds = time.monotonic() - start
            played = EvaluationCell(control=cell.control, episodes=tuple(episodes), seconds=seconds)
            save_result(cell.file(self.folder), played)


def deal_scenes(first_seed: int, num_scenes: int) -> list[tuple[int, ...]]:
    """Deal scenes to cells of about equal size, by chance but always alike."""
    order = np.random.default_rng(first_seed).permutation(num_scenes) + first_seed
    num_cells = -(-num_scenes // SCENES_PER_CELL)
    num_cells = min(-(-num_cells // CELLS_MULTIPLE) * CELLS_MULTIPLE, num_scenes)
    return [tuple(int(seed) for seed in order[each::num_cells]) for each in range(num_cells)]


def plan_cells(
    first_seed: int, num_scenes: int, conditions: Sequence[str | None]
) -> list[CellPlan]:
    """Return all cells; the conditions of a scene follow one another."""
    return [
        CellPlan(control, number, seeds)
        for number, seeds in enumerate(deal_scenes(first_seed, num_scenes))
        for control in conditions
    ]


def share_out(
    setup: Setup, cells: Sequence[CellPlan], folder: Path, num_workers: int
) -> list[EvaluationJob]:
    """Deal the cells that are not done to processes.

    All conditions of a cell go to one process, which has built its scenes already.
    """
    waiting: dict[int, list[CellPlan]] = {}
    for cell in cells:
        if not cell.file(folder).exists():
            waiting.setdefault(cell.number, []).append(cell)
    return [
        EvaluationJob(setup, tuple(cell for group in hand for cell in group), folder)
        for hand in deal(list(waiting.values()), num_workers)
    ]
