"""Write a LeRobot v3.0 dataset, episode after episode, whole or not at all.

Everything goes to `ROOT.partial/` and is renamed to `ROOT` when the last file is closed. A row
group an episode keeps single episodes readable; image features are PNG, so nothing is lost.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.data.episode import EncodedEpisode, EpisodeData, decode_image
from plait.data.files import (
    beside,
    claim_folder,
    clear_folder,
    output_errors,
    put_in_place,
    refuse_existing,
)
from plait.data.lerobot.format import (
    DATA_PATH,
    FILES_PER_CHUNK,
    IMAGE_PREFIX,
    VIDEO_PATH,
    column_stats,
    data_schema,
    describe_features,
    histogram_stats,
)
from plait.data.lerobot.metadata import write_episodes, write_info, write_stats, write_tasks
from plait.data.video import VideoWriter
from plait.errors import DataError, OptionError, PlaitError

MARKER = ".plait-unfinished"
FILE_MB = 100


class LeRobotWriter:
    """Collects episodes into one dataset; use as a context, or call `close` or `abort`.

    Args:
        root: Folder to make; must not exist, or be empty.
        fps: Steps a second.
        storage: `image` (PNG in the table) or `video` (h264 files).
        robot_type: Name of the robot, for the record.
        file_mb: Size at which a new data or video file is started, in MiB.
        origin: Where the data came from and what was done to it, for the record; JSON.

    Raises:
        OutputError: If `root` holds anything, or cannot be written.
        OptionError: If an option is out of range.
    """

    def __init__(
        self,
        root: Path,
        *,
        fps: int,
        storage: str = "image",
        robot_type: str | None = "plait_tabletop",
        file_mb: int = FILE_MB,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        if storage not in ("image", "video"):
            raise OptionError(f"storage must be 'image' or 'video', but is {storage!r}")
        if fps < 1:
            raise OptionError(f"fps must be at least 1, but is {fps}")
        refuse_existing(root)
        self.root, self.fps, self.storage = root, fps, storage
        self.robot_type, self.file_mb, self.origin = robot_type, file_mb, origin
        self.partial = beside(root, ".partial")
        self._lock = claim_folder(self.partial, MARKER)
        self._features: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._columns: dict[str, list[np.ndarray]] = {}
        self._histograms: dict[str, np.ndarray] = {}
        self._videos: dict[str, VideoWriter] = {}
        self._video_index: dict[str, int] = {}
        self._table: pq.ParquetWriter | None = None
        self._file_index, self._num_steps = 0, 0
        with output_errors(root):
            clear_folder(self.partial, keep=MARKER)
            (self.partial / "meta").mkdir()

    def add(self, episode: EpisodeData) -> None:
        """Append one episode.

        Raises:
            DataError: If its arrays disagree with each other or the dataset, or hold NaN.
            OutputError: If the disk is full.
        """
        episode.check(f"{self.root}, episode {len(self._episodes)}")
        encoded = EncodedEpisode.of(episode, with_images=self.storage == "image")
        self._append(encoded, episode.images)

    def append(self, episode: EncodedEpisode) -> None:
        """Append an episode whose images are compressed already.

        Raises:
            DataError: If its shapes disagree with the dataset.
            OutputError: If the disk is full.
        """
        frames = {camera: map(decode_image, pngs) for camera, pngs in episode.images.items()}
        self._append(episode, frames)

    def _append(self, episode: EncodedEpisode, frames: Mapping[str, Iterable[np.ndarray]]) -> None:
        """Write an episode; `frames` are looked at only where they go to a video."""
        self._check_features(episode)
        index, length = len(self._episodes), episode.num_steps
        task = self._tasks.setdefault(episode.instruction, len(self._tasks))
        row: dict[str, Any] = {
            "episode_index": index,
            "tasks": [episode.instruction],
            "length": length,
            "dataset_from_index": self._num_steps,
            "dataset_to_index": self._num_steps + length,
        }
        steps = np.arange(length)
        columns = {key: np.asarray(values) for key, values in episode.columns.items()} | {
            # float32 of step / fps: LeRobot compares it within 1e-4 s.
            "timestamp": (steps / self.fps).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, index),
            "index": self._num_steps + steps,
            "task_index": np.full(length, task),
        }
        with output_errors(self.root):
            if self.storage == "video":
                for camera in episode.sizes:
                    row |= self._write_video(camera, frames[camera], episode.sizes[camera])
            row |= self._write_rows(columns, episode.images, index)
        for key, values in columns.items():
            self._columns.setdefault(key, []).append(values.reshape(length, -1))
        for camera, histogram in episode.histograms.items():
            self._histograms[camera] = self._histograms.get(camera, 0) + histogram
        self._episodes.append(row)
        self._num_steps += length

    def _check_features(self, episode: EncodedEpisode) -> None:
        """Take the features of the first episode; refuse others that differ."""
        found = describe_features(episode.sizes, episode.columns, self.storage, self.fps)
        if not self._features:
            self._features = found
        for key in [*self._features, *found]:
            if found.get(key) != self._features.get(key):
                here, first = (
                    f"{key} {features[key]['dtype']} {features[key]['shape']}"
                    if key in features
                    else f"no {key}"
                    for features in (found, self._features)
                )
                where = f"{self.root}, episode {len(self._episodes)}"
                raise DataError(where, here, f"{first}, as in the first episode")

    def _write_rows(
        self, columns: Mapping[str, np.ndarray], images: Mapping[str, list[bytes]], index: int
    ) -> dict[str, int]:
        """Write one row group and say which file it is in."""
        schema = data_schema(self._features)
        arrays = []
        for field in schema:
            if field.name in columns:
                arrays.append(_column_array(columns[field.name], field.type))
            else:
                camera = field.name.removeprefix(IMAGE_PREFIX)
                arrays.append(_image_array(images[camera], f"{camera}-{index:06d}"))
        table = self._open_table(schema)
        rows = pa.Table.from_arrays(arrays, schema=schema)
        table.write_table(rows, row_group_size=max(rows.num_rows, 1))
        return {
            "data/chunk_index": self._file_index // FILES_PER_CHUNK,
            "data/file_index": self._file_index % FILES_PER_CHUNK,
        }

    def _open_table(self, schema: pa.Schema) -> pq.ParquetWriter:
        """Return the open data file, or start the next one when this is full."""
        if self._table is not None and self._data_path().stat().st_size >= self.file_mb * 2**20:
            self._table.close()
            self._table = None
            self._file_index += 1
        if self._table is None:
            path = self._data_path()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = pq.ParquetWriter(path, schema, compression="snappy")
        return self._table

    def _data_path(self) -> Path:
        chunk, file = divmod(self._file_index, FILES_PER_CHUNK)
        return self.partial / DATA_PATH.format(chunk_index=chunk, file_index=file)

    def _write_video(
        self, camera: str, frames: Iterable[np.ndarray], size: tuple[int, int]
    ) -> dict[str, Any]:
        """Append to the camera's video; an episode is found by its time in the file."""
        key = IMAGE_PREFIX + camera
        video = self._videos.get(camera)
        if video is not None and video.num_bytes >= self.file_mb * 2**20:
            video.close()
            self._video_index[camera] += 1
            video = None
        chunk, file = divmod(self._video_index.setdefault(camera, 0), FILES_PER_CHUNK)
        if video is None:
            name = VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
            path = self.partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            video = self._videos[camera] = VideoWriter(path, self.fps, *size)
        start = video.num_frames / self.fps
        video.write(frames)
        return {
            f"videos/{key}/chunk_index": chunk,
            f"videos/{key}/file_index": file,
            f"videos/{key}/from_timestamp": start,
            f"videos/{key}/to_timestamp": video.num_frames / self.fps,
        }

    def close(self) -> None:
        """Write the metadata and rename the folder into place.

        Raises:
            DataError: If there is no episode.
            OutputError: If the folder cannot be written.
        """
        if not self._episodes:
            self.abort()
            raise DataError(self.root, "no episode", "at least one successful episode")
        with output_errors(self.root):
            self._close_files()
            write_episodes(self.partial, self._episodes)
            write_tasks(self.partial, list(self._tasks))
            write_stats(self.partial, self._stats())
            write_info(
                self.partial,
                self._features,
                num_episodes=len(self._episodes),
                num_steps=self._num_steps,
                num_tasks=len(self._tasks),
                fps=self.fps,
                robot_type=self.robot_type,
                file_mb=self.file_mb,
                origin=self.origin,
            )
            put_in_place(self.partial, self.root, MARKER)
        self._lock.close()

    def _close_files(self) -> None:
        videos, self._videos = self._videos, {}
        for video in videos.values():
            video.close()
        if self._table is not None:
            self._table.close()
            self._table = None

    def _stats(self) -> dict[str, Any]:
        stats = {key: column_stats(np.concatenate(rows)) for key, rows in self._columns.items()}
        for camera, histogram in self._histograms.items():
            height, width, _ = self._features[IMAGE_PREFIX + camera]["shape"]
            stats[IMAGE_PREFIX + camera] = histogram_stats(histogram, height * width)
        return stats

    def abort(self) -> None:
        """Close what is open and remove what was written."""
        try:
            self._close_files()
        except (OSError, pa.ArrowException, PlaitError):
            # A full disk fails here again; the cause is already on its way to the user.
            pass
        finally:
            shutil.rmtree(self.partial, ignore_errors=True)
            self._lock.close()

    def __enter__(self) -> "LeRobotWriter":
        """Use as a context that finishes the dataset, unless an error occurs."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish, or leave nothing behind."""
        if kind is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise


def _column_array(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_fixed_size_list(kind):
        return pa.array(values.reshape(-1), type=kind)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)


def _image_array(pngs: list[bytes], prefix: str) -> pa.Array:
    paths = [f"{prefix}-{step:06d}.png" for step in range(len(pngs))]
    arrays = [pa.array(pngs, type=pa.binary()), pa.array(paths, type=pa.string())]
    return pa.StructArray.from_arrays(arrays, names=["bytes", "path"])
