"""Pictures inside the page: rollouts with a still for those who want no motion, attention maps."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from plait.errors import DataError

MIME_TYPES = {
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "PNG": "image/png",
    "JPEG": "image/jpeg",
}
# Share of the light that is left where nothing is attended to.
DARKNESS = 0.28
SPOTLIGHT_SIDE_PX = 192


@dataclass(frozen=True, kw_only=True)
class Moving:
    """An animated picture and its last frame, both as data URIs."""

    moving: str
    still: str
    width: int
    height: int


def load_moving(folder: Path, file: str) -> Moving:
    """Read an animated picture of a run.

    Raises:
        DataError: If it is missing, is no picture, or lies outside the folder of the run.
    """
    content, image = _open(folder, file)
    image.seek(getattr(image, "n_frames", 1) - 1)
    return Moving(
        moving=_data_uri(content, MIME_TYPES[str(image.format)]),
        still=_encode(image.convert("RGB"), "WEBP"),
        width=image.width,
        height=image.height,
    )


def load_image(folder: Path, file: str) -> Image.Image:
    """Read a still picture of a run.

    Raises:
        DataError: If it is missing, is no picture, or lies outside the folder of the run.
    """
    return _open(folder, file)[1].convert("RGB")


def embed(folder: Path, file: str) -> Moving:
    """Read a still picture as it is.

    Raises:
        DataError: If it is missing, is no picture, or lies outside the folder.
    """
    content, image = _open(folder, file)
    uri = _data_uri(content, MIME_TYPES[str(image.format)])
    return Moving(moving=uri, still=uri, width=image.width, height=image.height)


def plain(image: Image.Image) -> str:
    """Return a picture as a data URI, enlarged without smoothing."""
    return _encode(_enlarge(image), "PNG")


def spotlight(image: Image.Image, grid: Sequence[Sequence[float]]) -> str:
    """Light a picture where the grid is high and leave the rest in the dark, as a data URI.

    The colours of what is looked at stay, which a heat map over it would hide. The brightest cell
    has full light and a cell of zero `DARKNESS`, in between linearly.

    Args:
        image: Any size.
        grid: Rows of columns over the whole image, none negative.
    """
    peak = max((max(row) for row in grid), default=0.0)
    levels = [round(255 * value / peak) if peak > 0 else 0 for row in grid for value in row]
    light = Image.new("L", (len(grid[0]), len(grid)))
    light.putdata(levels)
    bright = _enlarge(image)
    dark = Image.eval(bright, lambda value: round(DARKNESS * value))
    mask = light.resize(bright.size, Image.Resampling.BICUBIC)
    return _encode(Image.composite(bright, dark, mask), "WEBP")


def concentration(grid: Sequence[Sequence[float]]) -> float:
    """Return how many times the average the highest cell is; 0 for a grid of zeros."""
    values = [value for row in grid for value in row]
    mean = sum(values) / len(values)
    return max(values) / mean if mean > 0 else 0.0


def _enlarge(image: Image.Image) -> Image.Image:
    factor = max(SPOTLIGHT_SIDE_PX // max(image.size), 1)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _open(folder: Path, file: str) -> tuple[bytes, Image.Image]:
    path = folder / file
    expected = "a WebP, GIF, PNG or JPEG picture that the run's result names"
    todo = "Run the comparison again in this folder to make it"
    # Results may come from elsewhere: a page that is passed on must hold nothing but theirs.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(path, "a path out of the folder of the run", expected)
    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content))
        image.load()
    except FileNotFoundError as error:
        raise DataError(path, "no such file", expected, todo) from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(path, f"not a readable picture ({error})", expected, todo) from error
    if image.format not in MIME_TYPES:
        raise DataError(path, f"a picture of format {image.format}", expected)
    return content, image


def _encode(image: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=80)
    return _data_uri(buffer.getvalue(), MIME_TYPES[kind])


def _data_uri(content: bytes, mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(content).decode('ascii')}"
