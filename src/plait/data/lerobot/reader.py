"""Read a LeRobot v3.0 dataset from a local folder, checking it as it is read.

Numbers of all files go into contiguous arrays; images stay on disk until `frames` decodes them.
Paths come from the templates in `info.json`, never from a guess.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from plait.data.episode import decode_image
from plait.data.lerobot.checks import (
    COPY_AGAIN,
    EpisodeTable,
    damaged,
    fill_template,
    read_info,
    read_integers,
    read_matrix,
    read_rows,
    read_tasks,
    refuse_nan,
)
from plait.data.lerobot.format import ACTION, IMAGE_PREFIX, INFO_FILE, STATE
from plait.data.video import read_video
from plait.errors import DataError

ROWS_PER_READ = 256
IMAGES_PER_TASK = 32


@dataclass(frozen=True)
class LeRobotReader:
    """A dataset that was opened and checked.

    Attributes:
        root: Its folder.
        info: What `meta/info.json` says.
        episodes: What `meta/episodes` says.
        proprio: All steps' states.
        action: All steps' actions.
        task_index: Which of `tasks` each step belongs to.
        tasks: Instructions.
        data_files: Files with the rows, in order.
    """

    root: Path
    info: dict[str, Any]
    episodes: EpisodeTable
    proprio: Float32[ndarray, "steps proprio_dim"]
    action: Float32[ndarray, "steps action_dim"]
    task_index: Int64[ndarray, " steps"]
    tasks: tuple[str, ...]
    data_files: tuple[Path, ...]

    @classmethod
    def open(cls, root: Path) -> "LeRobotReader":
        """Open and check a dataset.

        Raises:
            DataError: Naming the file, what was found, what was expected, and what to do.
        """
        info = read_info(root)
        episodes = EpisodeTable.read(root, int(info["total_episodes"]))
        num_steps = sum(int(row["length"]) for row in episodes.rows)
        if not num_steps or num_steps != info["total_frames"]:
            found = f"episodes of {num_steps} steps together"
            expected = f"{info['total_frames']}, as {INFO_FILE} says"
            raise DataError(episodes.path, found, expected, COPY_AGAIN)
        files, states, actions, tasks = [], [], [], []
        for (chunk, file), indices in episodes.files("data").items():
            path = fill_template(root, info["data_path"], chunk_index=chunk, file_index=file)
            table = read_rows(path, episodes, indices)
            files.append(path)
            dims = {key: int(info["features"][key]["shape"][0]) for key in (STATE, ACTION)}
            states.append(read_matrix(path, table, STATE, dims[STATE]))
            actions.append(read_matrix(path, table, ACTION, dims[ACTION]))
            tasks.append(read_integers(path, table, "task_index"))
        proprio, action = np.concatenate(states), np.concatenate(actions)
        for key, values in ((STATE, proprio), (ACTION, action)):
            refuse_nan(root, key, values, episodes.bounds)
        task_index = np.concatenate(tasks)
        texts = read_tasks(root, task_index)
        return cls(root, info, episodes, proprio, action, task_index, texts, tuple(files))

    @property
    def fps(self) -> int:
        """Steps a second."""
        return int(self.info["fps"])

    @property
    def episode_bounds(self) -> Int64[ndarray, "episodes 2"]:
        """First step and the step after the last, of every episode."""
        return self.episodes.bounds

    @property
    def cameras(self) -> tuple[str, ...]:
        """Camera names, in the order of `info.json`; depth is no picture, and left out."""
        return tuple(
            key.removeprefix(IMAGE_PREFIX)
            for key, feature in self.info["features"].items()
            if feature["dtype"] in ("image", "video") and not _is_depth(feature)
        )

    def feature(self, camera: str) -> tuple[str, dict[str, Any]]:
        """Return the full key of a camera and its description."""
        features = self.info["features"]
        key = camera if camera in features else IMAGE_PREFIX + camera
        return key, features[key]

    def frame_size(self, camera: str) -> tuple[int, int]:
        """Return the recorded height and width of a camera's images in pixels.

        Raises:
            DataError: If `info.json` does not say.
        """
        key, feature = self.feature(camera)
        shape, names = feature.get("shape"), feature.get("names")
        if isinstance(shape, list) and len(shape) == 3:
            # Both orders occur; the names decide where there are any, the channels otherwise.
            first = names
            while isinstance(first, list):
                # Some name each axis by a list of one.
                first = first[0] if first else None
            channels_first = first in ("channel", "channels") or (
                first is None and shape[0] in (1, 3) and shape[2] not in (1, 3)
            )
            height, width = shape[1:] if channels_first else shape[:2]
            return int(height), int(width)
        path = self.root / INFO_FILE
        raise DataError(path, f"{key} of shape {shape}", "height, width and channels")

    def source_files(self, camera: str) -> tuple[Path, ...]:
        """Return the files that hold a camera's frames, in order."""
        key, feature = self.feature(camera)
        if feature["dtype"] == "image":
            return self.data_files
        places = self.episodes.files(f"videos/{key}")
        return tuple(self._video_path(key, *place) for place in places)

    def placement(self, camera: str) -> tuple[tuple[int, int, int, int], ...]:
        """Return chunk, file, first frame and length of every episode in a camera's videos.

        Empty where the images are in the rows, whose order is that of the steps.
        """
        key, feature = self.feature(camera)
        if feature["dtype"] == "image":
            return ()
        return tuple(
            (*place, self._first_frame(key, index), int(self.episodes.rows[index]["length"]))
            for place, indices in self.episodes.files(f"videos/{key}").items()
            for index in indices
        )

    def _first_frame(self, key: str, index: int) -> int:
        """Return the place of an episode's first frame in its video."""
        # A frame is found by counting: rounding times of frames is what goes wrong elsewhere.
        start = self.episodes.rows[index].get(f"videos/{key}/from_timestamp") or 0.0
        return round(float(start) * self.info["fps"])

    def _video_path(self, key: str, chunk: int, file: int) -> Path:
        template = self.info.get("video_path")
        if not template:
            found = f"no video_path, though {key} is a video"
            raise DataError(self.root / INFO_FILE, found, "a template", COPY_AGAIN)
        places = {"video_key": key, "chunk_index": chunk, "file_index": file}
        return fill_template(self.root, template, **places)

    def frames(
        self, camera: str, size: tuple[int, int] | None = None
    ) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
        """Decode every frame of a camera, in the order of the steps.

        Args:
            camera: Which camera.
            size: Height and width in pixels to average down to; as recorded where None.

        Raises:
            DataError: If a file is missing or damaged, or has too few frames.
        """
        key, feature = self.feature(camera)
        if feature["dtype"] == "image":
            with ThreadPoolExecutor(max_workers=2) as pool:
                for path in self.data_files:
                    yield from _embedded_images(path, key, size, pool)
            return
        for (chunk, file), indices in self.episodes.files(f"videos/{key}").items():
            path = self._video_path(key, chunk, file)
            yield from self._video_frames(key, path, size, indices)

    def _video_frames(
        self, key: str, path: Path, size: tuple[int, int] | None, indices: list[int]
    ) -> Iterator[ndarray]:
        """Decode the frames of some episodes from the file they share."""
        frames = read_video(path, size)
        position = 0
        for index in indices:
            start = self._first_frame(key, index)
            if start < position:
                found = f"episode {index} from frame {start} of {path.name}"
                raise DataError(self.episodes.path, found, f"frame {position} or later", COPY_AGAIN)
            length = int(self.episodes.rows[index]["length"])
            for _ in islice(frames, start - position):
                pass
            count = 0
            for frame in islice(frames, length):
                count += 1
                yield frame
            if count != length:
                found = f"{count} frames of episode {index}"
                raise DataError(path, found, f"{length}, one a step", COPY_AGAIN)
            position = start + length


