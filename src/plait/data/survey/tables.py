"""The tables under `meta/`, of LeRobot v3.0 (parquet) and v2.x (JSON lines), read with patience."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from plait.data.lerobot import layout_v2, layout_v3
from plait.data.lerobot.format import FILES_PER_CHUNK, STATS_FILE
from plait.data.lerobot.info import fill_template, is_v2
from plait.data.lerobot.json_files import COPY_AGAIN, read_lines, read_object
from plait.data.lerobot.tables import read_table
from plait.errors import DataError

EPISODE_STATS_FILE = "meta/episodes_stats.jsonl"


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
        videos: Where its frames are, by the key of the camera; none where it was not recorded.
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
    root: Path, info: dict[str, Any], problems: list[DataError]
) -> dict[int, EpisodeRecord]:
    """Read the table of the episodes."""
    keys = [key for key, feature in info["features"].items() if feature["dtype"] == "video"]
    records: dict[int, EpisodeRecord] = {}
    for path, row in _episode_rows(root, info, keys, problems):
        with tolerated(problems):
            index, length = (_whole(path, row, name) for name in ("episode_index", "length"))
            if index in records:
                raise DataError(path, f"episode {index} twice", "every episode once", COPY_AGAIN)
            records[index] = EpisodeRecord(length, _texts(row))
            videos = _videos(root, path, info, row, keys, index)
            records[index] = replace(records[index], videos=videos)
    return _without_absent(info, records) if is_v2(info) else records


def _episode_rows(
    root: Path, info: dict[str, Any], keys: list[str], problems: list[DataError]
) -> list[tuple[Path, dict[str, Any]]]:
    if is_v2(info):
        path = root / layout_v2.EPISODES_FILE
        with tolerated(problems):
            return [(path, row) for row in read_lines(path, "the list of the episodes")]
        return []
    folder = root / "meta" / "episodes"
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        problems.append(DataError(folder, "no file", "the table of the episodes", COPY_AGAIN))
    names = ("chunk_index", "file_index", "from_timestamp")
    columns = ["tasks", *(f"videos/{key}/{name}" for key in keys for name in names)]
    rows: list[tuple[Path, dict[str, Any]]] = []
    for path in files:
        with tolerated(problems):
            table = read_table(path, (layout_v3.INDEX, layout_v3.LENGTH), columns)
            rows += [(path, row) for row in table.to_pylist()]
    return rows


def _whole(path: Path, row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(path, f"{name} = {value!r}", "a whole number", COPY_AGAIN)
    return value


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    told = row.get("tasks") or ()
    return (
        (told,)
        if isinstance(told, str)
        else tuple("" if text is None else str(text) for text in told)
    )


def _videos(
    root: Path,
    path: Path,
    info: dict[str, Any],
    row: Mapping[str, Any],
    keys: list[str],
    episode: int,
) -> dict[str, VideoPlace]:
    """Return where the videos of an episode are: v3.0 says it in the row, v2.x has files."""
    template, places = info.get("video_path"), {}
    if keys and not template:
        raise DataError(path, f"no video_path, though {keys[0]} is a video", "a template")
    for key in keys:
        if is_v2(info):
            chunk = episode // info.get("chunks_size", FILES_PER_CHUNK)
            values = {"episode_chunk": chunk, "chunk_index": chunk, "episode_index": episode}
            places[key] = VideoPlace(fill_template(root, template, video_key=key, **values), 0.0)
            continue
        prefix = f"videos/{key}"
        if f"{prefix}/chunk_index" not in row:
            raise DataError(path, f"no column {prefix}/chunk_index", "it", COPY_AGAIN)
        # Null is an episode that was recorded without this camera.
        if row[f"{prefix}/chunk_index"] is None:
            continue
        values = {
            name: _whole(path, row, f"{prefix}/{name}") for name in ("chunk_index", "file_index")
        }
        start_s = float(row.get(f"{prefix}/from_timestamp") or 0.0)
        file = fill_template(root, template, video_key=key, **values)
        places[key] = VideoPlace(file, start_s)
    return places


def _without_absent(
    info: dict[str, Any], records: dict[int, EpisodeRecord]
) -> dict[int, EpisodeRecord]:
    """Leave out videos that v2.x does not count: those episodes lack that camera."""
    found = {
        episode: {key: place for key, place in record.videos.items() if place.path.exists()}
        for episode, record in records.items()
    }
    if info.get("total_videos") != sum(len(places) for places in found.values()):
        return records
    return {episode: replace(record, videos=found[episode]) for episode, record in records.items()}


def read_task_texts(root: Path, info: dict[str, Any], problems: list[DataError]) -> dict[int, str]:
    """Read the table of the instructions; an index without a text has an empty one."""
    texts: dict[int, str] = {}
    with tolerated(problems):
        layout = layout_v2 if is_v2(info) else layout_v3
        path, rows = layout.read_task_rows(root)
        for index, text in rows:
            if index in texts:
                found = f"task {index} twice"
                problems.append(DataError(path, found, "every task once", COPY_AGAIN))
            texts[index] = "" if text is None else str(text)
    return texts


def read_stats(root: Path, problems: list[DataError]) -> dict[str, dict[str, Any]]:
    """Read the statistics of all steps; those of v2.1, an episode each, are put together.

    Quantiles cannot be put together, and are left out.
    """
    with tolerated(problems):
        if (root / STATS_FILE).exists():
            stats = read_object(root / STATS_FILE, "the statistics")
            return {key: value for key, value in stats.items() if isinstance(value, dict)}
        path = root / EPISODE_STATS_FILE
        if path.exists():
            rows = [row.get("stats") for row in read_lines(path, "the statistics")]
            whole = [row for row in rows if isinstance(row, dict)]
            keys = sorted({key for row in whole for key in row})
            return {key: _together([row[key] for row in whole if key in row]) for key in keys}
    return {}


def _together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the statistics of episodes together; nothing where they do not fit each other."""
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
