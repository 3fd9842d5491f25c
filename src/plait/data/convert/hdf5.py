"""HDF5 files read with care: no link is followed out of a file, no claim is believed unseen.

The library is in C, and damaged files can make it crash. Sources that use it are therefore read in
processes of their own.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from plait.backbones.loading import require_library
from plait.data.convert.base import COPY_AGAIN
from plait.data.convert.limits import refuse_implausible
from plait.errors import DataError, PlaitError

if TYPE_CHECKING:
    import h5py

AN_HDF5_FILE = "an HDF5 file"
MAX_NAMES = 20
# Hard links may form circles.
MAX_DEPTH = 3


@contextmanager
def open_hdf5(path: Path) -> Iterator["h5py.File"]:
    """Open a file for reading; whatever the library says in the block becomes one sentence.

    Raises:
        DataError: If the file is missing or damaged.
        PlaitError: If h5py is not installed.
    """
    library = require_library("h5py", "convert", user="reading HDF5 files")
    try:
        with library.File(path, "r") as file:
            yield file
    except PlaitError:
        raise
    except FileNotFoundError as error:
        raise DataError(path, "no such file", AN_HDF5_FILE) from error
    # What h5py raises for damaged files is any of these, by the place of the damage.
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(path, f"damaged ({reason})", AN_HDF5_FILE, COPY_AGAIN) from error
    except (MemoryError, OverflowError, RecursionError) as error:
        found = f"damaged ({type(error).__name__})"
        raise DataError(path, found, AN_HDF5_FILE, COPY_AGAIN) from error


def member(group: "h5py.Group", name: str) -> "h5py.Group | h5py.Dataset":
    """Return what a group holds under a path, through hard links alone.

    Raises:
        DataError: If it is not there, or is a link: one may lead out of the file.
    """
    import h5py

    place: Any = group
    for part in name.strip("/").split("/"):
        if not isinstance(place, h5py.Group) or part not in place.keys():  # noqa: SIM118
            names = _names(place) if isinstance(place, h5py.Group) else "an array"
            raise DataError(where(group), f"no {name} ({part} is missing among {names})", "it")
        if not isinstance(place.get(part, getlink=True), h5py.HardLink):
            found = f"{name} is a link, which may lead out of the file"
            raise DataError(where(group), found, "the data itself")
        place = place[part]
    return place


def has(group: "h5py.Group", name: str) -> bool:
    """Whether a group holds something under a path, not through a link."""
    try:
        member(group, name)
    except DataError:
        return False
    return True


def subgroup(group: "h5py.Group", name: str) -> "h5py.Group":
    """Return a group in a group.

    Raises:
        DataError: If it is not there, or is no group.
    """
    import h5py

    found = member(group, name)
    if not isinstance(found, h5py.Group):
        raise DataError(where(group), f"{name} is an array", "a group")
    return found


def read_numbers(group: "h5py.Group", name: str) -> ndarray:
    """Read an array of numbers, one row a step at least.

    Raises:
        DataError: If it is missing, holds something else, or claims more than is stored.
    """
    return _read_array(group, name, "buif", "numbers")


def read_names(group: "h5py.Group", name: str) -> list[str]:
    """Read an array of short texts.

    Raises:
        DataError: As `read_numbers`.
    """
    values = _read_array(group, name, "SO", "texts").ravel().tolist()
    if not all(isinstance(value, bytes) for value in values):
        raise DataError(where(group), f"{name} holds something else", "an array of texts")
    return [value.decode("utf-8", "replace") for value in values]


def _read_array(group: "h5py.Group", name: str, kinds: str, expected: str) -> ndarray:
    """Read an array of a kind of type, in NumPy's letters, if its claims are plausible."""
    import h5py

    array = member(group, name)
    if not isinstance(array, h5py.Dataset) or array.dtype.kind not in kinds or not array.ndim:
        kind = f"of type {array.dtype}" if isinstance(array, h5py.Dataset) else "a group"
        raise DataError(where(group), f"{name} is {kind}", f"an array of {expected}")
    if array.is_virtual or array.external:
        raise DataError(where(group), f"{name} lies in other files", "the data itself")
    stored = min(array.id.get_storage_size(), Path(group.file.filename).stat().st_size)
    chunk = math.prod(array.chunks) if array.chunks else 0
    for claim in (math.prod(array.shape), chunk):
        refuse_implausible(where(group), name, claim * array.dtype.itemsize, stored)
    return np.asarray(array[()])


def read_vectors(group: "h5py.Group", names: tuple[str, ...]) -> ndarray:
    """Read several arrays side by side, as float32 `[steps, dims]`.

    Raises:
        DataError: As `read_numbers`, or if their lengths disagree.
    """
    parts = {name: read_numbers(group, name) for name in names}
    first = next(iter(parts))
    for name, part in parts.items():
        if len(part) != len(parts[first]):
            found = f"{len(part)} rows of {name}"
            raise DataError(where(group), found, f"{len(parts[first])}, as of {first}")
    # What float32 cannot hold becomes infinite, which is reported with its step.
    with np.errstate(over="ignore", invalid="ignore"):
        flat = [part.reshape(len(part), -1).astype(np.float32) for part in parts.values()]
    return np.concatenate(flat, axis=1)


def as_pictures(group: "h5py.Group", name: str, frames: ndarray) -> ndarray:
    """Return an array that was read, if it holds colour images.

    Raises:
        DataError: If it does not.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        found = f"{name} as {frames.dtype} {list(frames.shape)}"
        raise DataError(where(group), found, "uint8 [steps, height, width, 3]")
    return frames


def attribute_json(group: "h5py.Group", name: str) -> dict[str, Any]:
    """Return a JSON object that an attribute holds; empty where there is none.

    Raises:
        DataError: If it holds anything else.
    """
    text = group.attrs.get(name)
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        found = f"attribute {name} is not valid JSON ({error})"
        raise DataError(where(group), found, "a JSON object", COPY_AGAIN) from error
    if not isinstance(value, dict):
        raise DataError(where(group), f"attribute {name} is no object", "a JSON object", COPY_AGAIN)
    return value


def array_names(group: "h5py.Group") -> tuple[list[str], list[str]]:
    """Return the paths of the arrays in a group: those of images, and those of other numbers."""
    pictures: list[str] = []
    numbers: list[str] = []
    for name, array in _arrays(group):
        if array.dtype.kind in "buif" and array.ndim:
            is_picture = array.dtype == np.uint8 and array.ndim > 1 and array.size
            (pictures if is_picture else numbers).append(name)
    return pictures, numbers


def _arrays(group: "h5py.Group", prefix: str = "") -> Iterator[tuple[str, "h5py.Dataset"]]:
    """Yield the arrays in a group and its groups by path, links aside."""
    import h5py

    for name in group.keys():  # noqa: SIM118
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item = group[name]
            if isinstance(item, h5py.Dataset):
                yield prefix + name, item
            elif isinstance(item, h5py.Group) and prefix.count("/") < MAX_DEPTH:
                yield from _arrays(item, f"{prefix}{name}/")


def where(group: "h5py.Group") -> str:
    """Name a group and its file, for messages."""
    return group.file.filename + (f", {group.name.strip('/')}" if group.name != "/" else "")


def _names(group: "h5py.Group") -> str:
    names = list(group.keys())
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return (", ".join(names[:MAX_NAMES]) or "nothing") + more
