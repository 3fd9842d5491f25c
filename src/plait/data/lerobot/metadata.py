"""The tables and JSON files under `meta/` of a LeRobot v3.0 dataset, as LeRobot expects them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plait.data.lerobot.format import (
    DATA_PATH,
    EPISODES_PATH,
    FILES_PER_CHUNK,
    INFO_FILE,
    ORIGIN,
    STATS_FILE,
    TASKS_FILE,
    VERSION,
    VIDEO_PATH,
)


def write_episodes(root: Path, rows: list[dict[str, Any]]) -> None:
    """Write `meta/episodes`: one row an episode."""
    path = root / EPISODES_PATH.format(chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
    pq.write_table(pa.Table.from_pylist([row | place for row in rows]), path)


def write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """Write `meta/tasks.parquet`, whose text is the pandas index: LeRobot looks tasks up by it.

    Without the `pandas` metadata LeRobot silently takes row numbers for the instructions.
    """
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": list(tasks)})
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            _pandas_column("task_index", "int64", "int64"),
            _pandas_column("task", "unicode", "object"),
        ],
        "pandas_version": "2.2.0",
    }
    path = root / TASKS_FILE
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


def write_stats(root: Path, stats: Mapping[str, Any]) -> None:
    """Write `meta/stats.json`."""
    text = json.dumps(stats, indent=1, allow_nan=False)
    (root / STATS_FILE).write_text(text, encoding="utf-8")


def write_info(
    root: Path,
    features: Mapping[str, Mapping[str, Any]],
    *,
    num_episodes: int,
    num_steps: int,
    num_tasks: int,
    fps: int,
    robot_type: str | None,
    file_mb: int,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write `meta/info.json`.

    Args:
        root: Folder of the dataset.
        features: As `describe_features` returns them.
        num_episodes: Episodes in all.
        num_steps: Steps in all.
        num_tasks: Distinct instructions.
        fps: Steps a second.
        robot_type: Name of the robot.
        file_mb: Size at which a new file was started, in MiB.
        origin: Where the data came from and what was done to it, under a key of our own.
    """
    has_video = any(feature["dtype"] == "video" for feature in features.values())
    info = {
        "codebase_version": VERSION,
        "robot_type": robot_type,
        "total_episodes": num_episodes,
        "total_frames": num_steps,
        "total_tasks": num_tasks,
        "chunks_size": FILES_PER_CHUNK,
        # LeRobot refuses a dataset that says 0, a file for every episode.
        "data_files_size_in_mb": max(file_mb, 1),
        "video_files_size_in_mb": max(file_mb, 1),
        "fps": fps,
        "splits": {"train": f"0:{num_episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if has_video else None,
        "features": features,
    }
    if origin is not None:
        # Readers of the format pass over keys that they do not know.
        info[ORIGIN] = origin
    (root / INFO_FILE).write_text(json.dumps(info, indent=4), encoding="utf-8")
