"""Video files joined into one without decoding them: packets are copied, their times are moved."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from plait.data.video import require_video
from plait.errors import DataError, OutputError


@dataclass(frozen=True)
class Coding:
    """What two videos must share to be one stream.

    Attributes:
        codec: Name of the codec.
        size: Width and height in pixels.
        pixel_format: Layout of a frame.
        time_base: Unit of times in seconds.
        header: What the decoder must know beforehand.
    """

    codec: str
    size: tuple[int, int]
    pixel_format: str | None
    time_base: Fraction | None
    header: bytes | None

    @classmethod
    def of(cls, stream: "av.VideoStream") -> "Coding":
        """Return the coding of an open stream.

        Raises:
            ValueError: If its codec is not known.
        """
        context = stream.codec_context
        if context is None:
            raise ValueError("no known codec")
        size = (context.width, context.height)
        header = bytes(context.extradata) if context.extradata else None
        return cls(context.name, size, context.pix_fmt, stream.time_base, header)


class JoinedVideo:
    """One file made of the frames of several, in order.

    A frame's place in the file is its place in time, as `VideoWriter` has it.

    Args:
        path: The file to make.
        fps: Frames a second.

    Raises:
        OutputError: If the file cannot be written.
    """

    def __init__(self, path: Path, fps: int | float) -> None:
        self.path, self.fps = path, fps
        self.num_frames, self.num_bytes = 0, 0
        self._coding: Coding | None = None
        self._stream: Any = None
        try:
            self._container = av.open(str(path), "w")
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(f"cannot write the video {path}: {error}") from error

    def append(self, source: Path, num_steps: int) -> bool:
        """Append a file; False, and nothing written, where it is coded otherwise.

        Raises:
            DataError: If it is missing or damaged, or has fewer frames than steps.
            OutputError: If the file cannot be written.
        """
        require_video(source)
        try:
            with av.open(str(source)) as container:
                stream = container.streams.video[0]
                coding = Coding.of(stream)
                if self._coding not in (None, coding):
                    return False
                # The last packet that demuxing yields is empty, and means the end.
                packets = [packet for packet in container.demux(stream) if packet.size]
                if len(packets) < num_steps:
                    found = f"{len(packets)} frames"
                    raise DataError(source, found, f"{num_steps}, one a step")
                self._open_stream(coding, stream)
                self._copy(packets, stream.time_base)
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            expected = "a whole video that MP4 can hold"
            raise DataError(source, f"cannot be copied ({error})", expected) from error
        return True

    def _open_stream(self, coding: Coding, stream: "av.VideoStream") -> None:
        if self._stream is None:
            self._coding = coding
            self._stream = self._container.add_stream_from_template(stream, opaque=True)

    def _copy(self, packets: list["av.Packet"], time_base: Fraction) -> None:
        """Write packets, the first frame at the time of its place."""
        begin = min(packet.pts for packet in packets if packet.pts is not None)
        moved = round(self.num_frames / (self.fps * time_base)) - begin
        for packet in packets:
            if packet.pts is None or packet.dts is None:
                raise ValueError("a frame without a time")
            packet.pts += moved
            packet.dts += moved
            packet.stream = self._stream
            self.num_bytes += packet.size
        try:
            self._container.mux(packets)
        except OSError as error:
            raise OutputError(
                f"cannot write the video {self.path}: {error}. "
                "Choose another folder or free some space"
            ) from error
        self.num_frames += len(packets)

    def close(self) -> None:
        """Write the index.

        Raises:
            OutputError: If the file cannot be written.
        """
        try:
            self._container.close()
        except av.error.FFmpegError as error:
            raise OutputError(f"cannot write the video {self.path}: {error}") from error
