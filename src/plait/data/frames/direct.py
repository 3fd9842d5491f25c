"""Frames decoded from the recording whenever they are asked for: no disk, and little speed.

A batch is sorted by file and place, so that each file is read in one direction and a frame that is
a few behind another costs no second seek.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from plait.data.lerobot.images import RowImages, Sizes
from plait.data.lerobot.reader import LeRobotReader
from plait.data.video_file import VideoFile

MOST_OPEN = 16


@runtime_checkable
class Source(Protocol):
    """An open file of frames."""

    def frame(self, place: int) -> UInt8[ndarray, "height width_px 3"]:
        """Decode one frame."""

    def close(self) -> None:
        """Close the file."""


class OpenFiles:
    """The files that were used last, kept open; a forked process opens its own.

    Args:
        make: Opens a file.
    """

    def __init__(self, make: Callable[[Path], Source]) -> None:
        self._make = make
        self._files: OrderedDict[Path, Source] = OrderedDict()
        self._process = os.getpid()
        self._abandoned: list[OrderedDict[Path, Source]] = []

    def __getitem__(self, path: Path) -> Source:
        if self._process != os.getpid():
            # Decoders do not survive a fork. Those of the parent are kept unused: to close one
            # waits for threads that are not here.
            self._abandoned.append(self._files)
            self._files, self._process = OrderedDict(), os.getpid()
        if path not in self._files:
            if len(self._files) == MOST_OPEN:
                self._files.popitem(last=False)[1].close()
            self._files[path] = self._make(path)
        self._files.move_to_end(path)
        return self._files[path]


class DirectFrames:
    """Decodes the frames of one camera by step.

    Args:
        reader: The dataset.
        camera: Which camera.
        size: Height and width to resize to in pixels; as recorded where None.
    """

    def __init__(self, reader: LeRobotReader, camera: str, size: int | None) -> None:
        recorded = reader.frame_size(camera)
        sizes = Sizes(recorded, (size, size) if size else recorded)
        self.shape = (len(reader.action), 3, *sizes.wanted)
        self._places = reader.places(camera)
        key, feature = reader.feature(camera)
        is_video = feature["dtype"] == "video"
        self._files = OpenFiles(
            lambda path: (
                VideoFile(path, sizes.wanted, sizes.recorded)
                if is_video
                else RowImages(path, key, sizes)
            )
        )

    def __getitem__(self, steps: Any) -> UInt8[ndarray, "*steps 3 height width_px"]:
        """Return the frames of one step or of an array of steps; black where none was recorded.

        Raises:
            DataError: If a file is missing or damaged, or has too few frames.
        """
        index, places = np.arange(self.shape[0])[steps], self._places
        distinct, inverse = np.unique(index, return_inverse=True)
        file, frame = places.file[distinct], places.frame[distinct]
        frames = np.zeros((len(distinct), *self.shape[1:]), dtype=np.uint8)
        for place in np.lexsort((frame, file)):
            if places.is_recorded[distinct[place]]:
                source = self._files[places.paths[file[place]]]
                frames[place] = source.frame(int(frame[place])).transpose(2, 0, 1)
        return frames[inverse.reshape(index.shape)]
