"""Frames as a memory-mapped uint8 array: nothing is faster, nothing is larger."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from numpy.typing import DTypeLike

from plait.data.frames.cache import CameraCache


class RawCache(CameraCache):
    """One `.npy` file, `[steps 3 height width_px]`."""

    suffix: ClassVar[str] = ".npy"

    @property
    def num_bytes(self) -> int:
        """What the file takes."""
        return int(np.prod(self.shape, dtype=np.int64))

    def is_whole(self, path: Path) -> bool:
        """Say whether a file holds all these frames."""
        return is_whole_array(path, self.shape, np.uint8)

    def write(self, file: IO[bytes], frames: Iterator[UInt8[ndarray, "height width_px 3"]]) -> None:
        """Write all frames to an open file."""
        header = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in frames:
            file.write(np.ascontiguousarray(frame.transpose(2, 0, 1)).data)

    def load(self, path: Path) -> UInt8[ndarray, "steps 3 height width_px"]:
        """Map a whole file into memory."""
        return map_array(path)


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
