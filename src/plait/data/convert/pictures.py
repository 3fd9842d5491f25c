"""Compressed images of an episode, decoded; their sizes are looked at before memory is given."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.data.convert.base import COPY_AGAIN
from plait.data.convert.limits import refuse_implausible
from plait.data.episode import decode_image
from plait.errors import DataError

MAX_PIXELS = 64 << 20


def decode_frames(
    contents: Sequence[bytes], where: str, field: str
) -> UInt8[ndarray, "steps height width_px 3"]:
    """Decode JPEG or PNG files of one size to RGB.

    Args:
        contents: One file a step, at least one.
        where: File and record, for the message.
        field: What they are called there.

    Raises:
        DataError: Naming the first that is damaged or of another size.
    """
    sizes = [_size(content, where, f"{field} at step {i}") for i, content in enumerate(contents)]
    for step, size in enumerate(sizes):
        if size != sizes[0]:
            found = f"{field} of {size[0]}×{size[1]} pixels at step {step}"
            raise DataError(where, found, f"{sizes[0][0]}×{sizes[0][1]}, as at step 0")
    height, width_px = sizes[0]
    claimed = len(contents) * height * width_px * 3
    refuse_implausible(where, field, claimed, sum(map(len, contents)))
    frames = np.empty((len(contents), height, width_px, 3), np.uint8)
    for step, content in enumerate(contents):
        try:
            frames[step] = decode_image(content)
        except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
            raise _damaged(where, f"{field} at step {step}", str(error)) from error
    return frames


def _size(content: bytes, where: str, field: str) -> tuple[int, int]:
    """Return height and width as the header of an image says."""
    try:
        # Pillow warns of large claims; they are refused here instead.
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            width_px, height = image.size
    except Image.DecompressionBombError as error:
        raise _damaged(where, field, "it claims too many pixels") from error
    except Image.DecompressionBombWarning as error:
        raise _damaged(where, field, "it claims too many pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise _damaged(where, field, "neither JPEG nor PNG") from error
    if height * width_px > MAX_PIXELS:
        raise _damaged(where, field, f"it claims {height}×{width_px} pixels")
    return height, width_px


def _damaged(where: str, field: str, why: str) -> DataError:
    return DataError(where, f"{field} is damaged ({why})", "a whole JPEG or PNG", COPY_AGAIN)