def _is_depth(feature: dict[str, Any]) -> bool:
    info = feature.get("info") or feature.get("video_info") or {}
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map"))


def _embedded_images(
    path: Path, key: str, size: tuple[int, int] | None, pool: ThreadPoolExecutor
) -> Iterator[ndarray]:
    """Decode the images in one parquet file; decompression leaves the interpreter's lock."""
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            if key not in file.schema_arrow.names:
                raise DataError(path, f"no column {key!r}", "the images", COPY_AGAIN)
            for batch in file.iter_batches(batch_size=ROWS_PER_READ, columns=[key]):
                contents = batch.column(0).field("bytes").to_pylist()
                starts = range(0, len(contents), IMAGES_PER_TASK)
                parts = [contents[start : start + IMAGES_PER_TASK] for start in starts]
                for images in pool.map(_decode_all, parts, repeat(size)):
                    for image in images:
                        if image is None:
                            found = f"the image {key} in row {row} is missing or damaged"
                            raise DataError(path, found, "a whole image", COPY_AGAIN)
                        row += 1
                        yield image
    except (pa.ArrowException, OSError, KeyError, AttributeError) as error:
        raise damaged(path, error) from error


def _decode_all(contents: list[bytes | None], size: tuple[int, int] | None) -> list[ndarray | None]:
    """Decode images; None stands for one that cannot be."""
    images: list[ndarray | None] = []
    for content in contents:
        try:
            images.append(decode_image(content or b"", size))
        except (OSError, SyntaxError, ValueError):
            images.append(None)
    return images
