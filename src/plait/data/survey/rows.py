"""All rows of a dataset, in one array a feature; what is missing or damaged stands as NaN or -1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray

from plait.data.lerobot.format import AUTOMATIC, INFO_FILE
from plait.data.lerobot.info import SAID
from plait.data.lerobot.json_files import COPY_AGAIN
from plait.data.lerobot.tables import PARQUET_ERRORS, damaged, refuse_false_claims
from plait.errors import DataError

MISSING = -1
# Before the name of a feature: where it is null.
ABSENT = "absent "
COUNTERS = ("episode_index", "frame_index", "task_index")
NOT_NUMBERS = ("image", "video", "string", "language")


@dataclass(frozen=True)
class Rows:
    """Rows, one episode after another; within one, in the order of the files.

    Attributes:
        vectors: Every feature of numbers; NaN where a row has none, or too many.
        timestamp: Time of each row in seconds; NaN where there is none.
        episode_index: Episode of each row, ascending.
        frame_index: Step in its episode; -1 where missing, as in the next two.
        task_index: Which instruction.
        source: File of each row, and its place there.
        files: The files.
        absent: Rows in which a feature was not recorded: null, which is no mistake of itself.
    """

    vectors: Mapping[str, Float32[ndarray, "rows dims"]]
    timestamp: Float64[ndarray, " rows"]
    episode_index: Int64[ndarray, " rows"]
    frame_index: Int64[ndarray, " rows"]
    task_index: Int64[ndarray, " rows"]
    source: Int64[ndarray, "rows 2"]
    files: tuple[Path, ...] = ()
    absent: Mapping[str, Bool[ndarray, " rows"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.episode_index)

    @cached_property
    def episodes(self) -> Int64[ndarray, " episodes"]:
        """Index of every episode that has rows."""
        return np.unique(self.episode_index)

    @cached_property
    def bounds(self) -> Int64[ndarray, "episodes 2"]:
        """First row of each of these, and the row after the last."""
        _, first, counts = np.unique(self.episode_index, return_index=True, return_counts=True)
        return np.stack([first, first + counts], axis=1)

    @cached_property
    def lengths(self) -> Int64[ndarray, " episodes"]:
        """Rows of each of these."""
        return np.diff(self.bounds, axis=1)[:, 0]

    @cached_property
    def is_first(self) -> Bool[ndarray, " rows"]:
        """Whether a row is the first of its episode."""
        first = np.zeros(len(self), dtype=bool)
        first[self.bounds[:, 0]] = True
        return first

    def slices(self) -> list[tuple[int, slice]]:
        """Return every episode's index and rows."""
        return [
            (int(episode), slice(*bounds))
            for episode, bounds in zip(self.episodes, self.bounds.tolist(), strict=True)
        ]


def read_all_rows(root: Path, info: Mapping[str, Any], problems: list[DataError]) -> Rows:
    """Read every data file below the folder that `info.json` names.

    Args:
        root: Folder of the dataset.
        info: What `meta/info.json` says.
        problems: Takes what could not be read.
    """
    folder = root / Path(str(info["data_path"])).parts[0]
    files = tuple(sorted(folder.rglob("*.parquet")))
    if not files:
        problems.append(DataError(folder, "no parquet file", "the rows", COPY_AGAIN))
    dims = number_features(info)
    parts: dict[str, list[ndarray]] = {}
    for number, path in enumerate(files):
        try:
            table = _read(path, dims)
        except DataError as error:
            problems.append(error)
            continue
        found = _columns(path, table, dims, problems)
        place = np.arange(table.num_rows, dtype=np.int64)
        found["source"] = np.stack([np.full_like(place, number), place], axis=1)
        for key, values in found.items():
            parts.setdefault(key, []).append(values)
    return _assemble(parts, dims, files)


def number_features(info: Mapping[str, Any]) -> dict[str, int]:
    """Return the features of numbers that a dataset declares, and how many numbers each has."""
    dims = {}
    for key, feature in info["features"].items():
        shape = feature.get("shape")
        if feature["dtype"] in NOT_NUMBERS or key in AUTOMATIC or not isinstance(shape, list):
            continue
        if len(shape) <= 1 and all(isinstance(size, int) and size > 0 for size in shape):
            dims[key] = shape[0] if shape else 1
    return dims


