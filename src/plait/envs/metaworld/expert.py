"""The benchmark's scripted experts, and disturbances that show how to recover."""

import warnings
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float32

from plait.envs.metaworld.env import MetaWorldEnv
from plait.envs.metaworld.requirements import import_metaworld
from plait.errors import OptionError

Action = Float32[np.ndarray, "4"]


class MetaWorldExpert:
    """Acts on the privileged state by the benchmark's own script for the task.

    Args:
        env: A Meta-World environment, wrapped or not, after its reset.

    Raises:
        OptionError: If the environment is another.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        own = env.unwrapped
        if not isinstance(own, MetaWorldEnv):
            raise OptionError(f"the expert acts in Meta-World, but {own} was given")
        self._env = own
        self._script = import_metaworld().policies.ENV_POLICY_MAP[own.task.name]()

    def act(self) -> Action:
        """Return the action for the state the environment is in now."""
        with warnings.catch_warnings():
            # The scripts ask for more than an action can, and say so at every step.
            warnings.simplefilter("ignore", UserWarning)
            action = self._script.get_action(self._env.simulator.state)
        return np.clip(action, -1.0, 1.0).astype(np.float32)


class Gusts:
    """Pushes the hand aside for a few steps in a row, now and then.

    At 80 Hz a disturbance of single steps averages out before it leads anywhere; one that lasts
    moves the hand by centimetres (in the sense of DART, Laskey et al., 2017).

    Args:
        share: Of the steps, that are disturbed.
        rng: Where chance comes from.
        scale: Standard deviation of the push, in units of the action.
    """

    SHORTEST, LONGEST = 3, 10

    def __init__(self, share: float, rng: np.random.Generator, scale: float = 0.6) -> None:
        self._share, self._rng, self._scale = share, rng, scale
        self._push, self._steps_left = np.zeros(3, np.float32), 0

    def __call__(self, action: Action) -> Action:
        """Return what to execute; the gripper's command is never disturbed."""
        if not self._steps_left and self._rng.random() < self._start_probability:
            self._steps_left = int(self._rng.integers(self.SHORTEST, self.LONGEST + 1))
            self._push = (self._scale * self._rng.standard_normal(3)).astype(np.float32)
        if not self._steps_left:
            return action
        self._steps_left -= 1
        disturbed = action.copy()
        disturbed[:3] += self._push
        return np.clip(disturbed, -1.0, 1.0)

    @property
    def _start_probability(self) -> float:
        """Probability that a gust starts where there is none, for the wanted share in the long run.

        With probability p, a gust of mean length L follows (1 - p) / p calm steps.
        """
        length = (self.SHORTEST + self.LONGEST) / 2
        return self._share / (self._share + length * (1 - self._share))
