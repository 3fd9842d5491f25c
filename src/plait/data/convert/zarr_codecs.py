"""Decompress the chunks of Zarr arrays, never to more bytes than a chunk has.

Codecs are named in a list here: one of those that are registered elsewhere unpickles.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from plait.backbones.loading import require_library
from plait.errors import PlaitError

USER = "this Zarr array"
FILTERS = ("delta", "shuffle")
PICTURES = "imagecodecs_"
BLOSC_HEADER = struct.Struct("<4BIII")


class CodecError(ValueError):
    """A chunk that cannot be decompressed."""


def _zlib(content: bytes, size: int) -> bytes:
    # 32 more than the window takes zlib's header or gzip's.
    return zlib.decompressobj(zlib.MAX_WBITS + 32).decompress(content, size + 1)


def _bz2(content: bytes, size: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(content, size + 1)


def _lzma(content: bytes, size: int) -> bytes:
    return lzma.LZMADecompressor(memlimit=1 << 30).decompress(content, size + 1)


def _blosc(content: bytes, size: int) -> bytes:
    if len(content) < BLOSC_HEADER.size:
        raise CodecError(f"{len(content)} bytes are too few for blosc")
    *_, claimed, _, stored = BLOSC_HEADER.unpack_from(content)
    if claimed != size or stored != len(content):
        raise CodecError(f"blosc claims {claimed:,} bytes from {stored:,}")
    return _into_buffer("blosc", content, size)


def _lz4(content: bytes, size: int) -> bytes:
    return _into_buffer("lz4", content, size)


def _zstd(content: bytes, size: int) -> bytes:
    return _into_buffer("zstd", content, size)


def _into_buffer(name: str, content: bytes, size: int) -> bytes:
    """Decompress into memory of a known size, which the library never leaves."""
    library = require_library("numcodecs", "convert", user=USER)
    out = np.empty(size, np.uint8)
    library.get_codec({"id": name}).decode(content, out=out)
    return out.tobytes()


COMPRESSORS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "zlib": _zlib,
    "gzip": _zlib,
    "bz2": _bz2,
    "lzma": _lzma,
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
}


def unknown_codec(config: Any, *, is_filter: bool) -> str | None:
    """Return the name of a codec that cannot be used, None where it can."""
    name = config.get("id") if isinstance(config, dict) else config
    if not isinstance(name, str):
        return repr(name)
    if name in (FILTERS if is_filter else COMPRESSORS):
        return None
    if name.startswith(PICTURES) and _has_picture_codecs():
        return None
    return name


def _has_picture_codecs() -> bool:
    try:
        require_library("imagecodecs.numcodecs", "convert")
    except PlaitError:
        return False
    return True


def decode(content: bytes, size: int, compressor: Any, filters: tuple[Any, ...]) -> bytes:
    """Decompress one chunk.

    Args:
        content: As stored.
        size: Bytes that the chunk must have.
        compressor: As the array's metadata have it, or None.
        filters: Likewise.

    Raises:
        CodecError: If it is damaged, or of another size.
    """
    try:
        if compressor is not None:
            name = compressor["id"]
            known = COMPRESSORS.get(name)
            content = known(content, size) if known else _picture(compressor, content)
        for config in reversed(filters):
            library = require_library("numcodecs", "convert", user=USER)
            content = bytes(library.get_codec(config).decode(content))
    except PlaitError:
        raise
    # Each library has its own: zlib.error and lzma.LZMAError are Exceptions and nothing more.
    except Exception as error:
        raise CodecError(f"{type(error).__name__}: {error}") from error
    if len(content) != size:
        raise CodecError(f"{len(content):,} bytes or more where a chunk has {size:,}")
    return content


def _picture(config: dict[str, Any], content: bytes) -> bytes:
    """Decode a chunk that was compressed as pictures, as UMI's are in JPEG XL."""
    _register_pictures()
    library = require_library("numcodecs", "convert", user=USER)
    return np.ascontiguousarray(library.get_codec(config).decode(content)).tobytes()


@cache
def _register_pictures() -> None:
    require_library("imagecodecs.numcodecs", "convert", user=USER).register_codecs(verbose=False)
