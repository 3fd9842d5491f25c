"""Binary files of a result, written whole or not at all."""

import io
import os
import tempfile
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.errors import OutputError


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}. Choose another folder or free some "
            "space"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_png(path: Path, image: UInt8[ndarray, "height width_px 3"]) -> None:
    """Write an RGB image.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    write_bytes_atomically(path, buffer.getvalue())
