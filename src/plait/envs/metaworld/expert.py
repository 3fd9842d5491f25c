"""The benchmark's scripted experts."""

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
