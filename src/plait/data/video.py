"""Video files: h264 out through PyAV, anything in, frames found by their place in the file."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from numpy import ndarray

from plait.errors import DataError, OptionError, OutputError


class VideoWriter:
    """Writes one h264 file without B-frames, a key frame every second frame.

    A frame's place in the file is then its place in time, and any frame is one step from a key.

    Args:
        path: The file to make.
        fps: Frames a second.
        height: Of every frame in pixels; even, as is the width.
        width_px: Width in pixels.

    Raises:
        OptionError: If a size is odd: the colour planes of h264 are half as large.
        OutputError: If the file cannot be written.
    """

    def __init__(self, path: Path, fps: int, height: int, width_px: int) -> None:
        if height % 2 or width_px % 2:
            raise OptionError(
                f"video frames are {height}×{width_px} pixels, but must have even sides; "
                "choose another size or storage='image'"
            )
        self.path, self.num_frames, self.num_bytes = path, 0, 0
        try:
            self._container = av.open(str(path), "w")
            self._stream = self._container.add_stream("h264", rate=fps)
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(f"cannot write the video {path}: {error}") from error
        self._stream.height, self._stream.width = height, width_px
        self._stream.pix_fmt = "yuv420p"
        # Without scene cuts, which would shift the key frames off the even places.
        options = {"crf": "18", "preset": "veryfast", "bf": "0", "g": "2", "sc_threshold": "0"}
        self._stream.options = options

    def write(self, frames: Iterable[UInt8[ndarray, "height width_px 3"]]) -> None:
        """Append frames.

        Raises:
            OutputError: If the file cannot be written.
        """
        for frame in frames:
            self._mux(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            self.num_frames += 1

    def _mux(self, picture: "av.VideoFrame | None") -> None:
        try:
            packets = self._stream.encode(picture)
            self._container.mux(packets)
        except av.error.FFmpegError as error:
            raise OutputError(
                f"cannot write the video {self.path}: {error}. "
                "Choose another folder or free some space"
            ) from error
        self.num_bytes += sum(packet.size for packet in packets)

    def close(self) -> None:
        """Write what the encoder still holds, and the index.

        Raises:
            OutputError: If the file cannot be written.
        """
        self._mux(None)
        try:
            self._container.close()
        except av.error.FFmpegError as error:
            raise OutputError(f"cannot write the video {self.path}: {error}") from error


def read_video(
    path: Path, size: tuple[int, int] | None = None, recorded: tuple[int, int] | None = None
) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
    """Decode a file from its beginning, frame by frame.

    Frames of the recorded size come from torchcodec where it is installed and works; smaller ones
    always from PyAV, whose planes are averaged before they are converted.

    Args:
        path: The file.
        size: Height and width in pixels to average down to; as recorded where None.
        recorded: Height and width that the frames must have; any where None.

    Raises:
        DataError: If the file is missing or damaged, or its frames have another size.
    """
    require_video(path)
    decoder = torchcodec_decoder() if size in (None, recorded) else None
    with decoding(path):
        if decoder is None:
            yield from _pyav_frames(path, size, recorded)
        else:
            yield from _torchcodec_frames(decoder, path, recorded)


def require_video(path: Path) -> None:
    """Refuse a file that is not there.

    Raises:
        DataError: If it is missing.
    """
    # Not `path.exists`, which raises for names that no file can have.
    if not os.path.exists(path):
        raise DataError(path, "no such file", "a video", "Copy the dataset again")


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what decoders say of a damaged file into one sentence that names it.

    Raises:
        DataError: If the block fails to decode.
    """
    try:
        yield
    except (av.error.FFmpegError, IndexError, ValueError, RuntimeError, MemoryError) as error:
        todo = "Copy or record the dataset again"
        found = f"cannot be decoded ({(str(error).splitlines() or [''])[0]})"
        raise DataError(path, found, "a whole video", todo) from error


@cache
def torchcodec_decoder() -> type[Any] | None:
    """Return torchcodec's decoder, or None where it cannot be imported.

    Being installed says nothing: without a matching FFmpeg it fails when it is imported.
    """
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, RuntimeError, OSError):
        return None
    return VideoDecoder


def _torchcodec_frames(
    decoder: type[Any], path: Path, recorded: tuple[int, int] | None
) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
    frames = decoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=0)
    require_size(path, (frames.metadata.height, frames.metadata.width), recorded)
    for frame in frames:
        require_size(path, frame.shape[:2], recorded)
        yield np.asarray(frame.numpy())


def _pyav_frames(
    path: Path, size: tuple[int, int] | None, recorded: tuple[int, int] | None
) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ValueError("unknown codec")
        # Before anything is decoded: the claim alone may be more than fits into memory.
        require_size(path, (stream.height, stream.width), recorded)
        stream.thread_type = "AUTO"
        reformatter = VideoReformatter()
        for frame in container.decode(stream):
            require_size(path, (frame.height, frame.width), recorded)
            yield picture(frame, size, reformatter)


def require_size(path: Path, found: tuple[int, int], recorded: tuple[int, int] | None) -> None:
    """Refuse frames of another height and width than the dataset says, if it says any.

    Raises:
        DataError: If they differ.
    """
    if recorded is not None and tuple(found) != recorded:
        expected = f"{recorded[0]}×{recorded[1]}, as its dataset says"
        raise DataError(path, f"frames of {found[0]}×{found[1]} pixels", expected)


def picture(
    frame: "av.VideoFrame", size: tuple[int, int] | None, reformatter: VideoReformatter
) -> UInt8[ndarray, "height width_px 3"]:
    """Convert a decoded frame to RGB, as LeRobot does where the size stays."""
    if size is None or size == (frame.height, frame.width):
        return np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray())
    height, width_px = size
    # Averaging the decoder's own planes and converting the few pixels that are left is five times
    # as fast as the other order, and nearer to exact arithmetic: rgb24 is about one level too dark.
    small = reformatter.reformat(frame, width_px, height, "gbrp", interpolation="AREA")
    green, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, :width_px]
        for plane in small.planes
    )
    # A view of channels first, the cache's own order, which is then copied no more.
    return np.stack([red, green, blue]).transpose(1, 2, 0)
