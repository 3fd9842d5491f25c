"""LeRobot v3.0: many episodes in a file; a table says where each one is."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from plait.data.lerobot.episodes import ABSENT, EpisodeTable, Span, check_count, check_order
from plait.data.lerobot.format import INFO_FILE, TASKS_FILE
from plait.data.lerobot.info import MAX_COUNT, camera_keys, fill_template
from plait.data.lerobot.json_files import COPY_AGAIN
from plait.data.lerobot.tables import read_integers, read_numbers, read_table
from plait.errors import DataError

INDEX, LENGTH = "episode_index", "length"
DATA = ("data/chunk_index", "data/file_index")


def read_episodes(root: Path, info: dict[str, Any]) -> EpisodeTable:
    """Read `meta/episodes`, only the columns that say where things are.

    Raises:
        DataError: If the table is missing, damaged or inconsistent.
    """
    folder = root / "meta" / "episodes"
    files = sorted(folder.glob("chunk-*/file-*.parquet"))
    if not files:
        raise DataError(folder, "no file", "the table of the episodes", COPY_AGAIN)
    features = info["features"]
    keys = [key for _, key in camera_keys(features) if features[key]["dtype"] == "video"]
    columns = _read_columns(files, keys)
    path = files[0]
    check_count(path, len(columns[INDEX]), info["total_episodes"])
    order = np.argsort(columns[INDEX], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    index, lengths = (columns[name].astype(np.int64) for name in (INDEX, LENGTH))
    check_order(path, index, lengths, info["total_frames"])
    starts = np.zeros(len(index))
    chunk, file = (columns[name] for name in DATA)
    data = _spans(root, path, info["data_path"], "data", np.stack([chunk, file, starts], axis=1))
    if any(span.path is None or ABSENT in span.starts for span in data):
        raise DataError(path, "an episode without rows", "where each episode is", COPY_AGAIN)
    videos = {key: _video_spans(root, path, info, key, columns) for key in keys}
    return EpisodeTable(path, lengths, data, videos)


def _read_columns(files: list[Path], keys: list[str]) -> dict[str, Float64[ndarray, " episodes"]]:
    """Read the columns of all files; NaN stands for null, 0 for a time that is not given."""
    places = [f"videos/{key}/{name}" for key in keys for name in ("chunk_index", "file_index")]
    times = [f"videos/{key}/from_timestamp" for key in keys]
    parts: dict[str, list[ndarray]] = {}
    for path in files:
        table = read_table(path, (INDEX, LENGTH, *DATA, *places), times)
        for name in (INDEX, LENGTH):
            values = read_integers(path, table, name)
            if len(values) and np.abs(values).max() > MAX_COUNT:
                found = f"{name} of up to {values.max()}"
                raise DataError(path, found, "a number of steps that can be", COPY_AGAIN)
        for name in (INDEX, LENGTH, *DATA, *places, *times):
            is_given = name in table.column_names
            values = read_numbers(path, table, name) if is_given else np.zeros(table.num_rows)
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _video_spans(
    root: Path, path: Path, info: dict[str, Any], key: str, columns: dict[str, ndarray]
) -> tuple[Span, ...]:
    template = info.get("video_path")
    if not template:
        found = f"no video_path, though {key} is a video"
        raise DataError(root / INFO_FILE, found, "a template", COPY_AGAIN)
    prefix = f"videos/{key}"
    # A frame is found by counting: rounding times of frames is what goes wrong elsewhere.
    starts = np.rint(columns[f"{prefix}/from_timestamp"] * info["fps"])
    rows = [columns[f"{prefix}/{name}"] for name in ("chunk_index", "file_index")]
    return _spans(root, path, template, prefix, np.stack([*rows, starts], axis=1), video_key=key)


def _spans(
    root: Path,
    path: Path,
    template: Any,
    prefix: str,
    rows: Float64[ndarray, "episodes 3"],
    **values: str,
) -> tuple[Span, ...]:
    """Divide the episodes into runs that lie in one file.

    Args:
        root: Folder of the dataset.
        path: The table, for messages.
        template: Of the files.
        prefix: Of the columns, for messages.
        rows: Chunk, file and first frame of every episode; NaN where it is not recorded.
        values: What else the template may ask for.

    Raises:
        DataError: If the episodes of one file do not follow each other: read file after file,
            steps would change places.
    """
    present = ~np.isnan(rows).any(axis=1)
    impossible = present & ((rows < 0) | (rows > MAX_COUNT) | (rows != np.rint(rows))).any(axis=1)
    if impossible.any():
        episode = int(impossible.argmax())
        found = f"{prefix} of episode {episode} in chunk, file, frame {rows[episode].tolist()}"
        raise DataError(path, found, "whole numbers from 0", COPY_AGAIN)
    starts = np.where(present, rows[:, 2], ABSENT).astype(np.int64)
    if not present.any():
        return (Span(None, 0, starts),)
    # An episode without frames may stand between others of one file: it goes with its neighbour.
    source = np.maximum.accumulate(np.where(present, np.arange(len(rows)), present.argmax()))
    places = rows[source, :2].astype(np.int64)
    firsts = np.flatnonzero(np.r_[True, (places[1:] != places[:-1]).any(axis=1)])
    spans: dict[tuple[int, int], Span] = {}
    for first, end in zip(firsts.tolist(), [*firsts[1:].tolist(), len(rows)], strict=True):
        chunk, file = places[first].tolist()
        if (chunk, file) in spans:
            last = spans[chunk, file].episodes[-1]
            apart = f"episodes {last} and {first} in one {prefix} file, others elsewhere"
            raise DataError(path, apart, "episodes in the order of the files")
        name = fill_template(root, template, chunk_index=chunk, file_index=file, **values)
        spans[chunk, file] = Span(name, first, starts[first:end])
    return tuple(spans.values())


def read_task_rows(root: Path) -> tuple[Path, list[tuple[int, Any]]]:
    """Return the table of the tasks with its rows of index and text.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = root / TASKS_FILE
    # A pandas index without a name is stored under this one.
    names = ("task", "__index_level_0__")
    table = read_table(path, ("task_index",), names)
    name = next((name for name in names if name in table.column_names), None)
    if name is None:
        found = f"columns {', '.join(table.column_names)}"
        raise DataError(path, found, "task and task_index", COPY_AGAIN)
    indices = read_integers(path, table, "task_index").tolist()
    try:
        return path, list(zip(indices, table[name].to_pylist(), strict=True))
    except ValueError as error:
        raise DataError(path, f"a task that is no text ({error})", "text", COPY_AGAIN) from error
