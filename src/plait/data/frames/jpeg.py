"""Frames as JPEG files packed into one, for sets whose pixels do not fit on the disk.

An Arrow file with one binary column, mapped into memory: batches are found by index and decoded
as they are asked for. The compression loses something, and is several times slower to read.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.data.episode import decode_image
from plait.data.frames.cache import CameraCache

QUALITY = 95
FRAMES_PER_BATCH = 256
SCHEMA = pa.schema([("jpeg", pa.large_binary())])
# At quality 95 a frame of a scene takes a tenth to a fifth of its raw size, and its header this.
ASSUMED_SHARE, HEADER_BYTES = 0.25, 700
NUM_THREADS = 2


class JpegFrames:
    """Decodes frames of a packed file by step.

    Args:
        path: The file.
        shape: Steps, 3, height, and width in pixels.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self.path, self.shape = path, shape
        column = pa.ipc.open_file(pa.memory_map(str(path))).read_all().column(0)
        self._chunks = column.chunks

    def __getitem__(self, steps: Any) -> UInt8[ndarray, "*steps 3 height width_px"]:
        """Return the frames of one step or of an array of steps."""
        index = np.arange(self.shape[0])[steps]
        distinct, inverse = np.unique(index, return_inverse=True)
        frames = np.empty((len(distinct), *self.shape[1:]), dtype=np.uint8)

        def decode(place: int) -> None:
            frames[place] = self._decode(int(distinct[place])).transpose(2, 0, 1)

        if len(distinct) < 2 * NUM_THREADS:
            for place in range(len(distinct)):
                decode(place)
        else:
            with ThreadPoolExecutor(NUM_THREADS) as pool:
                list(pool.map(decode, range(len(distinct))))
        return frames[inverse.reshape(index.shape)]

    def _decode(self, step: int) -> UInt8[ndarray, "height width_px 3"]:
        chunk, row = divmod(step, FRAMES_PER_BATCH)
        return decode_image(self._chunks[chunk][row].as_py())


class JpegCache(CameraCache):
    """One Arrow file of JPEGs."""

    suffix: ClassVar[str] = ".jpegs"

    @property
    def num_bytes(self) -> int:
        """What the file takes, roughly: pictures compress differently well."""
        pixels = ASSUMED_SHARE * float(np.prod(self.shape, dtype=np.int64))
        return int(pixels) + HEADER_BYTES * self.shape[0]

    def is_whole(self, path: Path) -> bool:
        """Say whether a file holds all these frames; Arrow writes its footer last."""
        try:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
                return bool(file.schema == SCHEMA and file.count_rows() == self.shape[0])
        except (OSError, pa.ArrowException):
            return False

    def write(self, file: IO[bytes], frames: Iterator[UInt8[ndarray, "height width_px 3"]]) -> None:
        """Compress all frames into an open file."""
        with pa.ipc.new_file(file, SCHEMA) as sink:
            while waiting := [_encode(frame) for frame in islice(frames, FRAMES_PER_BATCH)]:
                sink.write_batch(pa.record_batch([pa.array(waiting, pa.large_binary())], SCHEMA))

    def load(self, path: Path) -> JpegFrames:
        """Map a whole file into memory."""
        return JpegFrames(path, self.shape)


def _encode(frame: UInt8[ndarray, "height width_px 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
