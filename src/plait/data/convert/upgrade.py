"""LeRobot v2.0 and v2.1 to v3.0: rows are joined bit by bit, videos without decoding them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy import ndarray

from plait.data.convert.upgrade_stats import upgrade_stats
from plait.data.files import output_errors, whole_folder
from plait.data.join_videos import JoinedVideo
from plait.data.lerobot.format import (
    AUTOMATIC,
    DATA_PATH,
    FILES_PER_CHUNK,
    INFO_FILE,
    ORIGIN,
    VERSION,
    VIDEO_PATH,
)
from plait.data.lerobot.info import is_v2
from plait.data.lerobot.metadata import write_episodes, write_stats, write_tasks
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.tables import PARQUET_ERRORS, damaged, read_table
from plait.data.lerobot.writer import FILE_MB, MARKER
from plait.errors import DataError, PlaitError

# Fields of v2 that v3 has not.
DROPPED = ("total_chunks", "total_videos")


@dataclass
class _Joined:
    """What was written so far.

    Attributes:
        root: Where to.
        reader: The source.
        schema: Of the rows, once known.
        table: The open data file.
        rows: Of `meta/episodes`.
        columns: Numbers by feature, for the statistics.
        file_index: Of the open data file.
        videos: The open video of each camera.
        video_index: Its index.
    """

    root: Path
    reader: LeRobotReader
    schema: pa.Schema | None = None
    table: pq.ParquetWriter | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, list[ndarray]] = field(default_factory=dict)
    file_index: int = 0
    videos: dict[str, JoinedVideo] = field(default_factory=dict)
    video_index: dict[str, int] = field(default_factory=dict)

    def add(self, index: int) -> None:
        """Append an episode."""
        start, stop = (int(bound) for bound in self.reader.episode_bounds[index])
        tasks = self.reader.task_index[start:stop]
        names = [self.reader.tasks[task] for task in dict.fromkeys(tasks.tolist())]
        row: dict[str, Any] = {
            "episode_index": index,
            "tasks": names,
            "length": stop - start,
            "dataset_from_index": start,
            "dataset_to_index": stop,
        }
        row |= self._add_rows(index, {"index": np.arange(start, stop), "task_index": tasks})
        for key, spans in self.reader.episodes.videos.items():
            row |= self._add_video(key, spans[index].path, stop - start)
        self.rows.append(row)

    def _add_rows(self, index: int, numbered: Mapping[str, ndarray]) -> dict[str, int]:
        path = self.reader.episodes.data[index].path
        assert path is not None
        features = self.reader.info["features"]
        keys = [key for key, feature in features.items() if feature["dtype"] != "video"]
        table = read_table(path, [key for key in keys if key not in numbered])
        arrays = {key: _as_v3(table[key], features[key]) for key in table.column_names}
        arrays |= {key: pa.array(values, pa.int64()) for key, values in numbered.items()}
        keys += [key for key in numbered if key not in keys]
        made = pa.table({key: arrays[key] for key in keys})
        if self.schema is None:
            self.schema = made.schema
        try:
            made = made.cast(self.schema)
        except PARQUET_ERRORS as error:
            raise damaged(path, error) from error
        self._take_numbers(made)
        self._open_table(made.schema).write_table(made, row_group_size=max(made.num_rows, 1))
        chunk, file = divmod(self.file_index, FILES_PER_CHUNK)
        return {"data/chunk_index": chunk, "data/file_index": file}

    def _take_numbers(self, table: pa.Table) -> None:
        """Keep what statistics are made of: columns of numbers without nulls."""
        for key in table.column_names:
            values = _flat(table[key])
            if values is not None:
                self.columns.setdefault(key, []).append(values)

    def _open_table(self, schema: pa.Schema) -> pq.ParquetWriter:
        chunk, file = divmod(self.file_index, FILES_PER_CHUNK)
        path = self.root / DATA_PATH.format(chunk_index=chunk, file_index=file)
        if self.table is not None and path.stat().st_size >= FILE_MB * 2**20:
            self.table.close()
            self.table, self.file_index = None, self.file_index + 1
            return self._open_table(schema)
        if self.table is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.table = pq.ParquetWriter(path, schema, compression="snappy")
        return self.table

    def _add_video(self, key: str, source: Path | None, num_steps: int) -> dict[str, Any]:
        """Append an episode's video to the camera's file, or to the next one."""
        prefix, fps = f"videos/{key}", self.reader.info["fps"]
        names = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
        if source is None:
            return dict.fromkeys(f"{prefix}/{name}" for name in names)
        video = self.videos.get(key)
        if video is not None and video.num_bytes >= FILE_MB * 2**20:
            video = None
        begin = video.num_frames if video is not None else 0
        if video is None or not video.append(source, num_steps):
            video, begin = self._next_video(key), 0
            video.append(source, num_steps)
        chunk, file = divmod(self.video_index[key], FILES_PER_CHUNK)
        if video.num_frames != begin + num_steps:
            # Frames beyond the last step: the next episode begins a file, so that places hold.
            self._close_video(key)
        times = begin / fps, (begin + num_steps) / fps
        values = (chunk, file, *times)
        return {f"{prefix}/{name}": value for name, value in zip(names, values, strict=True)}

    def _next_video(self, key: str) -> JoinedVideo:
        self._close_video(key)
        self.video_index[key] = self.video_index.get(key, -1) + 1
        chunk, file = divmod(self.video_index[key], FILES_PER_CHUNK)
        name = VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        video = self.videos[key] = JoinedVideo(path, self.reader.info["fps"])
        return video

    def _close_video(self, key: str) -> None:
        video = self.videos.pop(key, None)
        if video is not None:
            video.close()

    def close(self) -> None:
        """Finish the open files."""
        for key in list(self.videos):
            self._close_video(key)
        if self.table is not None:
            self.table.close()
            self.table = None


def open_v2(path: Path) -> LeRobotReader:
    """Open a dataset of version 2.

    Raises:
        DataError: If it is of version 3 already, or damaged.
    """
    reader = LeRobotReader.open(path)
    if not is_v2(reader.info):
        version = reader.info["codebase_version"]
        raise DataError(path / INFO_FILE, f"LeRobot {version}", "v2.0 or v2.1", "It can be used")
    return reader


def upgrade(
    reader: LeRobotReader,
    root: Path,
    origin: Mapping[str, Any],
    on_progress: Callable[[int, int], None],
) -> None:
    """Write a dataset of version 2 as one of version 3.

    Args:
        reader: The source.
        root: Folder to make.
        origin: Where it comes from, for the record.
        on_progress: Called with the episodes done, and all.

    Raises:
        DataError: If a file of the source is missing or damaged.
        OutputError: If the folder is taken, or cannot be written.
    """
    num_episodes = len(reader.episode_bounds)
    with whole_folder(root, MARKER) as partial:
        (partial / "meta").mkdir()
        with _joining(partial, reader) as joined:
            on_progress(0, num_episodes)
            for index in range(num_episodes):
                joined.add(index)
                on_progress(index + 1, num_episodes)
        write_episodes(partial, joined.rows)
        write_tasks(partial, reader.tasks)
        write_stats(partial, upgrade_stats(reader, joined.columns))
        text = json.dumps(_info(reader, origin), indent=4)
        (partial / INFO_FILE).write_text(text, encoding="utf-8")


@contextmanager
def _joining(root: Path, reader: LeRobotReader) -> Iterator[_Joined]:
    """Close what is open in any case; what went wrong first is what is told."""
    joined = _Joined(root, reader)
    try:
        with output_errors(root):
            yield joined
    except BaseException:
        with suppress(OSError, pa.ArrowException, PlaitError):
            joined.close()
        raise
    with output_errors(root):
        joined.close()


def _info(reader: LeRobotReader, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source's own `info.json`, with what is new in version 3."""
    info = {key: value for key, value in reader.info.items() if key not in DROPPED}
    features = dict(info["features"])
    for key, dtype in AUTOMATIC.items():
        features.setdefault(key, {"dtype": dtype, "shape": [1], "names": None})
    return info | {
        "codebase_version": VERSION,
        "total_tasks": len(reader.tasks),
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": FILE_MB,
        "video_files_size_in_mb": FILE_MB,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if reader.episodes.videos else None,
        "features": features,
        ORIGIN: dict(origin),
    }


