"""Read the files of a LeRobot v3.0 dataset; whatever is wrong with them becomes one DataError."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64
from numpy import ndarray

from plait.data.files import beside, reason
from plait.data.lerobot.format import ACTION, INFO_FILE, STATE, TASKS_FILE
from plait.errors import DataError

A_DATASET = "a LeRobot v3.0 dataset (a folder with meta/info.json)"
COPY_AGAIN = "Copy or record the dataset again"
SAID = f"as {INFO_FILE} says"
LOW_DIM_COLUMNS = (STATE, ACTION, "episode_index", "frame_index", "task_index")


def read_info(root: Path) -> dict[str, Any]:
    """Read `meta/info.json` and check that it is of a dataset that can be read.

    Raises:
        DataError: If it is missing, damaged, of another version, or incomplete.
    """
    path = root / INFO_FILE
    unfinished = [beside(root, suffix) for suffix in (".recording", ".partial")]
    is_unfinished = any(folder.exists() for folder in unfinished)
    todo = "Its recording was interrupted: run it again" if is_unfinished else ""
    if not root.is_dir():
        raise DataError(root, "no such folder", A_DATASET, todo)
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", A_DATASET, todo) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({reason(error)})", A_DATASET) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON ({error})", A_DATASET, COPY_AGAIN) from error
    if not isinstance(info, dict):
        raise DataError(path, f"a {type(info).__name__}", "a JSON object", COPY_AGAIN)
    version = str(info.get("codebase_version", "none"))
    if not version.startswith("v3."):
        todo = "Convert it with LeRobot's convert_dataset_v21_to_v30"
        raise DataError(path, f"LeRobot version {version}", "v3.0", todo)
    for name in ("features", "fps", "total_frames", "total_episodes", "data_path"):
        if name not in info:
            raise DataError(path, f"no field {name!r}", "it, as in every v3.0 dataset", COPY_AGAIN)
    for name in ("fps", "total_frames", "total_episodes"):
        value = info[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # JSON written by Python may hold NaN, which is neither below 1 nor above.
        if not is_number or not 1 <= value < math.inf:
            raise DataError(path, f"{name} = {info[name]!r}", "a number from 1", COPY_AGAIN)
    _check_features(path, info["features"])
    return info


def _check_features(path: Path, features: Any) -> None:
    if not isinstance(features, dict):
        raise DataError(path, f"features as a {type(features).__name__}", "an object", COPY_AGAIN)
    for key, feature in features.items():
        if not isinstance(feature, dict) or "dtype" not in feature:
            raise DataError(path, f"{key} without a dtype", "dtype and shape", COPY_AGAIN)
    for key in (STATE, ACTION):
        if key not in features:
            known = ", ".join(features)
            raise DataError(path, f"no feature {key!r} among {known}", f"{STATE} and {ACTION}")
        shape = features[key].get("shape")
        if not (isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], int)):
            raise DataError(path, f"{key} of shape {shape}", "a shape of one number")


def fill_template(root: Path, template: Any, **values: object) -> Path:
    """Return the file that a template of `info.json` names.

    Raises:
        DataError: If the template asks for something else.
    """
    try:
        return root / str(template).format(**values)
    except (KeyError, IndexError, ValueError) as error:
        expected = f"a template of {', '.join(values)}"
        raise DataError(root / INFO_FILE, f"path {template!r}", expected, COPY_AGAIN) from error


def read_table(path: Path, columns: tuple[str, ...] = ()) -> pa.Table:
    """Read columns of a parquet file; all but statistics where none are named.

    Raises:
        DataError: If the file is missing or damaged, or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            missing = [name for name in columns if name not in names]
            if missing:
                found = f"no column {missing[0]!r} among {', '.join(names)}"
                raise DataError(path, found, "it, as in every v3.0 dataset", COPY_AGAIN)
            wanted = columns or [name for name in names if not name.startswith("stats/")]
            return file.read(columns=list(wanted))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "a parquet file", COPY_AGAIN) from error
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> DataError:
    """Describe a parquet file that cannot be read."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(path, f"damaged ({reason})", "a whole parquet file", COPY_AGAIN)


@dataclass(frozen=True)
class EpisodeTable:
    """The rows of `meta/episodes`, in the order of the episodes."""

    path: Path
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, root: Path, num_episodes: int) -> "EpisodeTable":
        """Read and check the table.

        Raises:
            DataError: If it is missing, damaged, or does not count 0, 1, 2 ...
        """
        folder = root / "meta" / "episodes"
        files = sorted(folder.glob("chunk-*/file-*.parquet"))
        if not files:
            raise DataError(folder, "no file", "the table of the episodes", COPY_AGAIN)
        needed = {"episode_index", "length", "data/chunk_index", "data/file_index"}
        rows: list[dict[str, Any]] = []
        for path in files:
            table = read_table(path)
            for name in sorted(needed - set(table.column_names)):
                found = f"no column {name!r} among {', '.join(table.column_names)}"
                raise DataError(path, found, "it, as in every v3.0 dataset", COPY_AGAIN)
            for name in ("episode_index", "length"):
                read_integers(path, table, name)
            rows += table.to_pylist()
        if len(rows) != num_episodes:
            found = f"{len(rows)} episodes"
            raise DataError(files[0], found, f"{num_episodes}, {SAID}", COPY_AGAIN)
        rows.sort(key=lambda row: int(row["episode_index"]))
        for index, row in enumerate(rows):
            if row["episode_index"] != index or row["length"] < 1:
                found = f"episode {row['episode_index']} of {row['length']} steps"
                raise DataError(files[0], found, f"episode {index} of at least one", COPY_AGAIN)
        return cls(files[0], rows)

    @property
    def bounds(self) -> Int64[ndarray, "episodes 2"]:
        """First step and the step after the last, of every episode."""
        lengths = np.array([row["length"] for row in self.rows], dtype=np.int64)
        ends = np.cumsum(lengths)
        return np.stack([ends - lengths, ends], axis=1)

    def files(self, prefix: str) -> dict[tuple[int, int], list[int]]:
        """Return the episodes of each (chunk, file), in the order of the episodes.

        Args:
            prefix: `data`, or `videos/` and a video's key.

        Raises:
            DataError: If the table does not say where the episodes are, or if those of one file
                do not follow each other: read file after file, steps would change places.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for index, row in enumerate(self.rows):
            try:
                place = int(row[f"{prefix}/chunk_index"]), int(row[f"{prefix}/file_index"])
            except (KeyError, TypeError, ValueError) as error:
                missing = f"no {prefix}/file_index of episode {index}"
                raise DataError(self.path, missing, "where each episode is", COPY_AGAIN) from error
            indices = found.setdefault(place, [])
            if indices and indices[-1] != index - 1:
                apart = f"episodes {indices[-1]} and {index} in one {prefix} file, others elsewhere"
                raise DataError(self.path, apart, "episodes in the order of the files")
            indices.append(index)
        return found


