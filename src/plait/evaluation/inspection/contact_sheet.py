"""Frames of an episode side by side, small, as one picture file."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

HEIGHT_PX, GAP_PX = 84, 2


def thumbnail(
    image: UInt8[ndarray, "height width_px 3"],
) -> UInt8[ndarray, "small_height small_width_px 3"]:
    """Shrink a frame to the height of the sheet; a smaller one stays as it is."""
    height, width = image.shape[:2]
    if height <= HEIGHT_PX:
        return image
    size = (max(round(width * HEIGHT_PX / height), 1), HEIGHT_PX)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def encode_strip(images: Sequence[UInt8[ndarray, "height width_px 3"]]) -> bytes:
    """Put thumbnails side by side and encode them as WebP.

    Args:
        images: At least one; of one height but for what a broken dataset holds.
    """
    width = sum(image.shape[1] for image in images) + GAP_PX * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.shape[0] for image in images)), "white")
    left = 0
    for image in images:
        sheet.paste(Image.fromarray(image), (left, 0))
        left += image.shape[1] + GAP_PX
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=80, method=3)
    return buffer.getvalue()
