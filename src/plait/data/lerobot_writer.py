"""Write a LeRobot v3.0 dataset, episode after episode, whole or not at all.

Everything goes to `ROOT.partial/` and is renamed to `ROOT` when the last file is closed. A row
group an episode keeps single episodes readable; image features are PNG, so nothing is lost.
"""

import io
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from plait.data.episode import EpisodeData
from plait.data.lerobot_format import (
    ACTION,
    DATA_PATH,
    EPISODES_PATH,
    FILES_PER_CHUNK,
    IMAGE_PREFIX,
    INFO_FILE,
    STATE,
    STATS_FILE,
    TASKS_FILE,
    VERSION,
    VIDEO_PATH,
    column_stats,
    data_schema,
    describe_features,
    image_stats,
)
from plait.data.video import VideoWriter
from plait.errors import DataError, OptionError, OutputError

STATS_FRAMES = 200
DATA_FILE_MB = 100


class LeRobotWriter:
    """Collects episodes into one dataset; use as a context, or call `close`.

    Args:
        root: Folder to make; must not exist.
        fps: Steps a second.
        storage: `image` (PNG in the table) or `video` (h264 files).
        robot_type: Name of the robot, for the record.

    Raises:
        OutputError: If `root` exists, or cannot be written.
        OptionError: If `storage` is neither.
    """

    def __init__(
        self, root: Path, *, fps: int, storage: str = "image", robot_type: str = "plait_tabletop"
    ) -> None:
        if storage not in ("image", "video"):
            raise OptionError(f"storage must be 'image' or 'video', but is {storage!r}")
        refuse_existing(root)
        self.root, self.fps, self.storage, self.robot_type = root, fps, storage, robot_type
        self.partial = root.with_name(root.name + ".partial")
        self._guard(self._start)
        self._features: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._numbers: list[np.ndarray] = []
        self._samples: dict[str, list[np.ndarray]] = {}
        self._videos: dict[str, VideoWriter] = {}
        self._table: pq.ParquetWriter | None = None
        self._file_index, self._num_steps = 0, 0
        # Compression leaves the interpreter's lock, so threads share the work.
        self._encoders = ThreadPoolExecutor(os.cpu_count() or 1)

    def _start(self) -> None:
        if self.partial.exists():
            shutil.rmtree(self.partial)
        (self.partial / "meta").mkdir(parents=True)

    def add(self, episode: EpisodeData) -> None:
        """Append one episode.

        Raises:
            DataError: If its arrays disagree, or hold NaN.
            OutputError: If the disk is full.
        """
        check_episode(self.root, len(self._episodes), episode)
        self._guard(lambda: self._add(episode))

    def _add(self, episode: EpisodeData) -> None:
        if not self._features:
            sizes = {name: frames.shape[1:3] for name, frames in episode.images.items()}
            self._features = describe_features(
                sizes,
                episode.proprio.shape[1],
                episode.action.shape[1],
                self.storage,
                self.fps,
            )
        length, index = len(episode.action), len(self._episodes)
        task = self._tasks.setdefault(episode.instruction, len(self._tasks))
        row: dict[str, Any] = {
            "episode_index": index,
            "tasks": [episode.instruction],
            "length": length,
            "dataset_from_index": self._num_steps,
            "dataset_to_index": self._num_steps + length,
        }
        row |= self._write_videos(episode)
        row |= self._write_table(episode, index, task)
        row |= {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        self._numbers.append(np.concatenate([episode.proprio, episode.action], axis=1))
        for camera, frames in episode.images.items():
            self._samples.setdefault(camera, []).append(frames[len(frames) // 2])
        self._episodes.append(row)
        self._num_steps += length

    def _write_table(self, episode: EpisodeData, index: int, task: int) -> dict[str, int]:
        length = len(episode.action)
        steps = np.arange(length)
        columns: dict[str, Any] = {
            STATE: _fixed_lists(episode.proprio),
            ACTION: _fixed_lists(episode.action),
            # float32 of (step / fps), as LeRobot's own tolerance check expects.
            "timestamp": (steps / self.fps).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, index),
            "index": self._num_steps + steps,
            "task_index": np.full(length, task),
        }
        if self.storage == "image":
            for camera, frames in episode.images.items():
                rows = [
                    {"bytes": content, "path": f"{camera}-{index:06d}-{step:06d}.png"}
                    for step, content in enumerate(self._encoders.map(encode_png, frames))
                ]
                columns[IMAGE_PREFIX + camera] = rows
        schema = data_schema(self._features)
        arrays = [pa.array(columns[field.name], type=field.type) for field in schema]
        table = self._open_table(schema)
        table.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=length)
        return {
            "data/chunk_index": self._file_index // FILES_PER_CHUNK,
            "data/file_index": self._file_index % FILES_PER_CHUNK,
        }

    def _open_table(self, schema: pa.Schema) -> pq.ParquetWriter:
        """Return the open data file, or start the next one when this is full."""
        path = self._data_path()
        if self._table is not None and path.stat().st_size > DATA_FILE_MB * 2**20:
            self._table.close()
            self._table = None
            self._file_index += 1
            path = self._data_path()
        if self._table is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = pq.ParquetWriter(path, schema, compression="snappy")
        return self._table

    def _data_path(self) -> Path:
        chunk, file = divmod(self._file_index, FILES_PER_CHUNK)
        return self.partial / DATA_PATH.format(chunk_index=chunk, file_index=file)

    def _write_videos(self, episode: EpisodeData) -> dict[str, Any]:
        """Append to one video a camera; an episode is found by its time in the file."""
        if self.storage != "video":
            return {}
        row: dict[str, Any] = {}
        for camera, frames in episode.images.items():
            key = IMAGE_PREFIX + camera
            if key not in self._videos:
                path = self.partial / VIDEO_PATH.format(video_key=key, chunk_index=0, file_index=0)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._videos[key] = VideoWriter(path, self.fps, frames.shape[1], frames.shape[2])
            self._videos[key].write(frames)
            start = self._num_steps / self.fps
            row |= {
                f"videos/{key}/chunk_index": 0,
                f"videos/{key}/file_index": 0,
                f"videos/{key}/from_timestamp": start,
                f"videos/{key}/to_timestamp": start + len(frames) / self.fps,
            }
        return row

    def close(self) -> None:
        """Write the metadata and rename the folder into place.

        Raises:
            DataError: If there is no episode.
            OutputError: If the folder cannot be written.
        """
        if not self._episodes:
            shutil.rmtree(self.partial, ignore_errors=True)
            raise DataError(self.root, "no episode", "at least one successful episode")
        self._guard(self._close)

    def _close(self) -> None:
        for video in self._videos.values():
            video.close()
        self._encoders.shutdown()
        if self._table is not None:
            self._table.close()
        write_episodes(self.partial, self._episodes)
        write_tasks(self.partial / TASKS_FILE, list(self._tasks))
        stats = self._stats()
        (self.partial / STATS_FILE).write_text(json.dumps(stats, indent=1), encoding="utf-8")
        text = json.dumps(self._info(), indent=4)
        (self.partial / INFO_FILE).write_text(text, encoding="utf-8")
        self.partial.rename(self.root)

    def _stats(self) -> dict[str, Any]:
        numbers = np.concatenate(self._numbers)
        proprio_dim = self._features[STATE]["shape"][0]
        stats = {
            STATE: column_stats(numbers[:, :proprio_dim]),
            ACTION: column_stats(numbers[:, proprio_dim:]),
        }
        for camera, frames in self._samples.items():
            spread = np.linspace(0, len(frames) - 1, min(len(frames), STATS_FRAMES)).astype(int)
            stats[IMAGE_PREFIX + camera] = image_stats(np.stack([frames[i] for i in spread]))
        lengths = [row["length"] for row in self._episodes]
        steps = np.concatenate([np.arange(length) for length in lengths])
        automatic = {
            "timestamp": (steps / self.fps).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.repeat(np.arange(len(lengths)), lengths),
            "index": np.arange(self._num_steps),
        }
        return stats | {key: column_stats(value[:, None]) for key, value in automatic.items()}

    def _info(self) -> dict[str, Any]:
        return {
            "codebase_version": VERSION,
            "robot_type": self.robot_type,
            "total_episodes": len(self._episodes),
            "total_frames": self._num_steps,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": DATA_FILE_MB,
            "video_files_size_in_mb": 500,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if self.storage == "video" else None,
            "features": self._features,
        }

    def _guard(self, write: Callable[[], None]) -> None:
        """Turn a failing disk into one sentence."""
        try:
            write()
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(
                f"cannot write the dataset {self.root}: {reason}. "
                "Choose another folder or free some space"
            ) from error

    def abort(self) -> None:
        """Close what is open and remove what was written."""
        for video in self._videos.values():
            video.close()
        self._encoders.shutdown()
        if self._table is not None:
            self._table.close()
        shutil.rmtree(self.partial, ignore_errors=True)

    def __enter__(self) -> "LeRobotWriter":
        """Use as a context that finishes the dataset, unless an error occurs."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish, or leave nothing behind."""
        if kind is None:
            self.close()
        else:
            self.abort()


def refuse_existing(root: Path) -> None:
    """Never write over anything.

    Raises:
        OutputError: If `root` exists and is not an empty folder.
    """
    try:
        if root.is_dir() and not any(root.iterdir()):
            root.rmdir()
        is_taken = root.exists()
    except OSError as error:
        raise OutputError(f"cannot write the dataset {root}: {error.strerror}") from error
    if is_taken:
        raise OutputError(f"{root} already exists; choose another folder, or delete it first")


def check_episode(root: Path, index: int, episode: EpisodeData) -> None:
    """Refuse an episode whose arrays disagree or hold NaN.

    Raises:
        DataError: Naming the episode and the feature.
    """
    length = len(episode.action)
    where = f"episode {index}"
    if not length:
        raise DataError(root, f"{where} has no step", "at least one")
    lengths = {"proprio": len(episode.proprio)}
    lengths |= {camera: len(frames) for camera, frames in episode.images.items()}
    for name, found in lengths.items():
        if found != length:
            raise DataError(root, f"{where} has {found} of {name}", f"{length}, one an action")
    for name, values in (("proprio", episode.proprio), ("action", episode.action)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            step, dim = bad[0]
            raise DataError(root, f"{where}, step {step}: {name}[{dim}] is not finite", "a number")


def write_episodes(root: Path, rows: list[dict[str, Any]]) -> None:
    """Write `meta/episodes`: one row an episode."""
    path = root / EPISODES_PATH.format(chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_tasks(path: Path, tasks: list[str]) -> None:
    """Write `meta/tasks.parquet`, whose text is the pandas index: LeRobot looks tasks up by it."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": tasks})
    columns = [
        _pandas_column("task_index", "int64", "int64"),
        _pandas_column("task", "unicode", "object"),
    ]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": columns,
        "pandas_version": "2.2.0",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def _pandas_column(name: str, kind: str, numpy_kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "field_name": name,
        "pandas_type": kind,
        "numpy_type": numpy_kind,
        "metadata": None,
    }


def encode_png(frame: np.ndarray) -> bytes:
    """Encode a frame without loss, quickly rather than small."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _fixed_lists(values: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
