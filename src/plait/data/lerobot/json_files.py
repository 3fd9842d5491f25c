"""JSON files of other people's datasets: whatever is wrong with one becomes one DataError."""

import json
from pathlib import Path
from typing import Any

from plait.data.files import reason
from plait.errors import DataError

COPY_AGAIN = "Copy or record the dataset again"


def read_object(path: Path, expected: str, todo: str = "") -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.
        expected: What it belongs to, for the message where it is missing.
        todo: What to do about that.

    Raises:
        DataError: If it is missing, cannot be read, or holds anything else.
    """
    return _parse(path, _read(path, expected, todo))


def read_lines(path: Path, expected: str) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; empty lines pass.

    Raises:
        DataError: If it is missing, cannot be read, or holds anything else; names the line.
    """
    # Not `splitlines`: some of what it splits at may stand in a JSON string.
    lines = _read(path, expected, COPY_AGAIN).split("\n")
    return [
        _parse(f"{path}, line {number}", line)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _read(path: Path, expected: str, todo: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(path, "no such file", expected, todo) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({reason(error)})", expected) from error
    except UnicodeDecodeError as error:
        raise DataError(path, f"not valid JSON ({error})", expected, COPY_AGAIN) from error


def _parse(where: Path | str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        # Half of a surrogate pair is valid JSON, but no text: it can be neither printed nor hashed.
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise DataError(where, f"not valid JSON ({error})", "JSON", COPY_AGAIN) from error
    if not isinstance(value, dict):
        raise DataError(where, f"a {type(value).__name__}", "a JSON object", COPY_AGAIN)
    return value
