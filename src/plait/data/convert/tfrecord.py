"""The framing of TFRecord files: length, checksum, data, checksum. No TensorFlow needed."""

import os
import struct
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt32
from numpy import ndarray

from plait.data.convert.base import COPY_AGAIN
from plait.data.files import reason
from plait.errors import DataError

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
# CRC-32C (Castagnoli), bits reversed.
POLYNOMIAL = 0x82F63B78
# Shorter data are done byte by byte sooner.
SHORT_BYTES = 1024


def index_records(path: Path) -> Int64[ndarray, " records"]:
    """Return where the records of a file begin, checking every length.

    Raises:
        DataError: If the file cannot be read, or does not end with a whole record.
    """
    offsets = []
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            offset = 0
            while offset < size:
                offsets.append(offset)
                where = f"{path}, record {len(offsets) - 1}"
                offset += HEADER.size + _read_length(file.read(HEADER.size), where, size - offset)
                offset += FOOTER.size
                file.seek(offset)
    except OSError as error:
        raise _unreadable(path, error) from error
    return np.array(offsets, np.int64)


def read_record(path: Path, index: int, offset: int) -> bytes:
    """Read one record.

    Args:
        path: The file.
        index: Its place among the records, for the message.
        offset: Where it begins.

    Raises:
        DataError: If its checksum is wrong or it is not whole.
    """
    where = f"{path}, record {index}"
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            length = _read_length(file.read(HEADER.size), where, size - offset)
            data = file.read(length)
            footer = file.read(FOOTER.size)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) < length or len(footer) < FOOTER.size:
        raise DataError(where, "ends too early", "a whole record", COPY_AGAIN)
    if masked_crc32c(data) != FOOTER.unpack(footer)[0]:
        raise DataError(where, "the data's checksum is wrong", "undamaged data", COPY_AGAIN)
    return data


def _read_length(header: bytes, where: str, left: int) -> int:
    """Return the length that a header claims, if there are as many bytes."""
    if len(header) < HEADER.size:
        raise DataError(where, f"{len(header)} bytes", "a header of 12", COPY_AGAIN)
    length, checksum = HEADER.unpack(header)
    if masked_crc32c(header[:8]) != checksum:
        raise DataError(where, "the length's checksum is wrong", "a TFRecord file", COPY_AGAIN)
    room = max(left - HEADER.size - FOOTER.size, 0)
    if length > room:
        found = f"claims {length:,} bytes, but {room:,} are left in the file"
        raise DataError(where, found, "a whole record", COPY_AGAIN)
    return int(length)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(path, f"cannot be read ({reason(error)})", "a TFRecord file")


def masked_crc32c(data: bytes) -> int:
    """Return the checksum as TFRecord stores it: rotated, so that it may be checksummed itself."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Compute CRC-32C, of long data in many parts at once that are joined afterwards.

    The checksum is linear: those of two parts are joined by shifting the first as far as the second
    is long. With about as many parts as each has bytes, few steps are left to loop over.
    """
    if len(data) < SHORT_BYTES:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = _BYTE_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
        return crc ^ 0xFFFFFFFF
    # The register begins with ones: that is the same as inverting the first four bytes. While it
    # is zero, zeros in front change nothing.
    log_length = (len(data).bit_length() + 1) // 2 - 2
    num_parts = 1 << ((len(data) - 1) >> log_length).bit_length()
    padding = bytes((num_parts << log_length) - len(data))
    padded = b"".join([padding, bytes(byte ^ 0xFF for byte in data[:4]), data[4:]])
    columns = np.frombuffer(padded, np.uint8).reshape(num_parts, -1).T.astype(np.uint32)
    parts = np.zeros(num_parts, np.uint32)
    for column in columns:
        parts = _TABLE[(parts ^ column) & 0xFF] ^ (parts >> 8)
    while len(parts) > 1:
        parts = _apply(_shift(log_length), parts[0::2]) ^ parts[1::2]
        log_length += 1
    return int(parts[0]) ^ 0xFFFFFFFF


def _apply(shift: UInt32[ndarray, " 32"], values: UInt32[ndarray, " n"]) -> UInt32[ndarray, " n"]:
    """Apply a linear map, given by what it makes of each bit, to values."""
    result = np.zeros_like(values)
    for bit in range(32):
        result ^= (values >> np.uint32(bit) & np.uint32(1)) * shift[bit]
    return result


@cache
def _shift(log_bytes: int) -> UInt32[ndarray, " 32"]:
    """Return the map that shifts a checksum by a power of two of zero bytes."""
    if log_bytes == 0:
        bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
        return _TABLE[bits & 0xFF] ^ (bits >> 8)
    half = _shift(log_bytes - 1)
    return _apply(half, half)


def _make_table() -> UInt32[ndarray, " 256"]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


_TABLE = _make_table()
_BYTE_TABLE = _TABLE.tolist()
