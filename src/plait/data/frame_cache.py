"""Every camera decoded once into a memory-mapped uint8 array, shared by all that train from it.

The name of a cache file holds a hash of the source files and of the size; a file that is there is
whole, since it was renamed into place; a lock keeps two processes from decoding the same camera.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.data.lerobot_reader import LeRobotReader
from plait.errors import DataError, OutputError

LAYOUT_VERSION = "1"
CACHE_FOLDER = ".plait_cache"
PROGRESS_INTERVAL = 256


def open_frames(
    reader: LeRobotReader,
    camera: str,
    size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> UInt8[ndarray, "steps 3 size size"]:
    """Return a camera's frames as a memory map, decoding them the first time.

    Args:
        reader: The dataset.
        camera: Which camera.
        size: Height and width to resize to in pixels.
        on_progress: Called with frames done and frames in all.

    Raises:
        DataError: If the images are missing or damaged.
        OutputError: If there is no room for the cache.
    """
    folder = _cache_folder(reader.root)
    path = folder / f"{camera}-{_key(reader, camera, size)}.npy"
    shape = (len(reader.action), 3, size, size)
    with _locked(path):
        if not _is_whole(path, shape):
            _build(reader, camera, path, shape, on_progress)
    frames: ndarray = np.load(path, mmap_mode="r")
    return frames


def _key(reader: LeRobotReader, camera: str, size: int) -> str:
    digest = hashlib.sha256(f"{LAYOUT_VERSION} {camera} {size}".encode())
    for file in reader.source_files(camera):
        if not file.exists():
            raise DataError(file, "no such file", f"the images of {camera}", "Copy it again")
        status = file.stat()
        name = file.relative_to(reader.root)
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _cache_folder(root: Path) -> Path:
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
        raise OutputError(f"cannot make a cache in {root} or {folder}: {error}") from error
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        frames = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    return bool(frames.shape == shape and frames.dtype == np.uint8)


def _build(
    reader: LeRobotReader,
    camera: str,
    path: Path,
    shape: tuple[int, ...],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    temporary = path.with_suffix(".partial.npy")
    try:
        frames = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        count = 0
        for frame in reader.frames(camera):
            if count < shape[0]:
                frames[count] = _resized(frame, shape[2]).transpose(2, 0, 1)
            count += 1
            if on_progress is not None and (count % PROGRESS_INTERVAL == 0 or count == shape[0]):
                on_progress(count, shape[0])
        if count != shape[0]:
            found = f"{count} frames of camera {camera}"
            raise DataError(reader.root, found, f"{shape[0]}, one a step", "Copy it again")
        frames.flush()
        del frames
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot cache the frames of {camera} in {path.parent}: {error.strerror}. It takes "
            f"{np.prod(shape) / 2**20:.0f} MiB"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _resized(frame: ndarray, size: int) -> ndarray:
    if frame.shape[:2] == (size, size):
        return frame
    return np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.BOX))
