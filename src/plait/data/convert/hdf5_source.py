"""What the HDF5 formats have in common: an episode is a group that holds arrays by path."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from plait.data.convert.base import Source, make_episode
from plait.data.convert.hdf5 import (
    as_pictures,
    has,
    open_hdf5,
    read_numbers,
    read_vectors,
    subgroup,
    where,
)
from plait.data.episode import EpisodeData
from plait.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import h5py

SUFFIXES = (".hdf5", ".h5")
# Columns of robomimic's and LIBERO's demonstrations, by LeRobot's names.
DEMO_OUTCOMES = {"next.reward": "rewards", "next.done": "dones"}
MAX_HZ = 10_000
DEMO = re.compile(r"demo_(\d+)")


@dataclass(frozen=True)
class EpisodePlace:
    """Where an episode is.

    Attributes:
        file: The file.
        group: Path of its group in the file.
        instruction: The command.
    """

    file: Path
    group: str
    instruction: str


@dataclass(frozen=True, kw_only=True)
class Hdf5Source(Source):
    """Episodes in groups of one or more files.

    Attributes:
        path: The file, or the folder of the files.
        places: Where the episodes are.
        cameras: Arrays of images by camera, as paths in an episode's group.
        state: Arrays that make up the state.
        action: Arrays that make up the action.
        extras: Arrays of further columns by feature name; taken where an episode has them.
        rate: Steps a second, where the files say.
        robot: Name of the robot, where the files say.
        notes: What else is worth recording; JSON.
    """

    is_isolated: ClassVar[bool] = True

    path: Path
    places: tuple[EpisodePlace, ...]
    cameras: Mapping[str, str]
    state: tuple[str, ...]
    action: tuple[str, ...]
    extras: Mapping[str, str] = field(default_factory=dict)
    rate: int | None = None
    robot: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_episodes(self) -> int:
        """Number of groups."""
        return len(self.places)

    @property
    def fps(self) -> int | None:
        """Steps a second, where the files say."""
        return self.rate

    @property
    def robot_type(self) -> str | None:
        """Name of the robot, where the files say."""
        return self.robot

    @property
    def files(self) -> Sequence[Path]:
        """The files, each once."""
        return tuple(dict.fromkeys(place.file for place in self.places))

    @property
    def taken(self) -> dict[str, Any]:
        """Arrays by use."""
        return {
            "cameras": dict(self.cameras),
            "state": list(self.state),
            "action": list(self.action),
            **self.notes,
        }

    def read(self, index: int) -> EpisodeData:
        """Read one group."""
        place = self.places[index]
        with open_hdf5(place.file) as file:
            group = subgroup(file, place.group) if place.group else file
            return make_episode(
                where(group),
                images={
                    camera: self.pictures(group, name) for camera, name in self.cameras.items()
                },
                proprio=read_vectors(group, self.state),
                action=read_vectors(group, self.action),
                instruction=place.instruction,
                extras={
                    key: _column(read_numbers(group, name))
                    for key, name in self.extras.items()
                    if has(group, name)
                },
            )

    def pictures(self, group: "h5py.Group", name: str) -> np.ndarray:
        """Read a camera's images; formats that compress them do otherwise."""
        return as_pictures(group, name, read_numbers(group, name))


def _column(values: np.ndarray) -> np.ndarray:
    """Return rewards and the like as a column; LeRobot has no double precision for them."""
    values = values.reshape(len(values), -1)
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def hdf5_files(path: Path, order: Callable[[Path], Any] = str) -> list[Path]:
    """Return the file itself, or those in a folder.

    Raises:
        DataError: If there is none.
    """
    if path.is_file():
        return [path]
    found = [file for file in path.glob("*") if file.suffix in SUFFIXES] if path.is_dir() else []
    if not found:
        raise DataError(path, "no *.hdf5 file", "HDF5 files")
    return sorted(found, key=order)


def demo_names(file: "h5py.File") -> list[str]:
    """Return the groups `data/demo_0`, `data/demo_1` ... in the order of their numbers.

    Raises:
        DataError: If there is none.
    """
    names = subgroup(file, "data").keys()
    matches = {name: DEMO.fullmatch(name) for name in names}
    found = {name: int(match[1]) for name, match in matches.items() if match}
    if not found:
        raise DataError(file.filename, "no data/demo_0, demo_1 ...", "demonstrations")
    return sorted(found, key=lambda name: found[name])


def choose_arrays(
    kind: str, wanted: Sequence[str], usual: Sequence[str], known: Sequence[str], group: str = ""
) -> tuple[str, ...]:
    """Return the paths of the arrays wanted, or of the usual ones that are there.

    Args:
        kind: What they are for, as the option is called.
        wanted: Names, without `group`.
        usual: Names to take where none is wanted.
        known: Names that are there.
        group: What stands before each, e.g. `obs/`.

    Raises:
        UnknownNameError: If one that is wanted is not there, or none that is usual is.
    """
    names = tuple(wanted) or tuple(name for name in usual if name in known)
    for name in names or (" or ".join(usual),):
        if name not in known:
            hint = f"Choose with --{kind}"
            raise UnknownNameError(f"array for the {kind}", name, known, hint=hint)
    return tuple(group + name for name in names)


def control_hz(env: Mapping[str, Any]) -> int | None:
    """Return the steps a second that robosuite's `env_args` tell."""
    kwargs = env.get("env_kwargs")
    rate = kwargs.get("control_freq") if isinstance(kwargs, dict) else None
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        return None
    return int(rate) if 1 <= rate <= MAX_HZ and rate == int(rate) else None


def robot_name(env: Mapping[str, Any]) -> str | None:
    """Return the robots that robosuite's `env_args` tell."""
    kwargs = env.get("env_kwargs")
    robots = kwargs.get("robots") if isinstance(kwargs, dict) else None
    if isinstance(robots, str):
        return robots
    if isinstance(robots, list) and robots and all(isinstance(name, str) for name in robots):
        return ", ".join(robots)
    return None
