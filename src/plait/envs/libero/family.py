"""LIBERO as a family of environments."""

from collections.abc import Iterable, Mapping
from itertools import count, islice
from typing import Any

import numpy as np

from plait.envs.family import ActsByItself, Disturb, Environment, Family
from plait.envs.gusts import Gusts
from plait.envs.libero.suites import SUITES, find_suite, suite_named
from plait.envs.opengl import RenderProfile

# Far from every seed of recordings, and a multiple of every suite's number of tasks: 1, 10 and 90.
RETRY_STRIDE = 4_500_000_000
MAX_ATTEMPTS = 10
DEMONSTRATIONS_PER_TASK = 50


class LiberoFamily(Family):
    """`libero/spatial`, `libero/object-lan`, `libero/goal/3` and so on."""

    name = "libero"
    fps = 20
    robot_type = "panda"
    default_noise = 0.2
    default_cameras = ("image", "wrist")
    default_image_size = 128
    has_lazy_pictures = True
    max_parallel = 4

    def suites(self) -> tuple[str, ...]:
        """Return LIBERO's suites and LIBERO-PRO's; each one's tasks have names, too."""
        return tuple(SUITES)

    def has(self, suite: str) -> bool:
        """Whether it is a suite, or a single task such as `spatial/3`."""
        return find_suite(suite) is not None

    def make(self, suite: str, options: Mapping[str, Any]) -> Environment:
        """Make the environment of a suite; pictures are taken as `render` says."""
        from plait.envs.libero.env import LiberoEnv

        given = dict(options)
        profile = RenderProfile.from_options(given)
        return LiberoEnv(suite, profile=profile, **given)

    def expert(self, env: Environment) -> ActsByItself:
        """Return the scripted expert of the running task."""
        from plait.envs.libero.expert import LiberoExpert

        return LiberoExpert(env)

    def num_demonstrations(self, suite: str) -> int:
        """Return fifty a task, as LIBERO's own are."""
        return DEMONSTRATIONS_PER_TASK * len(suite_named(suite).numbers)

    def disturbance(self, share: float, rng: np.random.Generator) -> Disturb:
        """Disturb a few steps in a row."""
        # At 20 Hz. By more, bowls are thrown off their cabinets.
        return Gusts(share, rng, scale=0.7, shortest=2, longest=6)

    def attempts(self, seed: int) -> Iterable[int]:
        """Return a few seeds of the same task."""
        return islice(count(seed, RETRY_STRIDE), MAX_ATTEMPTS)

    def recording_options(self) -> Mapping[str, Any]:
        """Return that demonstrations start elsewhere than evaluations do."""
        return {"are_states_fixed": False}

    def view(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the render profile."""
        return RenderProfile.from_options(dict(options)).to_dict()
