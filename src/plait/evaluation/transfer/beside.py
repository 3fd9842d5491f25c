"""The scenes of combinations that were never shown, asked for one that was.

Held-out suites differ from training in two ways: in what is asked for, and in that things lie on
the table which training scenes never hold. Here only the second is left, so the difference between
the two, scene by scene, is what the combination itself costs.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import gymnasium
import numpy as np

from plait.envs.tabletop.asking import Combination
from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.tasks import Task
from plait.errors import OptionError
from plait.evaluation.rollout import Environment
from plait.evaluation.stress.listening import tabletop_of


class AskedBeside(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A tabletop that asks, in each of its scenes, for a combination that training showed.

    Args:
        env: A tabletop, wrapped or not.
        shown: Combinations that training showed.

    Raises:
        OptionError: If it is no tabletop.
    """

    def __init__(self, env: Environment, shown: Collection[Combination]) -> None:
        super().__init__(env)
        self._tabletop, self._shown = tabletop_of(env), shown

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a scene with one of its tasks that was shown, drawn from its seed.

        Raises:
            OptionError: If the scene allows none, or options ask for one.
        """
        if seed is None or options:
            raise OptionError("what is asked for beside a held-out task follows from the seed")
        self.env.reset(seed=seed)
        tasks = shown_tasks(self._tabletop, self._shown)
        if not tasks:
            raise OptionError(f"the scene of seed {seed} allows no task that was shown")
        choice = int(np.random.default_rng([seed, 3]).integers(len(tasks)))
        return self.env.reset(seed=seed, options={"task": tasks[choice]})


def shown_tasks(env: TabletopEnv, shown: Collection[Combination]) -> list[Task]:
    """Return what the present scene allows, was shown, and is of the verb that it asks for."""
    verb = env.task.verb
    tasks = (task for task in env.feasible_tasks() if task.verb == verb)
    return [task for task in tasks if (task.verb, task.thing) in shown]


def askable(
    make_env: Callable[[], Environment], seeds: Sequence[int], shown: Collection[Combination]
) -> list[int]:
    """Return the seeds of scenes that allow a task that was shown."""
    env = make_env()
    tabletop = tabletop_of(env)
    chosen = []
    for seed in seeds:
        env.reset(seed=seed)
        if shown_tasks(tabletop, shown):
            chosen.append(seed)
    env.close()
    return chosen
