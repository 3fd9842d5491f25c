"""Zarr as Diffusion Policy and UMI write it, in a folder or a zip file.

Episodes follow one another in the arrays of `data/`, their ends are in `meta/episode_ends`. There
is no language, and no rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from plait.data.convert.base import COPY_AGAIN, Selection, Source, choose, make_episode
from plait.data.convert.zarr_array import METADATA, ZarrArray
from plait.data.convert.zarr_store import A_ZARR_GROUP, ZarrStore
from plait.data.episode import EpisodeData
from plait.errors import DataError, OptionError, UnknownNameError

DATA, ENDS = "data/", "meta/episode_ends"
STATES = (
    ("state",),
    ("robot_eef_pose",),
    ("robot0_eef_pos", "robot0_eef_rot_axis_angle", "robot0_gripper_width"),
)
ACTION = "action"
# UMI stores no actions: one is the state that follows.
NEXT_STATE = "next_state"


@dataclass(frozen=True)
class ZarrSource(Source):
    """One group.

    Attributes:
        path: The folder, or the zip file.
        ends: The row after each episode's last.
        arrays: Arrays that are taken, by name.
        cameras: Names of those that hold images.
        state: Names of those that make up the state.
        action: Names of those that make up the action, or `next_state` alone.
        instruction: The command of every episode.
    """

    is_isolated: ClassVar[bool] = True

    path: Path
    ends: tuple[int, ...]
    arrays: Mapping[str, ZarrArray]
    cameras: tuple[str, ...]
    state: tuple[str, ...]
    action: tuple[str, ...]
    instruction: str

    @classmethod
    def open(cls, path: Path, selection: Selection) -> "ZarrSource":
        """Open a group and check that its arrays have the rows that the episodes name."""
        if selection.instruction is None:
            raise OptionError(
                f"{path} has no instructions: the format holds none; give the command of all "
                "episodes with --instruction"
            )
        store = ZarrStore(path)
        names = _array_names(store)
        arrays = {name: ZarrArray.open(store, DATA + name) for name in names}
        ends = _read_ends(store)
        pictures = [name for name, array in arrays.items() if _is_picture(array)]
        numbers = [name for name in names if name not in pictures]
        cameras = choose("camera", selection.cameras, pictures)
        state = _state(selection.state, numbers)
        action = _action(selection.action, numbers)
        taken = {name: arrays[name] for name in (*cameras, *state, *action) if name != NEXT_STATE}
        for name, array in taken.items():
            if array.shape[0] != ends[-1]:
                found = f"{array.shape[0]:,} rows of {DATA}{name}"
                raise DataError(path, found, f"{ends[-1]:,}, the last of {ENDS}", COPY_AGAIN)
        return cls(path, ends, taken, cameras, state, action, selection.instruction)

    @property
    def num_episodes(self) -> int:
        """Number of ends."""
        return len(self.ends)

    @property
    def files(self) -> Sequence[Path]:
        """All files of the group."""
        return ZarrStore(self.path).files

    @property
    def taken(self) -> dict[str, Any]:
        """Arrays by use."""
        return {
            "cameras": list(self.cameras),
            "state": list(self.state),
            "action": list(self.action),
        }

    def read(self, index: int) -> EpisodeData:
        """Read the rows of one episode."""
        start, stop = (0, *self.ends)[index : index + 2]
        where = f"{self.path}, rows {start} to {stop}"
        state = self._vectors(self.state, start, stop)
        if self.action == (NEXT_STATE,):
            action, state, stop = state[1:], state[:-1], stop - 1
        else:
            action = self._vectors(self.action, start, stop)
        return make_episode(
            where,
            images={name: self._pictures(where, name, start, stop) for name in self.cameras},
            proprio=state,
            action=action,
            instruction=self.instruction,
            extras={},
        )

    def _vectors(
        self, names: Sequence[str], start: int, stop: int
    ) -> Float32[ndarray, "steps dims"]:
        parts = [self.arrays[name].read(start, stop) for name in names]
        # What float32 cannot hold becomes infinite, which is reported with its step.
        with np.errstate(over="ignore", invalid="ignore"):
            flat = [part.reshape(len(part), -1).astype(np.float32) for part in parts]
        return np.concatenate(flat, axis=1)

    def _pictures(
        self, where: str, name: str, start: int, stop: int
    ) -> UInt8[ndarray, "steps height width_px 3"]:
        """Return images; Diffusion Policy holds some as floats that are whole numbers."""
        frames = self.arrays[name].read(start, stop)
        if frames.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole = frames.astype(np.uint8)
            if not np.array_equal(whole, frames):
                found = f"{DATA}{name} with numbers other than 0, 1 ... 255"
                raise DataError(where, found, "images of 8 bits")
            return whole
        return np.ascontiguousarray(frames)


def _array_names(store: ZarrStore) -> list[str]:
    """Return the arrays in `data/`."""
    if not store.path.exists():
        raise DataError(store.path, "no such file or folder", A_ZARR_GROUP)
    files = store.sizes(DATA)
    suffix = f"/{METADATA}"
    names = [key[len(DATA) : -len(suffix)] for key in files if key.endswith(suffix)]
    if not names:
        is_newer = any(key.endswith("zarr.json") for key in files)
        found = "Zarr format 3" if is_newer else f"no {DATA}*/{METADATA}"
        raise DataError(store.path, found, f"{A_ZARR_GROUP}, of format 2")
    return sorted(names)


def _is_picture(array: ZarrArray) -> bool:
    is_float = np.dtype(array.dtype).kind == "f"
    is_byte = np.dtype(array.dtype) == np.uint8
    return len(array.shape) == 4 and array.shape[3] == 3 and (is_float or is_byte)


def _read_ends(store: ZarrStore) -> tuple[int, ...]:
    """Return where the episodes end.

    Raises:
        DataError: If the ends do not rise, or are no whole numbers.
    """
    array = ZarrArray.open(store, ENDS)
    if np.dtype(array.dtype).kind not in "iu" or len(array.shape) != 1 or not array.shape[0]:
        found = f"{ENDS} of type {array.dtype} and shape {list(array.shape)}"
        raise DataError(store.path, found, "a list of whole numbers", COPY_AGAIN)
    ends = [int(end) for end in array.read(0, array.shape[0])]
    for index, (before, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if end <= before:
            found = f"{ENDS}[{index}] = {end} after {before}"
            raise DataError(store.path, found, "numbers that rise from 1", COPY_AGAIN)
    return tuple(ends)


def _state(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    usual = next((names for names in STATES if set(names) <= set(known)), STATES[0])
    names = tuple(wanted) or usual
    for name in names:
        if name not in known:
            raise UnknownNameError("array for the state", name, known, hint="Choose with --state")
    return names


def _action(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(wanted) or (ACTION,)
    if names == (NEXT_STATE,):
        return names
    for name in names:
        if name not in known:
            hint = f"Choose with --action; {NEXT_STATE} takes the state that follows, as UMI does"
            raise UnknownNameError("array for the action", name, known, hint=hint)
    return names