def _read(path: Path, dims: Mapping[str, int]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            wanted = [key for key in (*dims, *AUTOMATIC) if key in names]
            refuse_false_claims(path, file)
            return file.read(columns=wanted)
    except PARQUET_ERRORS as error:
        raise damaged(path, error) from error


def _columns(
    path: Path, table: pa.Table, dims: Mapping[str, int], problems: list[DataError]
) -> dict[str, ndarray]:
    found: dict[str, ndarray] = {}
    for key in (*dims, "timestamp", *COUNTERS):
        size = dims.get(key, 1)
        if key in table.column_names:
            column = table[key].combine_chunks()
            values = _numbers(path, column, key, size, problems)
            found[ABSENT + key] = ~np.asarray(column.is_valid())
        else:
            problems.append(DataError(path, f"no column {key!r}", f"it, {SAID}", COPY_AGAIN))
            values = np.full((table.num_rows, size), np.nan)
            found[ABSENT + key] = np.zeros(table.num_rows, dtype=bool)
        if key in COUNTERS:
            counted = np.where(np.isfinite(values[:, 0]), values[:, 0], MISSING)
            found[key] = counted.astype(np.int64)
        elif key == "timestamp":
            found[key] = values[:, 0]
        else:
            # What float32 cannot hold becomes infinite, and is found as that.
            with np.errstate(over="ignore"):
                found[key] = values.astype(np.float32)
    return found


def _numbers(
    path: Path, column: pa.Array, key: str, size: int, problems: list[DataError]
) -> Float64[ndarray, "rows dims"]:
    """Return a column as numbers; NaN for rows that hold anything else."""
    try:
        offsets, flat = _flat(column)
        values = np.asarray(flat.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowException:
        problems.append(DataError(path, f"{key} of type {column.type}", "numbers", COPY_AGAIN))
        return np.full((len(column), size), np.nan)
    sizes = np.diff(offsets)
    is_whole = (sizes == size) & np.asarray(column.is_valid())
    wrong = np.flatnonzero((sizes != size) & np.asarray(column.is_valid()))
    if len(wrong):
        found = (
            f"{key} with {sizes[wrong[0]]} numbers in row {wrong[0]}, and {len(wrong)} such rows"
        )
        problems.append(DataError(path, found, f"{size}, as {INFO_FILE} says", COPY_AGAIN))
    whole = np.full((len(column), size), np.nan)
    starts = offsets[:-1][is_whole]
    whole[is_whole] = values[starts[:, None] + np.arange(size)]
    return whole


def _flat(column: pa.Array) -> tuple[Int64[ndarray, " rows_and_one"], pa.Array]:
    """Return where each row begins in the numbers of all rows, and these."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        # `flatten` leaves out the rows that are null; these keep their place here.
        begin = column.offset * kind.list_size
        flat = column.values.slice(begin, len(column) * kind.list_size)
        return np.arange(len(column) + 1, dtype=np.int64) * kind.list_size, flat
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return np.asarray(column.offsets.to_numpy(), dtype=np.int64), column.values
    return np.arange(len(column) + 1, dtype=np.int64), column


def _assemble(
    parts: Mapping[str, Sequence[ndarray]], dims: Mapping[str, int], files: tuple[Path, ...]
) -> Rows:
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Rows(
            {}, none.astype(np.float64), none, none, none, np.zeros((0, 2), np.int64), files
        )
    whole = {key: np.concatenate(values) for key, values in parts.items()}
    order = np.argsort(whole["episode_index"], kind="stable")
    if not (order == np.arange(len(order))).all():
        whole = {key: values[order] for key, values in whole.items()}
    return Rows(
        {key: whole[key] for key in dims},
        whole["timestamp"],
        whole["episode_index"],
        whole["frame_index"],
        whole["task_index"],
        whole["source"],
        files,
        {key: whole[ABSENT + key] for key in dims},
    )