def _as_v3(column: pa.ChunkedArray, feature: Mapping[str, Any]) -> pa.Array:
    """Return a column as version 3 holds it: vectors as lists of one length, single numbers bare.

    Numbers stay bit by bit as they are. What has nulls, or is of another form, stays too.
    """
    array = column.combine_chunks()
    kind, shape = array.type, feature.get("shape")
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    is_fixed = pa.types.is_fixed_size_list(kind)
    if not (is_list or is_fixed) or array.null_count or not isinstance(shape, list):
        return array
    flat, size = array.flatten(), shape[0] if len(shape) == 1 else 0
    is_plain = pa.types.is_primitive(flat.type) and not flat.null_count
    sizes = np.diff(array.offsets.to_numpy()) if is_list else np.array([kind.list_size])
    if not is_plain or not size or (sizes != size).any():
        return array
    return flat if size == 1 else pa.FixedSizeListArray.from_arrays(flat, size)


def _flat(column: pa.ChunkedArray) -> ndarray | None:
    """Return a column as `[rows, dims]`; None where it holds anything but numbers."""
    array = column.combine_chunks()
    kind = array.type
    is_fixed = pa.types.is_fixed_size_list(kind)
    flat = array.flatten() if is_fixed else array
    is_number = pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type)
    is_number = is_number or pa.types.is_boolean(flat.type)
    if not is_number or array.null_count or flat.null_count:
        return None
    values = np.asarray(flat.to_numpy(zero_copy_only=False))
    return values.reshape(len(array), -1)
