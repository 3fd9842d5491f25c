"""Read the files of a LeRobot v3.0 dataset; whatever is wrong with them becomes one DataError."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64
from numpy import ndarray

from plait.data.files import beside
from plait.data.lerobot_format import ACTION, INFO_FILE, STATE, TASKS_FILE
from plait.errors import DataError

A_DATASET = "a LeRobot v3.0 dataset (a folder with meta/info.json)"
COPY_AGAIN = "Copy or record the dataset again"
SAID = f"as {INFO_FILE} says"
LOW_DIM_COLUMNS = (STATE, ACTION, "episode_index", "task_index")


def read_info(root: Path) -> dict[str, Any]:
    """Read `meta/info.json` and check that it is of a dataset that can be read.

    Raises:
        DataError: If it is missing, damaged, of another version, or incomplete.
    """
    path = root / INFO_FILE
    if not root.is_dir():
        unfinished = [beside(root, suffix) for suffix in (".recording", ".partial")]
        is_unfinished = any(folder.exists() for folder in unfinished)
        todo = "Its recording was interrupted: run it again" if is_unfinished else ""
        raise DataError(root, "no such folder", A_DATASET, todo)
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", A_DATASET) from error
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
        if not isinstance(info[name], int | float) or info[name] < 1:
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
            DataError: If the table does not say where the episodes are.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for index, row in enumerate(self.rows):
            chunk, file = row.get(f"{prefix}/chunk_index"), row.get(f"{prefix}/file_index")
            if chunk is None or file is None:
                missing = f"no {prefix}/file_index of episode {index}"
                raise DataError(self.path, missing, "where each episode is", COPY_AGAIN)
            found.setdefault((int(chunk), int(file)), []).append(index)
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
    column = table["episode_index"].to_numpy()
    wrong = np.flatnonzero(column != np.repeat(indices, lengths))
    if len(wrong):
        right = np.repeat(indices, lengths)[wrong[0]]
        found = f"episode_index {column[wrong[0]]} in row {wrong[0]}"
        raise DataError(path, found, f"{right}, as {episodes.path} says", COPY_AGAIN)
    return table


def read_matrix(path: Path, table: pa.Table, key: str, dim: int) -> Float32[ndarray, "steps dims"]:
    """Return a column of numbers or lists as one array.

    Raises:
        DataError: If a row has another number of values than `info.json` says.
    """
    column = table[key].combine_chunks()
    is_list = pa.types.is_nested(column.type)
    if is_list and not pa.types.is_fixed_size_list(column.type):
        sizes = np.diff(column.offsets.to_numpy())
    else:
        size = column.type.list_size if is_list else 1
        sizes = np.full(len(column), size)
    wrong = np.flatnonzero(sizes != dim)
    if len(wrong):
        found = f"{key} with {sizes[wrong[0]]} numbers in row {wrong[0]}"
        raise DataError(path, found, f"{dim}, {SAID}", COPY_AGAIN)
    flat = column.flatten() if is_list else column
    if column.null_count or flat.null_count or not _is_number(flat.type):
        found = f"{key} of type {column.type} with {column.null_count + flat.null_count} nulls"
        raise DataError(path, found, "numbers", COPY_AGAIN)
    values = flat.to_numpy(zero_copy_only=False)
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
    rows = dict(zip(table["task_index"].to_pylist(), table[name].to_pylist(), strict=True))
    missing = sorted(set(np.unique(task_index).tolist()) - set(rows))
    if missing or min(rows) < 0:
        found = f"no task {missing[0]}" if missing else f"task {min(rows)}"
        raise DataError(path, found, "every task that the steps name", COPY_AGAIN)
    return tuple(str(rows.get(index, "")) for index in range(int(task_index.max()) + 1))
