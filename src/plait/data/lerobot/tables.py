"""Read parquet files of a LeRobot dataset; whatever is wrong with one becomes one DataError."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray

from plait.data.lerobot.info import SAID
from plait.data.lerobot.json_files import COPY_AGAIN
from plait.errors import DataError

# Text that is no UTF-8 is a ValueError; so are most of Arrow's own errors, but not all.
PARQUET_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
# No recording is compressed to less than this share; a file that claims more than a GiB is lying.
MAX_COMPRESSION, UNSUSPICIOUS_BYTES = 1000, 2**30


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Read columns of a parquet file.

    Args:
        path: The file.
        columns: Those that must be there.
        optional: Those that may be.

    Raises:
        DataError: If the file is missing or damaged, or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for name in columns:
                if name not in names:
                    found = f"no column {name!r} among {', '.join(names)}"
                    raise DataError(path, found, "it, as in every such file", COPY_AGAIN)
            wanted = [*columns, *(name for name in optional if name in names)]
            refuse_false_claims(path, file)
            return file.read(columns=wanted)
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "a parquet file", COPY_AGAIN) from error
    except PARQUET_ERRORS as error:
        raise damaged(path, error) from error


def refuse_false_claims(path: Path, file: pq.ParquetFile) -> None:
    """Refuse a file that says it holds far more than it can, before room is made for that.

    What it says of single columns is not asked for: pyarrow ends the process where that is damaged.

    Raises:
        DataError: Naming the claim.
    """
    size = path.stat().st_size
    groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
    claimed = max(sum(group.total_byte_size for group in groups), 8 * file.metadata.num_rows)
    if claimed > max(UNSUSPICIOUS_BYTES, MAX_COMPRESSION * size):
        found = f"{size} bytes that claim to hold {claimed // 2**20} MiB"
        raise DataError(path, found, "a whole parquet file", COPY_AGAIN)


def damaged(path: Path, error: BaseException) -> DataError:
    """Describe a parquet file that cannot be read."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(path, f"damaged ({reason})", "a whole parquet file", COPY_AGAIN)


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


def read_numbers(path: Path, table: pa.Table, key: str) -> Float64[ndarray, " rows"]:
    """Return a column of numbers; NaN stands for null.

    Raises:
        DataError: If it holds anything else.
    """
    column = table[key]
    if not (_is_number(column.type) or pa.types.is_null(column.type)):
        raise DataError(path, f"{key} of type {column.type}", "numbers or null", COPY_AGAIN)
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def read_matrix(
    path: Path, table: pa.Table, key: str, dim: int
) -> tuple[Float32[ndarray, "steps dims"], Bool[ndarray, " steps"]]:
    """Return a column of numbers or lists as one array, and which rows are not null.

    Rows that are null are 0.

    Raises:
        DataError: If a row has another number of values than `info.json` says.
    """
    column = table[key].combine_chunks()
    present = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
    column = column.drop_null() if column.null_count else column
    is_fixed = pa.types.is_fixed_size_list(column.type)
    is_list = is_fixed or pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if is_list and not is_fixed:
        sizes = np.diff(column.offsets.to_numpy())
    else:
        sizes = np.full(len(column), column.type.list_size if is_fixed else 1)
    wrong = np.flatnonzero(sizes != dim)
    if len(wrong):
        row = np.flatnonzero(present)[wrong[0]]
        found = f"{key} with {sizes[wrong[0]]} numbers in row {row}"
        raise DataError(path, found, f"{dim}, {SAID}", COPY_AGAIN)
    flat = column.flatten() if is_list else column
    if flat.null_count or not _is_number(flat.type):
        found = f"{key} of type {column.type} with {flat.null_count} nulls"
        raise DataError(path, found, "numbers", COPY_AGAIN)
    values = flat.to_numpy(zero_copy_only=False)
    # What float32 cannot hold becomes infinite, which `refuse_nan` reports with its step.
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, dim)
    if present.all():
        return matrix, present
    whole = np.zeros((len(present), dim), dtype=np.float32)
    whole[present] = matrix
    return whole, present


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    )
