"""Single frames of a video file, found by their place."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from numpy import ndarray

from plait.data.video import decoding, picture, require_size, require_video
from plait.errors import DataError


class VideoFile:
    """A video opened to read single frames by their place.

    Args:
        path: The file.
        size: Height and width in pixels to average down to; as recorded where None.
        recorded: Height and width that the frames must have; any where None.

    Raises:
        DataError: If the file is missing or damaged, or its frames have another size.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int] | None = None,
        recorded: tuple[int, int] | None = None,
    ) -> None:
        require_video(path)
        self.path, self._size, self._recorded = path, size, recorded
        self._reformatter = VideoReformatter()
        with decoding(path):
            self._container = av.open(str(path), metadata_errors="replace")
            self._stream = self._container.streams.video[0]
            if self._stream.codec_context is None:
                raise ValueError("unknown codec")
            require_size(path, (self._stream.height, self._stream.width), recorded)
            packets = [p for p in self._container.demux(self._stream) if p.pts is not None]
            # Frames decoded side by side would be thrown away at every seek; and threads of a
            # decoder do not survive a fork.
            self._stream.codec_context.thread_count = 1
        # In the order of showing, which is not that of the file where frames refer to later ones.
        self._times = np.sort(np.array([packet.pts for packet in packets], dtype=np.int64))
        keys = [packet.pts for packet in packets if packet.is_keyframe]
        self._keys = np.searchsorted(self._times, np.sort(np.array(keys, dtype=np.int64)))
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._next = len(self._times)

    def frame(self, place: int) -> UInt8[ndarray, "height width_px 3"]:
        """Decode one frame; the next ones need no seek.

        Raises:
            DataError: If there is no such frame, or it cannot be decoded.
        """
        if place >= len(self._times):
            found = f"{len(self._times)} frames"
            todo = "Copy or record the dataset again"
            raise DataError(self.path, found, f"a frame {place}, for its step", todo)
        with decoding(self.path):
            key = int(self._keys[np.searchsorted(self._keys, place, side="right") - 1])
            if not key <= self._next <= place:
                time = int(self._times[place])
                self._container.seek(time, stream=self._stream, backward=True)
                self._frames = self._container.decode(self._stream)
            for frame in self._frames:
                if frame.pts == self._times[place]:
                    self._next = place + 1
                    require_size(self.path, (frame.height, frame.width), self._recorded)
                    return picture(frame, self._size, self._reformatter)
        raise DataError(self.path, f"no frame {place}", "a whole video")

    def close(self) -> None:
        """Close the file."""
        self._container.close()
