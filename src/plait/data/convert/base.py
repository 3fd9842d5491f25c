"""The contract of a format: open what stands on disk, check it, hand out episode after episode."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy import ndarray

from plait.data.episode import EpisodeData
from plait.data.files import reason
from plait.errors import DataError, UnknownNameError

COPY_AGAIN = "Copy or download it again"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is taken from a source; each format has its own defaults for what is left empty.

    Attributes:
        cameras: Cameras, as the source names them.
        state: What makes up the robot's state, joined in this order.
        action: What makes up the action, joined in this order.
        instruction: The command of every episode, whatever the source says.
        split: Which part of a source that is divided.
    """

    cameras: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    instruction: str | None = None
    split: str | None = None


class Source(ABC):
    """A dataset of another format that was opened and checked; picklable.

    A concrete class is a dataclass of plain values: several processes read from copies of it.
    """

    # Libraries in C may crash on damaged files; such formats are read in processes of their own.
    is_isolated: ClassVar[bool] = False

    path: Path

    @classmethod
    @abstractmethod
    def open(cls, path: Path, selection: Selection) -> "Source":
        """Open and check a dataset without reading its episodes.

        Raises:
            DataError: Naming the file, what was found, what was expected, and what to do.
            UnknownNameError: If the selection names something that is not there.
        """

    @property
    @abstractmethod
    def num_episodes(self) -> int:
        """Number of episodes."""

    @property
    def fps(self) -> int | None:
        """Steps a second, where the format says."""
        return None

    @property
    def robot_type(self) -> str | None:
        """Name of the robot, where the format says."""
        return None

    @property
    @abstractmethod
    def files(self) -> Sequence[Path]:
        """All files that are read, for the fingerprint."""

    @property
    @abstractmethod
    def taken(self) -> dict[str, Any]:
        """What is taken, by the source's own names, for the record; JSON."""

    @abstractmethod
    def read(self, index: int) -> EpisodeData:
        """Read one episode, exactly as it is stored.

        Raises:
            DataError: Naming file, record and field.
        """


def make_episode(
    where: str,
    *,
    images: Mapping[str, ndarray],
    proprio: ndarray,
    action: ndarray,
    instruction: str,
    extras: Mapping[str, ndarray],
) -> EpisodeData:
    """Put an episode together from parts that may disagree.

    Args:
        where: File and record, for the message.
        images: As in `EpisodeData`, as is what follows.
        proprio: State.
        action: Actions.
        instruction: The command.
        extras: Further columns.

    Raises:
        DataError: If they disagree, or hold NaN.
    """
    parts = {**{f"images of {name}": frames for name, frames in images.items()}, "state": proprio}
    for name, values in {**parts, **extras}.items():
        if len(values) != len(action):
            found = f"{len(values)} steps of {name}"
            raise DataError(where, found, f"{len(action)}, one an action", COPY_AGAIN)
    episode = EpisodeData(images, proprio, action, instruction, extras)
    episode.check(where)
    return episode


def choose(kind: str, wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names wanted, or all known ones where none are.

    Raises:
        UnknownNameError: If one of them is not known.
    """
    for name in wanted:
        if name not in known:
            raise UnknownNameError(kind, name, known)
    return tuple(wanted) or tuple(known)


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: If the file is missing or holds anything else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", expected) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({reason(error)})", expected) from error
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"not valid JSON ({error})", expected, COPY_AGAIN) from error
    if not isinstance(value, dict):
        raise DataError(path, f"a {type(value).__name__}", expected, COPY_AGAIN)
    return value
