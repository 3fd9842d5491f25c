"""Errors a user can act on: what was found, where, what was expected, what to do."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class PlaitError(Exception):
    """Base of every error caused by input. The command line prints it alone and exits with 2."""


class UnknownNameError(PlaitError):
    """A name (strategy, environment, option, word ...) that nothing answers to."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        known = sorted(known)
        text = f"unknown {kind} {name!r}"
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if close:
            text += f"; did you mean {' or '.join(repr(match) for match in close)}?"
        text += f" (known: {', '.join(known) if known else 'none'})"
        super().__init__(f"{text}{'. ' + hint if hint else ''}")


class OptionError(PlaitError):
    """An option with a value of the wrong type or range."""


class DataError(PlaitError):
    """A dataset, or a file of one, that is missing, truncated or inconsistent.

    Args:
        path: The file or folder at fault.
        found: What was found there.
        expected: What was expected instead.
        todo: What the user can do about it.
    """

    def __init__(self, path: Path | str, found: str, expected: str, todo: str = "") -> None:
        self.path = Path(path)
        text = f"{path}: {found}; expected {expected}"
        super().__init__(f"{text}. {todo}" if todo else text)


class ShapeError(PlaitError):
    """A tensor whose shape does not fit the model it is given to."""

    def __init__(self, name: str, found: object, expected: object, todo: str = "") -> None:
        text = f"{name} has shape {found}, but {expected} was expected"
        super().__init__(f"{text}. {todo}" if todo else text)


class CheckpointError(PlaitError):
    """A checkpoint that is missing, incomplete, or of another version."""


class OutputError(PlaitError):
    """An output folder that cannot be written (read-only, full, or holding other work)."""
