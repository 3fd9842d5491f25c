"""Which format stands there, judged by names and suffixes; HDF5 files are looked into."""

from pathlib import Path

from plait.data.convert import formats
from plait.data.convert.base import Source
from plait.data.convert.hdf5 import has, member, open_hdf5
from plait.data.convert.hdf5_source import SUFFIXES, hdf5_files
from plait.data.convert.tfds import FEATURES_FILE
from plait.data.lerobot.format import INFO_FILE
from plait.data.process_map import process_map
from plait.discovery import available, load
from plait.errors import DataError, UnknownNameError

# Not a file in `formats/`: its episodes are copied, not read.
LEROBOT = "lerobot"
MAX_DETECTING_S = 60.0


def known_formats() -> list[str]:
    """List the names of the formats."""
    return sorted([*available(formats), LEROBOT])


def load_format(name: str) -> type[Source]:
    """Return the class of a format.

    Raises:
        UnknownNameError: If there is no such format.
    """
    if ":" not in name and name not in known_formats():
        hint = "A class of your own is written module:Class"
        raise UnknownNameError("format", name, known_formats(), hint=hint)
    return load(formats, name, Source)  # type: ignore[type-abstract]


def detect(path: Path) -> str:
    """Return the name of the format of a file or folder.

    Raises:
        DataError: If nothing stands there, or nothing that is known.
    """
    known = f"one of {', '.join(known_formats())}"
    if not path.exists():
        raise DataError(path, "no such file or folder", known)
    if (path / FEATURES_FILE).exists() or any(path.glob(f"*/{FEATURES_FILE}")):
        return "rlds"
    if (path / INFO_FILE).exists():
        return LEROBOT
    if path.suffix == ".zip" or (path / ".zgroup").exists() or path.suffix == ".zarr":
        return "zarr"
    if path.suffix in SUFFIXES or any(file.suffix in SUFFIXES for file in path.glob("*")):
        # In a process of its own: the library may crash on what is no HDF5 file.
        return next(process_map(_hdf5_format, [path], 1, MAX_DETECTING_S))
    raise DataError(path, "no format that is known", known, "Name the format with --format")


def _hdf5_format(path: Path) -> str:
    """Tell the HDF5 formats apart by what the first file holds."""
    first = hdf5_files(path)[0]
    with open_hdf5(first) as file:
        if has(file, "observations"):
            return "aloha"
        if has(file, "data"):
            return "libero" if "problem_info" in member(file, "data").attrs else "robomimic"
        found = f"groups {', '.join(list(file.keys())[:10]) or 'none'}"
    raise DataError(first, found, "data/demo_0 (robomimic, LIBERO) or observations (ALOHA)")
