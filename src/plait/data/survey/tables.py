"""The tables under `meta/`, of LeRobot v3.0 (parquet) and v2.x (JSON lines), read with patience."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from plait.data.files import reason
from plait.data.lerobot.checks import COPY_AGAIN, fill_template, read_table
from plait.data.lerobot.format import STATS_FILE, TASKS_FILE
from plait.errors import DataError

EPISODE_LINES, TASK_LINES = "meta/episodes.jsonl", "meta/tasks.jsonl"
STATS_LINES = "meta/episodes_stats.jsonl"


@dataclass(frozen=True)
class VideoPlace:
    """Where an episode's frames of one camera are: from a time on in a file."""

    path: Path
    start_s: float


@dataclass(frozen=True)
class EpisodeRecord:
    """What the table of the episodes says of one.

    Attributes:
        length: Its steps.
        tasks: Its instructions.
        videos: Where its frames are, by the key of the camera.
    """

    length: int
    tasks: tuple[str, ...] = ()
    videos: Mapping[str, VideoPlace] = field(default_factory=dict)


@contextmanager
def tolerated(problems: list[DataError]) -> Iterator[None]:
    """Write an error of the data down and go on after the block."""
    try:
        yield
    except DataError as error:
        problems.append(error)


def read_episodes(
    root: Path, info: Mapping[str, Any], problems: list[DataError]
) -> dict[int, EpisodeRecord]:
    """Read the table of the episodes."""
    rows: list[dict[str, Any]] = []
    files = sorted((root / "meta" / "episodes").rglob("*.parquet"))
    for path in files:
        with tolerated(problems):
            rows += read_table(path).to_pylist()
    if not files:
        with tolerated(problems):
            rows = read_lines(root / EPISODE_LINES)
    records: dict[int, EpisodeRecord] = {}
    for row in rows:
        path = files[0] if files else root / EPISODE_LINES
        with tolerated(problems):
            index, record = _record(root, path, info, row)
            if index in records:
                raise DataError(path, f"episode {index} twice", "every episode once", COPY_AGAIN)
            records[index] = record
    return records


def _record(
    root: Path, path: Path, info: Mapping[str, Any], row: Mapping[str, Any]
) -> tuple[int, EpisodeRecord]:
    try:
        index, length = int(row["episode_index"]), int(row["length"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(path, f"a row {dict(row)}", "episode_index and length") from error
    told = row.get("tasks") or ()
    texts = (told,) if isinstance(told, str) else tuple(str(text) for text in told)
    videos = {
        key: _place(root, path, info, row, key, index)
        for key, feature in info["features"].items()
        if feature["dtype"] == "video"
    }
    return index, EpisodeRecord(length, texts, videos)


def _place(
    root: Path, path: Path, info: Mapping[str, Any], row: Mapping[str, Any], key: str, index: int
) -> VideoPlace:
    """Return where a video is: v3.0 says it in the row, v2.x has a file an episode."""
    template = info.get("video_path")
    if not template:
        raise DataError(path, f"no video_path, though {key} is a video", "a template", COPY_AGAIN)
    try:
        chunk = int(row[f"videos/{key}/chunk_index"])
        file = int(row[f"videos/{key}/file_index"])
        start_s = float(row.get(f"videos/{key}/from_timestamp") or 0.0)
    except (KeyError, TypeError, ValueError) as error:
        if any(name.startswith("videos/") for name in row) or "{file_index" in template:
            found = f"no videos/{key}/file_index of episode {index}"
            raise DataError(path, found, "where each episode is", COPY_AGAIN) from error
        chunk, file, start_s = index // int(info.get("chunks_size", 1000)), 0, 0.0
    places = {"video_key": key, "chunk_index": chunk, "file_index": file}
    older = {"episode_chunk": chunk, "episode_index": index}
    return VideoPlace(fill_template(root, template, **places, **older), start_s)


def read_task_texts(root: Path, problems: list[DataError]) -> dict[int, str]:
    """Read the table of the instructions."""
    path = root / TASKS_FILE
    rows: list[dict[str, Any]] = []
    with tolerated(problems):
        if path.exists():
            rows = read_table(path).to_pylist()
        else:
            path = root / TASK_LINES
            rows = read_lines(path)
    texts: dict[int, str] = {}
    for row in rows:
        # A pandas index without a name is stored under the last of these.
        text = row.get("task", row.get("__index_level_0__"))
        index = row.get("task_index")
        if not isinstance(index, int) or not isinstance(text, str):
            problems.append(DataError(path, f"a row {row}", "task_index and task", COPY_AGAIN))
            continue
        if index in texts:
            problems.append(DataError(path, f"task {index} twice", "every task once", COPY_AGAIN))
        texts[index] = text
    return texts


def read_stats(root: Path, problems: list[DataError]) -> dict[str, dict[str, Any]]:
    """Read the statistics of all steps; those of v2.1, an episode each, are put together.

    Quantiles cannot be put together, and are left out.
    """
    with tolerated(problems):
        if (root / STATS_FILE).exists():
            stats = _read_json(root / STATS_FILE)
            return {key: value for key, value in stats.items() if isinstance(value, dict)}
        if (root / STATS_LINES).exists():
            rows = [row.get("stats", {}) for row in read_lines(root / STATS_LINES)]
            keys = {key for row in rows for key in row if "images" not in key}
            return {key: _together([row[key] for row in rows if key in row]) for key in keys}
    return {}


def _together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        counts = np.array([float(np.ravel(part["count"])[0]) for part in parts])
        means = np.array([part["mean"] for part in parts], dtype=np.float64)
        return {
            "min": np.min([part["min"] for part in parts], axis=0).tolist(),
            "max": np.max([part["max"] for part in parts], axis=0).tolist(),
            "mean": np.average(means, axis=0, weights=counts).tolist(),
            "count": [int(counts.sum())],
        }
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(path, f"cannot be read ({reason(error)})", "JSON") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON ({error})", "JSON", COPY_AGAIN) from error
    if not isinstance(value, dict):
        raise DataError(path, f"a {type(value).__name__}", "a JSON object", COPY_AGAIN)
    return value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line.

    Raises:
        DataError: If it is missing, or a line is anything else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "a table under meta/", COPY_AGAIN) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({reason(error)})", "JSON lines") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON lines ({error})", "JSON", COPY_AGAIN) from error
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(path, "a line that is no object", "an object a line", COPY_AGAIN)
    return rows
