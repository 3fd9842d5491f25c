"""Meta-World as a family of environments."""

from collections.abc import Iterable, Mapping
from itertools import count, islice
from typing import Any

import numpy as np

from plait.envs.family import ActsByItself, Disturb, Environment, Family
from plait.envs.gusts import Gusts
from plait.envs.metaworld.tasks import SUITES, groups_of, suite_tasks
from plait.envs.opengl import RenderProfile

# Far from every seed of recordings and evaluations, and a multiple of every suite's number of
# tasks: 1, 5, 6, 10, 11, 28 and 50.
RETRY_STRIDE = 4_620_000_000
MAX_ATTEMPTS = 10
DEMONSTRATIONS_PER_TASK = 50


class MetaWorldFamily(Family):
    """`metaworld/MT10`, `metaworld/MT50`, `metaworld/hard`, `metaworld/push-v3` and so on."""

    name = "metaworld"
    fps = 80
    robot_type = "sawyer"
    default_cameras = ("corner2",)
    default_image_size = 96
    has_lazy_pictures = True
    max_parallel = 16

    def suites(self) -> tuple[str, ...]:
        """Return suites, difficulties and single tasks."""
        return tuple(SUITES)

    def make(self, suite: str, options: Mapping[str, Any]) -> Environment:
        """Make the environment of a suite; pictures are taken as `render` says."""
        from plait.envs.metaworld.env import MetaWorldEnv

        given = dict(options)
        profile = RenderProfile.from_options(given)
        return MetaWorldEnv(suite, profile=profile, **given)

    def expert(self, env: Environment) -> ActsByItself:
        """Return the benchmark's script for the running task."""
        from plait.envs.metaworld.expert import MetaWorldExpert

        return MetaWorldExpert(env)

    def num_demonstrations(self, suite: str) -> int:
        """Return fifty a task, as the papers have."""
        return DEMONSTRATIONS_PER_TASK * len(suite_tasks(suite))

    def disturbance(self, share: float, rng: np.random.Generator) -> Disturb:
        """Push the hand aside by up to a few decimetres."""
        # At 80 Hz. Pushes of a few centimetres leave a policy lost once it strays (docs/log.md).
        return Gusts(share, rng, scale=1.0, shortest=5, longest=25)

    def attempts(self, seed: int) -> Iterable[int]:
        """Return a few seeds of the same task."""
        return islice(count(seed, RETRY_STRIDE), MAX_ATTEMPTS)

    def view(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the render profile."""
        return RenderProfile.from_options(dict(options)).to_dict()

    def groups(self, suite: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Return the tasks by difficulty, and those that share a scene."""
        return groups_of(suite)