def read_rows(path: Path, episodes: EpisodeTable, indices: list[int]) -> pa.Table:
    """Read the numbers of one data file and check that its rows are those of its episodes.

    Raises:
        DataError: If they are not.
    """
    table = read_table(path, LOW_DIM_COLUMNS)
    lengths = [int(episodes.rows[index]["length"]) for index in indices]
    if table.num_rows != sum(lengths):
        found = f"{table.num_rows} steps"
        expected = f"{sum(lengths)} of episodes {indices[0]} to {indices[-1]}"
        raise DataError(path, found, f"{expected}, as {episodes.path} says", COPY_AGAIN)
    counted = {
        "episode_index": np.repeat(indices, lengths),
        "frame_index": np.concatenate([np.arange(length) for length in lengths]),
    }
    for key, right in counted.items():
        column = read_integers(path, table, key)
        wrong = np.flatnonzero(column != right)
        if len(wrong):
            found = f"{key} {column[wrong[0]]} in row {wrong[0]}"
            raise DataError(path, found, f"{right[wrong[0]]}, as {episodes.path} says", COPY_AGAIN)
    return table


def read_integers(path: Path, table: pa.Table, key: str) -> Int64[ndarray, " rows"]:
    """Return a column of whole numbers.

    Raises:
        DataError: If it holds anything else.
    """
    column = table[key]
    if column.null_count or not pa.types.is_integer(column.type):
        found = f"{key} of type {column.type} with {column.null_count} nulls"
        raise DataError(path, found, "whole numbers", COPY_AGAIN)
    return np.asarray(column.to_numpy(), dtype=np.int64)


