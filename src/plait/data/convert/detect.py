"""Which format stands there, judged by names alone: nothing is read yet."""

from pathlib import Path

from plait.data.convert import formats
from plait.data.convert.base import Source
from plait.data.convert.tfds import FEATURES_FILE
from plait.data.lerobot.format import INFO_FILE
from plait.discovery import available, load
from plait.errors import DataError, UnknownNameError


def known_formats() -> list[str]:
    """List the names of the formats."""
    return available(formats)


def load_format(name: str) -> type[Source]:
    """Return the class of a format.

    Raises:
        UnknownNameError: If there is no such format.
    """
    if ":" not in name and name not in known_formats():
        hint = "A class of your own is written module:Class"
        raise UnknownNameError("format", name, known_formats(), hint=hint)
    return load(formats, name, Source)  # type: ignore[type-abstract]


def detect(path: Path) -> str:
    """Return the name of the format of a file or folder.

    Raises:
        DataError: If nothing stands there, or nothing that is known.
    """
    known = f"one of {', '.join(known_formats())}"
    if not path.exists():
        raise DataError(path, "no such file or folder", known)
    if (path / FEATURES_FILE).exists() or any(path.glob(f"*/{FEATURES_FILE}")):
        return "rlds"
    if (path / INFO_FILE).exists():
        return "lerobot"
    raise DataError(path, "no format that is known", known, "Name the format with --format")
