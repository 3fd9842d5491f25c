"""LeRobot v2.0 and v2.1: one parquet file an episode, and one video an episode and camera."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from plait.data.lerobot.episodes import ABSENT, EpisodeTable, Span, check_count, check_order
from plait.data.lerobot.format import FILES_PER_CHUNK, INFO_FILE
from plait.data.lerobot.info import MAX_COUNT, fill_template
from plait.data.lerobot.json_files import COPY_AGAIN, read_lines
from plait.errors import DataError

EPISODES_FILE = "meta/episodes.jsonl"
TASKS_FILE = "meta/tasks.jsonl"


def read_episodes(root: Path, info: dict[str, Any]) -> EpisodeTable:
    """Read `meta/episodes.jsonl` and find the files that the templates of `info.json` name.

    Raises:
        DataError: If the list is missing, damaged or inconsistent.
    """
    path = root / EPISODES_FILE
    rows = [
        tuple(_whole_number(path, row, name) for name in ("episode_index", "length"))
        for row in read_lines(path, "the list of the episodes")
    ]
    check_count(path, len(rows), info["total_episodes"])
    index, lengths = np.array(sorted(rows), dtype=np.int64).T
    check_order(path, index, lengths, info["total_frames"])
    template = info["data_path"]
    start = np.zeros(1, dtype=np.int64)
    data = tuple(
        Span(fill_template(root, template, **places), episode, start)
        for episode, places in _places(info)
    )
    return EpisodeTable(path, lengths, data, _videos(root, info))


def _whole_number(path: Path, row: dict[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_COUNT:
        raise DataError(path, f"{name} = {value!r} in {row}"[:200], "a whole number", COPY_AGAIN)
    return value


def _places(info: dict[str, Any]) -> Iterator[tuple[int, dict[str, int]]]:
    """Yield each episode with what a template may ask of it; both names of its chunk occur."""
    size = info.get("chunks_size", FILES_PER_CHUNK)
    for episode in range(info["total_episodes"]):
        chunk = episode // size
        yield (
            episode,
            {"episode_chunk": chunk, "chunk_index": chunk, "episode_index": episode},
        )


def _videos(root: Path, info: dict[str, Any]) -> dict[str, tuple[Span, ...]]:
    keys = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    template = info.get("video_path")
    if keys and not template:
        found = f"no video_path, though {keys[0]} is a video"
        raise DataError(root / INFO_FILE, found, "a template", COPY_AGAIN)
    files = {
        key: [fill_template(root, template, video_key=key, **places) for _, places in _places(info)]
        for key in keys
    }
    exists = {key: [os.path.exists(path) for path in files[key]] for key in keys}
    # Files may lack where `info.json` counts only those that are there: these episodes were
    # recorded without that camera. Anything else is a dataset that was not copied whole.
    may_lack = info.get("total_videos") == sum(sum(found) for found in exists.values())
    videos = {}
    for key in keys:
        spans = []
        for episode, path in enumerate(files[key]):
            is_there = exists[key][episode] or not may_lack
            start = np.array([0 if is_there else ABSENT], dtype=np.int64)
            spans.append(Span(path if is_there else None, episode, start))
        videos[key] = tuple(spans)
    return videos


def read_task_rows(root: Path) -> tuple[Path, list[tuple[int, Any]]]:
    """Return the list of the tasks with its rows of index and text.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = root / TASKS_FILE
    rows = read_lines(path, "the list of the tasks")
    return path, [(_whole_number(path, row, "task_index"), row.get("task")) for row in rows]
