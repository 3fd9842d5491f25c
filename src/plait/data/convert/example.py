"""A `tf.train.Example` read straight from its bytes: a map of names to bytes, floats or integers.

The message is small enough to be read without a protobuf library:

    Example   {1: Features}       BytesList {1: bytes, repeated}
    Features  {1: entry, repeated}       FloatList {1: float, packed or repeated}
    entry     {1: name, 2: Feature}      Int64List {1: varint, packed or repeated}
    Feature   {1: BytesList | 2: FloatList | 3: Int64List}
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray

Values = list[bytes] | ndarray

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 10


class ExampleError(ValueError):
    """Bytes that are no `tf.train.Example`."""


def parse_example(data: bytes) -> dict[str, Values]:
    """Return the features of an example by name.

    Lists of bytes come as such, floats as float32, integers as int64.

    Raises:
        ExampleError: If the message is damaged.
    """
    features: dict[str, Values] = {}
    for number, kind, block in _fields(memoryview(data)):
        if (number, kind) != (1, BYTES):
            continue
        for entry_number, entry_kind, entry in _fields(block):
            if (entry_number, entry_kind) == (1, BYTES):
                name, values = _entry(entry)
                features[name] = values
    return features


def _entry(entry: memoryview) -> tuple[str, Values]:
    parts = {number: value for number, kind, value in _fields(entry) if kind == BYTES}
    try:
        name = str(parts.get(1, b""), "utf-8")
    except UnicodeDecodeError as error:
        raise ExampleError("a name that is no UTF-8") from error
    found: Values = []
    for number, kind, values in _fields(parts.get(2, memoryview(b""))):
        if kind != BYTES or number not in (1, 2, 3):
            raise ExampleError(f"{name} is neither bytes nor numbers")
        found = (_bytes_list, _float_list, _int64_list)[number - 1](values)
    return name, found


def _bytes_list(data: memoryview) -> list[bytes]:
    return [bytes(value) for _, kind, value in _fields(data) if kind == BYTES]


def _float_list(data: memoryview) -> ndarray:
    parts = []
    for _, kind, value in _fields(data):
        if kind not in (BYTES, FIXED32) or len(value) % 4:
            raise ExampleError("a list of floats of another type")
        parts.append(np.frombuffer(value, "<f4"))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _int64_list(data: memoryview) -> ndarray:
    parts = []
    for _, kind, value in _fields(data):
        if kind not in (BYTES, VARINT):
            raise ExampleError("a list of integers of another type")
        parts.append(_varints(np.frombuffer(value, np.uint8)))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _varints(data: UInt8[ndarray, " bytes"]) -> Int64[ndarray, " values"]:
    """Decode integers of 7 bits a byte, the lowest first; the last byte of each is below 128."""
    if not len(data):
        return np.empty(0, np.int64)
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ExampleError("an integer that does not end")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > MAX_VARINT:
        raise ExampleError("an integer of more than 64 bits")
    values = np.zeros(len(ends), np.uint64)
    for place in range(int(lengths.max())):
        has_more = lengths > place
        bits = data[starts[has_more] + place].astype(np.uint64) & np.uint64(0x7F)
        values[has_more] |= bits << np.uint64(7 * place)
    return values.view(np.int64)


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield number, wire type and content of every field of a message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        start = position
        if kind == VARINT:
            _, end = _varint(data, position)
        elif kind == BYTES:
            length, start = _varint(data, position)
            end = start + length
        elif kind in (FIXED64, FIXED32):
            end = start + (8 if kind == FIXED64 else 4)
        else:
            raise ExampleError(f"wire type {kind} at byte {position}")
        if end > len(data):
            raise ExampleError(f"a field of {end - start:,} bytes with {len(data) - start:,} left")
        yield number, kind, data[start:end]
        position = end


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return one integer and where the next field begins."""
    value = 0
    for place in range(MAX_VARINT):
        if position >= len(data):
            raise ExampleError("an integer that does not end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position
    raise ExampleError("an integer of more than 64 bits")
