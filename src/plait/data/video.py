"""Video files through PyAV: h264 out, anything in, frames found by their place in the file."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from plait.errors import DataError


class VideoWriter:
    """Writes one h264 file without B-frames, a key frame every second frame."""

    def __init__(self, path: Path, fps: int, height: int, width_px: int) -> None:
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("h264", rate=fps)
        self._stream.height, self._stream.width = height, width_px
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "18", "preset": "veryfast", "bf": "0", "g": "2"}

    def write(self, frames: UInt8[ndarray, "frames height width_px 3"]) -> None:
        """Append frames."""
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def read_video(path: Path) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
    """Decode a file from its beginning, frame by frame.

    Raises:
        DataError: If the file is missing or damaged.
    """
    if not path.exists():
        raise DataError(path, "no such file", "a video", "Copy the dataset again")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                yield np.asarray(frame.to_ndarray(format="rgb24"))
    except (av.error.FFmpegError, IndexError) as error:
        raise DataError(path, f"cannot be decoded ({error})", "a whole video file") from error
