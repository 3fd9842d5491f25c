"""Pictures that are taken only when they are looked at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import UInt8

from plait.errors import OptionError


@runtime_checkable
class TakesPictures(Protocol):
    """An environment whose pictures can wait."""

    # Counts every reset and step, so that a late look at a picture is noticed.
    time: int

    def take_picture(self, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture of this moment."""


@runtime_checkable
class KeepsMoments(TakesPictures, Protocol):
    """An environment whose pictures can wait for as long as the episode is the running one."""

    def moment(self) -> Any:
        """Keep what `take_picture_of` needs."""

    def take_picture_of(self, moment: Any, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture of an earlier moment, the same as it would have been then.

        Raises:
            OptionError: If another episode has begun.
        """


def can_wait(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether lazy pictures can be looked at until the next episode, not only the next step."""
    return isinstance(env.unwrapped, KeepsMoments)


class Pictures(Mapping[str, UInt8[np.ndarray, "size size 3"]]):
    """Pictures that are taken when they are looked at, once each.

    A policy that executes four actions before it looks again needs one picture in four, and a
    picture costs several times what a step of physics does.

    Args:
        env: Takes them; one that keeps moments is asked for this one.
        cameras: Which can be looked at.
    """

    def __init__(self, env: TakesPictures, cameras: Sequence[str]) -> None:
        self._env, self._cameras, self._time = env, tuple(cameras), env.time
        self._moment = env.moment() if isinstance(env, KeepsMoments) else None
        self._taken: dict[str, UInt8[np.ndarray, "size size 3"]] = {}

    def __getitem__(self, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        if camera not in self._cameras:
            raise KeyError(camera)
        if camera not in self._taken:
            self._taken[camera] = self._take(camera)
        return self._taken[camera]

    def _take(self, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        if self._env.time == self._time:
            return self._env.take_picture(camera)
        if isinstance(self._env, KeepsMoments):
            return self._env.take_picture_of(self._moment, camera)
        raise OptionError(
            f"the picture of {camera} was not taken while its moment lasted; look at it before "
            "the next step"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._cameras)

    def __len__(self) -> int:
        return len(self._cameras)
