"""The contract of a family of environments: what recording and evaluating need to know of one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import gymnasium
import numpy as np

Environment = gymnasium.Env[Any, Any]
Disturb = Callable[[np.ndarray], np.ndarray]


@runtime_checkable
class ActsByItself(Protocol):
    """A scripted expert of the running episode."""

    def act(self) -> np.ndarray:
        """Return the action for the state the environment is in now."""


class Family(ABC):
    """Environments of one kind, named `name/suite`.

    Attributes:
        name: First part of the environments' names.
        fps: Control steps a second.
        robot_type: Name of the robot, for the record.
        default_noise: Share of recorded steps to disturb.
        default_num_demonstrations: Episodes that a comparison records.
        default_cameras: What policies see through unless told otherwise.
        default_image_size: Height and width of their pictures in pixels.
        has_lazy_pictures: Whether environments take the option `are_pictures_lazy`: a picture is
            then taken when it is looked at.
        max_parallel: Environments that one process may hold, by the memory that each takes.
    """

    name: ClassVar[str]
    fps: ClassVar[int]
    robot_type: ClassVar[str]
    default_noise: ClassVar[float] = 0.3
    default_num_demonstrations: ClassVar[int] = 8000
    default_cameras: ClassVar[tuple[str, ...]] = ("base",)
    default_image_size: ClassVar[int] = 64
    has_lazy_pictures: ClassVar[bool] = False
    max_parallel: ClassVar[int] = 32

    @abstractmethod
    def suites(self) -> tuple[str, ...]:
        """Return the second part of every name that is shown to people."""

    def has(self, suite: str) -> bool:
        """Whether there is an environment of this second part of a name."""
        return suite in self.suites()

    @abstractmethod
    def make(self, suite: str, options: Mapping[str, Any]) -> Environment:
        """Make an environment.

        Raises:
            TypeError: If it has no such option.
            MissingBenchmarkError: If its package is not installed.
        """

    @abstractmethod
    def expert(self, env: Environment) -> ActsByItself:
        """Return an expert for the episode that has just begun."""

    @abstractmethod
    def disturbance(self, share: float, rng: np.random.Generator) -> Disturb:
        """Return what turns an expert's action into the one to execute.

        Args:
            share: Of the steps, that are disturbed.
            rng: Where chance comes from.
        """

    def attempts(self, seed: int) -> Iterable[int]:
        """Return the seeds to try, in order, until the expert succeeds; of the same task each."""
        return (seed,)

    def num_demonstrations(self, suite: str) -> int:
        """Return how many episodes of a suite are recorded where nobody says how many."""
        del suite
        return self.default_num_demonstrations

    def recording_options(self) -> Mapping[str, Any]:
        """Return options of an environment that demonstrations are recorded in."""
        return {}

    def view(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return how pictures are taken with these options, in JSON; empty for the one way."""
        del options
        return {}

    def groups(self, suite: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Return the tasks of a suite that are summed up together: by kind of group, by its name.

        Empty where nobody groups them.

        Raises:
            UnknownNameError: If there is no such suite.
        """
        del suite
        return {}
