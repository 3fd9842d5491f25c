"""Read a LeRobot dataset, v2.0, v2.1 or v3.0, checking it as it is read.

Numbers of all files go into contiguous arrays; images stay on disk until `frames` decodes them.
Paths come from the templates in `info.json`, never from a guess.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy import ndarray

from plait.data.lerobot import layout_v2, layout_v3
from plait.data.lerobot.episodes import ABSENT, EpisodeTable
from plait.data.lerobot.format import INFO_FILE
from plait.data.lerobot.hub import local_folder
from plait.data.lerobot.images import Sizes, absent_images, embedded_images, video_frames
from plait.data.lerobot.info import (
    ACTION_KEYS,
    STATE_KEYS,
    camera_keys,
    flat_names,
    frame_size,
    is_v2,
    numbers_key,
    read_info,
)
from plait.data.lerobot.places import FramePlaces, frame_places
from plait.data.lerobot.rows import number_tasks, read_numbers


@dataclass(frozen=True)
class LeRobotReader:
    """A dataset that was opened and checked.

    Attributes:
        root: Its folder.
        info: What `meta/info.json` says.
        episodes: Where the episodes are.
        proprio: All steps' states; 0 where none was recorded.
        has_proprio: At which steps a state was recorded.
        action: All steps' actions.
        task_index: Which of `tasks` each step belongs to.
        tasks: Instructions; empty where none was recorded.
    """

    root: Path
    info: dict[str, Any]
    episodes: EpisodeTable
    proprio: Float32[ndarray, "steps proprio_dim"]
    has_proprio: Bool[ndarray, " steps"]
    action: Float32[ndarray, "steps action_dim"]
    task_index: Int64[ndarray, " steps"]
    tasks: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, cameras: Sequence[str] = ()) -> "LeRobotReader":
        """Open and check a dataset.

        Args:
            root: Its folder; or `owner/name` of one on the Hugging Face hub, which is downloaded.
            cameras: Cameras whose videos are downloaded; all where empty.

        Raises:
            DataError: Naming the file, what was found, what was expected, and what to do.
        """
        root = local_folder(root, cameras)
        info = read_info(root)
        layout = layout_v2 if is_v2(info) else layout_v3
        episodes = layout.read_episodes(root, info)
        numbers = read_numbers(root, info["features"], episodes)
        path, rows = layout.read_task_rows(root)
        tasks, task_index = number_tasks(path, rows, numbers.task_index)
        return cls(
            root,
            info,
            episodes,
            numbers.proprio,
            numbers.has_proprio,
            numbers.action,
            task_index,
            tasks,
        )

    @property
    def fps(self) -> int:
        """Steps a second."""
        return int(self.info["fps"])

    @property
    def episode_bounds(self) -> Int64[ndarray, "episodes 2"]:
        """First step and the step after the last, of every episode."""
        return self.episodes.bounds

    @property
    def data_files(self) -> tuple[Path, ...]:
        """Files with the rows, in order."""
        return tuple(span.path for span in self.episodes.data if span.path is not None)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Camera names, in the order of `info.json`; depth is no picture, and left out."""
        return tuple(self._camera_keys)

    @cached_property
    def _camera_keys(self) -> dict[str, str]:
        return dict(camera_keys(self.info["features"]))

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the dimensions of an action; none where `info.json` does not name each."""
        return self._dimension_names(ACTION_KEYS, self.action.shape[1])

    @property
    def proprio_names(self) -> tuple[str, ...]:
        """Names of the dimensions of a state; none where `info.json` does not name each."""
        return self._dimension_names(STATE_KEYS, self.proprio.shape[1])

    def _dimension_names(self, keys: tuple[str, ...], size: int) -> tuple[str, ...]:
        """Return one name a dimension, or none where some lack one or share it."""
        feature = self.info["features"].get(numbers_key(self.info["features"], keys) or "", {})
        names = flat_names(feature.get("names"))
        return tuple(names) if len(names) == len(set(names)) == size else ()

    def feature(self, camera: str) -> tuple[str, dict[str, Any]]:
        """Return the full key of a camera and its description."""
        key = self._camera_keys[camera]
        return key, self.info["features"][key]

    def _is_video(self, camera: str) -> bool:
        return bool(self.feature(camera)[1]["dtype"] == "video")

    def frame_size(self, camera: str) -> tuple[int, int]:
        """Return the recorded height and width of a camera's images in pixels.

        Raises:
            DataError: If `info.json` does not say.
        """
        return frame_size(self.root / INFO_FILE, *self.feature(camera))

    def source_files(self, camera: str) -> tuple[Path, ...]:
        """Return the files that hold a camera's frames, in order."""
        if not self._is_video(camera):
            return self.data_files
        spans = self.episodes.videos[self.feature(camera)[0]]
        return tuple(span.path for span in spans if span.path is not None)

    def placement(self, camera: str) -> tuple[tuple[str, int, int], ...]:
        """Return file, first frame and length of every episode in a camera's videos.

        Empty where the images are in the rows, whose order is that of the steps.
        """
        if not self._is_video(camera):
            return ()
        return tuple(
            (str(span.path and span.path.relative_to(self.root)), start, length)
            for span in self.episodes.videos[self.feature(camera)[0]]
            for start, length in zip(
                span.starts.tolist(),
                self.episodes.lengths[span.episodes.start : span.episodes.stop].tolist(),
                strict=True,
            )
        )

    def places(self, camera: str) -> FramePlaces:
        """Say in which file, and where in it, the frame of every step is.

        Raises:
            DataError: If a file is missing or damaged.
        """
        lengths = self.episodes.lengths
        if self._is_video(camera):
            spans = self.episodes.videos[self.feature(camera)[0]]
            return frame_places(spans, lengths, [span.starts for span in spans])
        has_images, spans, starts = self.has_images(camera), self.episodes.data, []
        for span in spans:
            here = slice(span.episodes.start, span.episodes.stop)
            first = np.cumsum(lengths[here]) - lengths[here]
            starts.append(np.where(has_images[here], first, ABSENT))
        return frame_places(spans, lengths, starts)

    def has_images(self, camera: str) -> Bool[ndarray, " episodes"]:
        """Say of every episode whether a camera was recorded in it.

        Raises:
            DataError: If a file is missing or damaged.
        """
        key = self.feature(camera)[0]
        if self._is_video(camera):
            return self.episodes.has_video(key)
        absent = np.concatenate([absent_images(path, key) for path in self.data_files])
        return ~np.logical_and.reduceat(absent, self.episode_bounds[:, 0])

    def frames(
        self, camera: str, size: tuple[int, int] | None = None
    ) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
        """Decode every frame of a camera, in the order of the steps.

        Args:
            camera: Which camera.
            size: Height and width in pixels to average down to; as recorded where None.

        Yields:
            Frames; black ones in episodes in which the camera was not recorded.

        Raises:
            DataError: If a file is missing or damaged, or has too few frames.
        """
        recorded = self.frame_size(camera)
        sizes = Sizes(recorded, size or recorded)
        if self._is_video(camera):
            for span in self.episodes.videos[self.feature(camera)[0]]:
                yield from video_frames(span, self.episodes, sizes)
        else:
            yield from self._embedded_frames(camera, sizes)

    def _embedded_frames(self, camera: str, sizes: Sizes) -> Iterator[ndarray]:
        key = self.feature(camera)[0]
        has_images, lengths = self.has_images(camera), self.episodes.lengths
        with ThreadPoolExecutor(max_workers=2) as pool:
            for span in self.episodes.data:
                assert span.path is not None
                here = slice(span.episodes.start, span.episodes.stop)
                present = np.repeat(has_images[here], lengths[here])
                yield from embedded_images(span.path, key, present, sizes, pool)