def read_matrix(path: Path, table: pa.Table, key: str, dim: int) -> Float32[ndarray, "steps dims"]:
    """Return a column of numbers or lists as one array.

    Raises:
        DataError: If a row has another number of values than `info.json` says.
    """
    column = table[key].combine_chunks()
    is_fixed = pa.types.is_fixed_size_list(column.type)
    is_list = is_fixed or pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if is_list and not is_fixed:
        sizes = np.diff(column.offsets.to_numpy())
    else:
        sizes = np.full(len(column), column.type.list_size if is_fixed else 1)
    wrong = np.flatnonzero(sizes != dim)
    if len(wrong):
        found = f"{key} with {sizes[wrong[0]]} numbers in row {wrong[0]}"
        raise DataError(path, found, f"{dim}, {SAID}", COPY_AGAIN)
    flat = column.flatten() if is_list else column
    if column.null_count or flat.null_count or not _is_number(flat.type):
        found = f"{key} of type {column.type} with {column.null_count + flat.null_count} nulls"
        raise DataError(path, found, "numbers", COPY_AGAIN)
    values = flat.to_numpy(zero_copy_only=False)
    # What float32 cannot hold becomes infinite, which `refuse_nan` reports with its step.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32).reshape(-1, dim)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    )


def refuse_nan(
    root: Path,
    key: str,
    values: Float32[ndarray, "steps dims"],
    bounds: Int64[ndarray, "episodes 2"],
) -> None:
    """Refuse numbers that are not finite.

    Raises:
        DataError: Naming the first one's episode and step.
    """
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return
    step, dim = bad[0]
    episode = int(np.searchsorted(bounds[:, 1], step, side="right"))
    where = f"episode {episode}, step {step - bounds[episode, 0]}: {key}[{dim}]"
    todo = f"{len(bad)} numbers of {key} are like that; remove these episodes"
    raise DataError(root, f"{where} is {values[step, dim]}", "a finite number", todo)


def read_tasks(root: Path, task_index: Int64[ndarray, " steps"]) -> tuple[str, ...]:
    """Return the instructions by task index.

    Raises:
        DataError: If a step's task is not in the table.
    """
    path = root / TASKS_FILE
    table = read_table(path)
    # A pandas index without a name is stored under this one.
    name = "task" if "task" in table.column_names else "__index_level_0__"
    if name not in table.column_names or "task_index" not in table.column_names:
        raise DataError(path, f"columns {table.column_names}", "task and task_index", COPY_AGAIN)
    indices = read_integers(path, table, "task_index").tolist()
    texts = zip(indices, table[name].to_pylist(), strict=True)
    rows = {index: text for index, text in texts if text is not None}
    missing = sorted(set(np.unique(task_index).tolist()) - set(rows))
    if missing or min(rows) < 0:
        found = f"no task {missing[0]}" if missing else f"task {min(rows)}"
        raise DataError(path, found, "every task that the steps name", COPY_AGAIN)
    return tuple(str(rows.get(index, "")) for index in range(int(task_index.max()) + 1))
