"""The built-in tabletop as a family of environments."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from plait.envs.family import ActsByItself, Disturb, Environment, Family
from plait.envs.tabletop import ENV_ID
from plait.envs.tabletop.suites import suite_names, suite_options


class TabletopFamily(Family):
    """`tabletop/pick`, `tabletop/pick-holdout` and so on."""

    name = "tabletop"
    fps = 10
    robot_type = "plait_tabletop"

    def suites(self) -> tuple[str, ...]:
        """Return every suite and its variants."""
        return suite_names()

    def make(self, suite: str, options: Mapping[str, Any]) -> Environment:
        """Make the tabletop of a suite."""
        return gymnasium.make(ENV_ID, **{**suite_options(suite), **options})

    def expert(self, env: Environment) -> ActsByItself:
        """Return the proportional controller."""
        from plait.envs.tabletop.expert import Expert

        return Expert(env)

    def disturbance(self, share: float, rng: np.random.Generator) -> Disturb:
        """Disturb single steps."""
        from plait.envs.tabletop.expert import perturb

        return partial(perturb, rng=rng, probability=share)
