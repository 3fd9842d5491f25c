"""Does it listen? Scenes in which the policy is given another instruction that is feasible, too.

In such a scene the pictures and the robot's state are those of the scene's own task; the command
alone says that something else is wanted. A policy that does the scene's own task, or anything
else, did not listen.

Only the tabletop can be asked which tasks a scene allows and judged by two of them at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np

from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.rules import RUNNING, SUCCESS, Referee
from plait.envs.tabletop.suites import MAX_STEPS
from plait.envs.tabletop.tasks import Task, is_held_out
from plait.errors import OptionError
from plait.evaluation.rollout import Environment
from plait.results.stress import INSTRUCTED, NEITHER, ORIGINAL


class OtherInstruction(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A tabletop that asks for another task than its scene would, and judges by both.

    The episode ends when either task is done, when both have failed, or when the time is up.
    `info["outcome"]` is then `instructed`, `original` or `neither`.

    Args:
        env: A tabletop, wrapped or not.

    Raises:
        OptionError: If it is none.
    """

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self._tabletop = tabletop_of(env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a scene with another of its tasks, drawn from its seed.

        Raises:
            OptionError: If the scene allows no other task, or options ask for one.
        """
        if seed is None or options:
            raise OptionError("a scene with another instruction follows from its seed alone")
        self.env.reset(seed=seed)
        self.own = self._tabletop.task
        others = other_tasks(self._tabletop)
        if not others:
            raise OptionError(f"the scene of seed {seed} allows no other task than {self.own}")
        choice = int(np.random.default_rng([seed, 2]).integers(len(others)))
        observation, info = self.env.reset(seed=seed, options={"task": others[choice]})
        self._referee = Referee(self._tabletop.world, self.own)
        self._asked, self._unasked = RUNNING, RUNNING
        # The tabletop counts no steps once it has judged: the wrong thing may be held for ever.
        self._steps_left = MAX_STEPS[others[choice].verb]
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act, and let both referees judge; the first word of each counts."""
        observation, reward, _, is_late, info = self.env.step(action)
        self._steps_left -= 1
        if self._asked == RUNNING and not is_late:
            self._asked = info["outcome"]
        if self._unasked == RUNNING:
            self._unasked = self._referee.judge().outcome
        outcome = self._outcome()
        has_ended = outcome != NEITHER or RUNNING not in (self._asked, self._unasked)
        info = {**info, "outcome": outcome, "success": outcome == INSTRUCTED}
        return observation, reward, has_ended, is_late or self._steps_left <= 0, info

    def _outcome(self) -> str:
        if self._asked == SUCCESS:
            return INSTRUCTED
        return ORIGINAL if self._unasked == SUCCESS else NEITHER


def tabletop_of(env: Environment) -> TabletopEnv:
    """Return the tabletop inside an environment.

    Raises:
        OptionError: If there is none.
    """
    tabletop = env.unwrapped
    if not isinstance(tabletop, TabletopEnv):
        raise OptionError(
            f"whether a policy listens is asked in the tabletop, which can say what else a scene "
            f"allows, but {type(tabletop).__name__} was given"
        )
    return tabletop


def other_tasks(env: TabletopEnv) -> list[Task]:
    """Return what else could be asked in the present scene, of what training shows."""
    return [
        task
        for task in env.feasible_tasks()
        if task != env.task and not is_held_out(task.verb, task.thing)
    ]


def listenable(make_env: Callable[[], Environment], seeds: Sequence[int]) -> list[int]:
    """Return the seeds of scenes that allow another task."""
    env = make_env()
    tabletop = tabletop_of(env)
    chosen = []
    for seed in seeds:
        env.reset(seed=seed)
        if other_tasks(tabletop):
            chosen.append(seed)
    env.close()
    return chosen
