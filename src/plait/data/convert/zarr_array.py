"""Arrays of Zarr format 2, read by rows: metadata in `.zarray`, a file a chunk."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray

from plait.data.convert.base import COPY_AGAIN
from plait.data.convert.limits import refuse_implausible
from plait.data.convert.zarr_codecs import CodecError, decode, unknown_codec
from plait.data.convert.zarr_store import ZarrStore
from plait.errors import DataError

METADATA = ".zarray"
NUMBER_TYPE = re.compile(r"[<>|](b1|[iu][1248]|f[248])")
UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
MAX_AXES = 8
CHUNK_LEFT_OUT = f"{COPY_AGAIN}; Zarr may leave out chunks of zeros: write them out"
# The last chunk of an episode is the first of the next, in each of a few arrays.
CACHED_CHUNKS = 8


@dataclass(frozen=True)
class ZarrArray:
    """An array that was opened and whose metadata were checked.

    Attributes:
        store: Where its files lie.
        name: Its path in the group.
        shape: Of the whole.
        chunks: Of each chunk; those at the end are as large as the others.
        dtype: Of the numbers, e.g. `<f4`.
        order: `C` or `F`, in a chunk.
        separator: Between the numbers in a chunk's name.
        codecs: JSON of the compressor and the filters.
    """

    store: ZarrStore
    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    order: str
    separator: str
    codecs: str

    @classmethod
    def open(cls, store: ZarrStore, name: str) -> "ZarrArray":
        """Read and check the metadata.

        Raises:
            DataError: If they are missing, damaged, or ask for what cannot be read.
        """
        where = f"{store.path}, {name}/{METADATA}"
        try:
            content = json.loads(store.read(f"{name}/{METADATA}"))
            shape = tuple(int(size) for size in content["shape"])
            chunks = tuple(int(size) for size in content["chunks"])
            dtype, version = content["dtype"], content["zarr_format"]
            order, separator = content.get("order", "C"), content.get("dimension_separator", ".")
            compressor, filters = content.get("compressor"), content.get("filters") or []
        except UNREADABLE as error:
            found = f"not what Zarr writes ({type(error).__name__}: {error})"
            raise DataError(where, found, "metadata of an array", COPY_AGAIN) from error
        if version != 2:
            raise DataError(where, f"Zarr format {version}", "format 2")
        if not isinstance(dtype, str) or not NUMBER_TYPE.fullmatch(dtype):
            raise DataError(where, f"numbers of type {dtype!r}", "integers, floats or booleans")
        is_shaped = 0 < len(shape) == len(chunks) <= MAX_AXES
        if not is_shaped or min(shape) < 0 or min(chunks) < 1:
            found = f"shape {list(shape)} in chunks of {list(chunks)}"
            raise DataError(where, found, "as many numbers in both, from 1", COPY_AGAIN)
        if order not in ("C", "F") or separator not in (".", "/") or not isinstance(filters, list):
            found = f"order {order!r}, separator {separator!r}, filters {filters!r}"
            raise DataError(where, found, "what Zarr writes", COPY_AGAIN)
        _check_codecs(where, compressor, filters)
        codecs = json.dumps([compressor, filters])
        return cls(store, name, shape, chunks, dtype, order, separator, codecs)

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize

    def read(self, start: int, stop: int) -> ndarray:
        """Read some rows.

        Raises:
            DataError: If a chunk of them is missing or damaged.
        """
        self._check_stored(start, stop)
        bounds = [(start, stop), *((0, size) for size in self.shape[1:])]
        rows = np.empty((stop - start, *self.shape[1:]), np.dtype(self.dtype))
        for index in self._chunks(start, stop):
            target, used = [], []
            for place, size, (low, high) in zip(index, self.chunks, bounds, strict=True):
                first, end = max(place * size, low), min((place + 1) * size, high)
                target.append(slice(first - low, end - low))
                used.append(slice(first - place * size, end - place * size))
            rows[tuple(target)] = read_chunk(self, index)[tuple(used)]
        return rows

    def _check_stored(self, start: int, stop: int) -> None:
        """Refuse rows whose chunks are missing, or too small for what they claim."""
        sizes, stored = _sizes(self.store, self.name), 0
        for index in self._chunks(start, stop):
            key = self.key(index)
            if key not in sizes:
                where = f"{self.store.path}, {key}"
                raise DataError(where, "no such chunk", "every chunk", CHUNK_LEFT_OUT)
            stored += sizes[key]
        claimed = (stop - start) * self.row_bytes
        refuse_implausible(f"{self.store.path}, {self.name}", "the episode", claimed, stored)

    def key(self, index: tuple[int, ...]) -> str:
        """Return the name of a chunk's file."""
        return f"{self.name}/{self.separator.join(map(str, index))}"

    def _chunks(self, start: int, stop: int) -> Iterator[tuple[int, ...]]:
        """Yield the indices of the chunks that some rows are in."""
        rows = range(start // self.chunks[0], -(-stop // self.chunks[0]))
        sizes = zip(self.shape[1:], self.chunks[1:], strict=True)
        return _product([rows, *(range(-(-whole // size)) for whole, size in sizes)])


def _product(ranges: Sequence[range]) -> Iterator[tuple[int, ...]]:
    """Yield every combination; itertools would hold the ranges, which a false shape makes vast."""
    if not ranges:
        yield ()
        return
    for first in ranges[0]:
        for rest in _product(ranges[1:]):
            yield (first, *rest)


def _check_codecs(where: str, compressor: Any, filters: list[Any]) -> None:
    """Refuse codecs that are not known, or not installed.

    Raises:
        DataError: Naming the codec.
    """
    named = [(config, True) for config in filters]
    named += [(compressor, False)] if compressor is not None else []
    for config, is_filter in named:
        name = unknown_codec(config, is_filter=is_filter)
        if name is not None:
            is_picture = name.startswith("imagecodecs_")
            todo = "Install it: pip install imagecodecs" if is_picture else ""
            raise DataError(where, f"codec {name}", "a codec that is known here", todo)


@lru_cache(maxsize=CACHED_CHUNKS)
def read_chunk(array: ZarrArray, index: tuple[int, ...]) -> ndarray:
    """Read one chunk, whole; the last few are remembered.

    Raises:
        DataError: If it is damaged.
    """
    where = f"{array.store.path}, {array.key(index)}"
    content = array.store.read(array.key(index))
    size = math.prod(array.chunks) * np.dtype(array.dtype).itemsize
    refuse_implausible(where, "the chunk", size, len(content))
    compressor, filters = json.loads(array.codecs)
    try:
        content = decode(content, size, compressor, tuple(filters))
    except CodecError as error:
        raise DataError(where, f"damaged ({error})", "a whole chunk", COPY_AGAIN) from error
    values = np.frombuffer(content, array.dtype)
    return values.reshape(array.chunks, order="F" if array.order == "F" else "C")


@lru_cache(maxsize=64)
def _sizes(store: ZarrStore, name: str) -> dict[str, int]:
    return store.sizes(f"{name}/")
