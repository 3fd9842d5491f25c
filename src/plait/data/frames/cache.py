"""Where decoded frames are kept, and how such a file comes about.

The name of a cache file holds a hash of its sources and of the size; a file that is there is
whole, since it was renamed into place; a lock keeps two processes from decoding the same camera.
"""

import hashlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from jaxtyping import UInt8
from numpy import ndarray

from plait.data.files import locked, reason, whole_file
from plait.data.frames.base import Frames, Progress
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import DataError, OutputError

# Stands for the layout of the files and for the resize mode (the mean over the area of a pixel; 1
# took that of a video from its frames in RGB, 2 from the decoder's own planes).
LAYOUT_VERSION = "2"
CACHE_FOLDER = ".plait_cache"
PROGRESS_INTERVAL = 256
KEY_LENGTH = 16


@dataclass(frozen=True)
class CameraCache(ABC):
    """The cached frames of one camera in one size.

    Attributes:
        reader: The dataset.
        camera: Which camera.
        size: Height and width to resize to in pixels; as recorded where None.
    """

    suffix: ClassVar[str]

    reader: LeRobotReader
    camera: str
    size: int | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Steps, 3, height, and width in pixels."""
        size = (self.size, self.size) if self.size else self.reader.frame_size(self.camera)
        return (len(self.reader.action), 3, *size)

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """What the file takes at most."""

    @abstractmethod
    def is_whole(self, path: Path) -> bool:
        """Say whether a file holds all these frames."""

    @abstractmethod
    def write(self, file: IO[bytes], frames: Iterator[UInt8[ndarray, "height width_px 3"]]) -> None:
        """Write all frames to an open file."""

    @abstractmethod
    def load(self, path: Path) -> Frames:
        """Map a whole file into memory."""

    def find(self) -> Path | None:
        """Return the file where the frames are there already."""
        for folder in (self.reader.root / CACHE_FOLDER, cache_folder(self.reader.root)):
            path = folder / self._name
            if self.is_whole(path):
                return path
        return None

    def open(self, on_progress: Progress | None = None) -> Frames:
        """Return the frames, decoding them the first time.

        Args:
            on_progress: Called with frames done and frames in all.

        Raises:
            DataError: If the images are missing or damaged.
            OutputError: If there is no room for the cache.
        """
        beside_data = self.reader.root / CACHE_FOLDER / self._name
        if self.is_whole(beside_data):
            return self.load(beside_data)
        path = cache_folder(self.reader.root) / self._name
        try:
            with locked(path.with_suffix(".lock")):
                # Another process may have built it while this one waited.
                if not self.is_whole(path):
                    self._build(path, on_progress)
                    _remove_outdated(path, self._prefix)
        except OSError as error:
            raise OutputError(
                f"cannot cache the frames of {self.camera} in {path.parent}: "
                f"{reason(error)}. It takes {_mebibytes(self.num_bytes)} MiB"
            ) from error
        return self.load(path)

    @property
    def _prefix(self) -> str:
        return f"{self.camera.replace('/', '_')}-{self.size or 'full'}-"

    @property
    def _name(self) -> str:
        return f"{self._prefix}{frames_key(self.reader, self.camera, self.size)}{self.suffix}"

    def _build(self, path: Path, on_progress: Progress | None) -> None:
        free = shutil.disk_usage(path.parent).free
        if free < self.num_bytes:
            raise OutputError(
                f"the frames of {self.camera} take {_mebibytes(self.num_bytes)} MiB, but "
                f"{path.parent} has only {free // 2**20} MiB free; free some space or choose a "
                "smaller image size"
            )
        # Written in order rather than through a memory map, where a full disk kills the process.
        with whole_file(path, path.with_suffix(f".{os.getpid()}.partial")) as file:
            self.write(file, self._decoded(on_progress))

    def _decoded(
        self, on_progress: Progress | None
    ) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
        """Decode all frames; there are as many as steps, or it is an error."""
        total, _, height, width_px = self.shape
        count = 0
        for frame in self.reader.frames(self.camera, (height, width_px)):
            yield frame
            count += 1
            if on_progress is not None and (count % PROGRESS_INTERVAL == 0 or count == total):
                on_progress(count, total)
        if count != total:
            found = f"{count} frames of camera {self.camera}"
            raise DataError(self.reader.root, found, f"{total}, one a step", "Copy it again")


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


def _remove_outdated(path: Path, prefix: str) -> None:
    """Delete caches of the same camera and size from before the dataset changed."""
    for other in path.parent.iterdir():
        key = other.name.removeprefix(prefix).partition(".")[0]
        # The length tells `cam-64-KEY` from the camera `cam-64` in `cam-64-64-KEY`.
        if other.name.startswith(prefix) and len(key) == KEY_LENGTH and other.stem != path.stem:
            other.unlink(missing_ok=True)


def _mebibytes(num_bytes: int) -> int:
    return -(-num_bytes // 2**20)
