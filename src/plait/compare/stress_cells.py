"""The cells of a stress test: which process plays which, and the file each leaves behind.

A cell whose file stands there is done and is not played again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from plait.compare.cells import CELLS_FOLDER, deal
from plait.compare.environment import EnvFactory, max_parallel, view_of
from plait.compare.workers import Report
from plait.config import DataConfig, DataSpec
from plait.data.compatibility import refuse_other_actions
from plait.data.dataset import Demonstrations
from plait.data.normalize import NormStats
from plait.evaluation.stress.closed_loop import play
from plait.evaluation.stress.held_out import HeldOut
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.open_loop import OpenLoop
from plait.evaluation.stress.policies import Checked, load_policy
from plait.results import load_result, save_result
from plait.results.stress import CLOSED, OPEN, Cell, Condition
from plait.training.batches import split_episodes, spread

RESULTS_FILE = "results.json"
# Enough held-out steps for a steady error, few enough for the whole grid in a minute or two.
MAX_HELD_OUT_STEPS = 1024
# About how much longer a scene takes than a cell of the open loop, for the progress bar.
OPEN_WEIGHT = 3


@dataclass(frozen=True)
class Setup:
    """What every process must know to play a cell; picklable.

    Attributes:
        policy: Folder, or `module:function`.
        env: Environment id.
        data: Folder of the demonstrations.
        seeds: Of the scenes.
        execution_horizon: Steps executed before the policy looks again.
        action_dim: Size of an action.
        closed: What corruptions need in closed loop.
        open: What they need on demonstrations.
    """

    policy: str
    env: str | None
    data: str | None
    seeds: tuple[int, ...]
    execution_horizon: int
    action_dim: int | None
    closed: Ingredients
    open: Ingredients

    def load(self) -> Checked:
        """Load the policy."""
        return load_policy(self.policy, self.action_dim)

    def weight(self, loop: str) -> int:
        """About how long a cell takes, for the progress bar."""
        return len(self.seeds) if loop == CLOSED else OPEN_WEIGHT


@dataclass(frozen=True)
class CellJob:
    """Plays some cells one after the other; call it with a progress report in any process.

    Args:
        setup: What is played.
        cells: Loop and condition of each.
        folder: Where the cells' files go.
    """

    setup: Setup
    cells: tuple[tuple[str, Condition], ...]
    folder: Path

    @property
    def weight(self) -> int:
        """About how long all of it takes."""
        return sum(self.setup.weight(loop) for loop, _ in self.cells)

    def __call__(self, report: Report) -> None:
        """Play and save every cell."""
        player = _Player(self.setup)
        done = 0
        for loop, condition in self.cells:
            path = cell_file(self.folder, loop, condition)
            save_result(path, player.play(loop, condition, report, (done, self.weight)))
            done += self.setup.weight(loop)
            report(loop, done / self.weight, condition.key)


class _Player:
    """What a process keeps between cells: the policy, and the demonstrations once asked for."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.policy = setup, setup.load()

    @cached_property
    def open_loop(self) -> OpenLoop:
        return OpenLoop(self.policy, held_out(self.setup.data or "", self.policy), self.setup.open)

    def play(
        self, loop: str, condition: Condition, report: Report, progress: tuple[int, int]
    ) -> Cell:
        if loop == OPEN:
            return self.open_loop.ask(condition)
        scenes, (before, weight) = 0, progress

        def on_episode(_: object) -> None:
            nonlocal scenes
            scenes += 1
            report(loop, (before + scenes) / weight, condition.key)

        setup = self.setup
        policy = self.policy
        make_env = EnvFactory(
            setup.env or "", policy.cameras, policy.image_size, view=view_of(policy)
        )
        return play(
            policy,
            make_env,
            condition,
            setup.seeds,
            setup.closed,
            execution_horizon=setup.execution_horizon,
            on_episode=on_episode,
            num_parallel=max_parallel(make_env.env),
        )


def open_data(path: str, policy: Checked) -> Demonstrations:
    """Open demonstrations as a policy reads them.

    Raises:
        DataError: If they are damaged, or hold other actions than the policy was trained with.
    """
    data = Demonstrations.open(
        path,
        cameras=policy.cameras,
        image_size=policy.image_size,
        observation_window=policy.observation_window,
        action_horizon=policy.action_horizon,
    )
    trained = getattr(policy.policy, "data", None)
    if isinstance(trained, DataSpec):
        refuse_other_actions(trained, data)
    return data


def held_out(path: str, policy: Checked) -> HeldOut:
    """Open demonstrations, and choose the steps that are asked about.

    Held out is what `plait train` and `plait compare` hold out unless told otherwise.
    """
    data = open_data(path, policy)
    _, episodes = split_episodes(data, DataConfig(path=path))
    steps = spread(data.steps_of(episodes), MAX_HELD_OUT_STEPS)
    return HeldOut(data, steps, training_stats(data).action.mean)


def training_stats(data: Demonstrations) -> NormStats:
    """Return statistics of the episodes that are not held out."""
    training, _ = split_episodes(data, DataConfig(path=str(data.root)))
    return data.norm_stats(training)


def cell_file(folder: Path, loop: str, condition: Condition) -> Path:
    """Return where a cell is kept."""
    return folder / CELLS_FOLDER / loop / f"{condition.key}.json"


def share_out(
    setup: Setup, cells: Sequence[tuple[str, Condition]], folder: Path, num_workers: int
) -> list[CellJob]:
    """Deal the cells that are not done to processes, in turn."""
    waiting = [cell for cell in cells if not cell_file(folder, *cell).exists()]
    return [CellJob(setup, hand, folder) for hand in deal(waiting, num_workers)]


def read_cells(folder: Path, loop: str, conditions: Sequence[Condition]) -> list[Cell]:
    """Read finished cells.

    Raises:
        DataError: If one is missing or unreadable.
    """
    return [load_result(cell_file(folder, loop, each), Cell) for each in conditions]


def distinct_held_out(held: HeldOut) -> int:
    """Count the different instructions of the steps that are asked about."""
    texts = [text for _, batch in held.batches() for text in batch.observation.instruction]
    return len(np.unique(texts))
