"""Every camera decoded once into a memory-mapped uint8 array, shared by all that train from it.

The name of a cache file holds a hash of its sources and of the size; a file that is there is
whole, since it was renamed into place; a lock keeps two processes from decoding the same camera.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from numpy.typing import DTypeLike

from plait.data.files import locked, reason, whole_file
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import DataError, OutputError

# Stands for the array's layout and for the resize mode (the mean over the area of a pixel; 1 took
# that of a video from its frames in RGB, 2 from the decoder's own planes).
LAYOUT_VERSION = "2"
CACHE_FOLDER = ".plait_cache"
PROGRESS_INTERVAL = 256
KEY_LENGTH = 16
Progress = Callable[[int, int], None]


def open_frames(
    reader: LeRobotReader,
    camera: str,
    size: int | None,
    on_progress: Progress | None = None,
) -> UInt8[ndarray, "steps 3 height width_px"]:
    """Return a camera's frames as a memory map, decoding them the first time.

    Args:
        reader: The dataset.
        camera: Which camera.
        size: Height and width to resize to in pixels; as recorded where None.
        on_progress: Called with frames done and frames in all.

    Raises:
        DataError: If the images are missing or damaged.
        OutputError: If there is no room for the cache.
    """
    height, width = (size, size) if size else reader.frame_size(camera)
    shape = (len(reader.action), 3, height, width)
    prefix = f"{camera.replace('/', '_')}-{size or 'full'}-"
    name = f"{prefix}{frames_key(reader, camera, size)}.npy"
    beside_data = reader.root / CACHE_FOLDER / name
    if not is_whole_array(beside_data, shape, np.uint8):
        path = cache_folder(reader.root) / name
        try:
            with locked(path.with_suffix(".lock")):
                # Another process may have built it while this one waited.
                if not is_whole_array(path, shape, np.uint8):
                    _build(reader, camera, path, shape, on_progress)
                    _remove_outdated(path, prefix)
        except OSError as error:
            raise OutputError(
                f"cannot cache the frames of {camera} in {path.parent}: "
                f"{reason(error)}. It takes {_mebibytes(shape)} MiB"
            ) from error
        beside_data = path
    return map_array(beside_data)


def frames_key(reader: LeRobotReader, camera: str, size: int | None) -> str:
    """Return a key that changes with the recording of a camera and with the size.

    Raises:
        DataError: If a file of the images is missing.
    """
    digest = hashlib.sha256(f"{LAYOUT_VERSION} {camera} {size}".encode())
    for file in reader.source_files(camera):
        if not file.exists():
            raise DataError(file, "no such file", f"the images of {camera}", "Copy it again")
        status = file.stat()
        name = file.relative_to(reader.root)
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}".encode())
    placement = reader.placement(camera)
    if placement:
        # The same video is other frames when the table of the episodes changes.
        digest.update(repr(placement).encode())
    return digest.hexdigest()[:KEY_LENGTH]


def cache_folder(root: Path) -> Path:
    """Return a folder to cache in: beside the data, or the user's own where that is read-only."""
    folder = root / CACHE_FOLDER
    try:
        folder.mkdir(exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    folder = base / "plait" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make a cache in {root} or {folder}: {reason(error)}. "
            "Set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return folder


def is_whole_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> bool:
    """Say whether a file holds a whole array of that form."""
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == np.dtype(dtype))


def map_array(path: Path) -> ndarray:
    """Map an array into memory, as a plain view: the subclass costs on every slice."""
    mapped: ndarray = np.load(path, mmap_mode="r")
    return mapped.view(np.ndarray)


def _build(
    reader: LeRobotReader,
    camera: str,
    path: Path,
    shape: tuple[int, ...],
    on_progress: Progress | None,
) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < np.prod(shape, dtype=np.int64):
        raise OutputError(
            f"the frames of {camera} take {_mebibytes(shape)} MiB, but {path.parent} has only "
            f"{free // 2**20} MiB free; free some space or choose a smaller image size"
        )
    # Written in order rather than through a memory map, where a full disk kills the process.
    with whole_file(path, path.with_suffix(f".{os.getpid()}.partial")) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        count = _write_frames(reader, camera, shape, file, on_progress)
        if count != shape[0]:
            found = f"{count} frames of camera {camera}"
            raise DataError(reader.root, found, f"{shape[0]}, one a step", "Copy it again")


def _write_frames(
    reader: LeRobotReader,
    camera: str,
    shape: tuple[int, ...],
    file: IO[bytes],
    on_progress: Progress | None,
) -> int:
    height, width_px = shape[2:]
    count = 0
    for frame in reader.frames(camera, (height, width_px)):
        file.write(np.ascontiguousarray(frame.transpose(2, 0, 1)).data)
        count += 1
        if on_progress is not None and (count % PROGRESS_INTERVAL == 0 or count == shape[0]):
            on_progress(count, shape[0])
    return count


def _remove_outdated(path: Path, prefix: str) -> None:
    """Delete caches of the same camera and size from before the dataset changed."""
    for other in path.parent.iterdir():
        key = other.name.removeprefix(prefix).partition(".")[0]
        # The length tells `cam-64-KEY` from the camera `cam-64` in `cam-64-64-KEY`.
        if other.name.startswith(prefix) and len(key) == KEY_LENGTH and other.stem != path.stem:
            other.unlink(missing_ok=True)


def _mebibytes(shape: tuple[int, ...]) -> int:
    return -(-int(np.prod(shape, dtype=np.int64)) // 2**20)
