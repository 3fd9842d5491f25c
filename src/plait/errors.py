"""Errors a user can act on: what was found, where, what was expected, what to do."""

import difflib
import errno
import re
from collections.abc import Iterable
from pathlib import Path

OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)


class PlaitError(Exception):
    """Base of every error caused by input. The command line prints it alone and exits with 2."""

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross processes; a subclass's own arguments are in its text already.
        return (_rebuild, (type(self), str(self), self.__dict__))


def _rebuild(kind: type[PlaitError], text: str, state: dict[str, object]) -> PlaitError:
    """Restore a pickled error with its text and attributes."""
    error = kind.__new__(kind, text)
    error.args = (text,)
    error.__dict__.update(state)
    return error


def user_error_text(error: BaseException) -> str | None:
    """Return the sentence for an error a user can act on, a full disk included, or None."""
    if isinstance(error, PlaitError):
        return str(error)
    if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
        return f"the disk is full ({error.filename or 'while writing'}); free some space"
    return None


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


def without_known_names(text: str) -> str:
    """Cut the names that an `UnknownNameError` suggests and lists off its text."""
    return re.split(r"; did you mean | \(known: ", text, maxsplit=1)[0]


class OptionError(PlaitError):
    """An option with a value of the wrong type or range."""


def require_at_least_one(name: str, value: int) -> None:
    """Refuse a count below 1.

    Raises:
        OptionError: Naming the count.
    """
    if value < 1:
        raise OptionError(f"the {name} is {value}, but must be at least 1")


def require_seed(seed: int) -> None:
    """Refuse a seed that no generator takes.

    Raises:
        OptionError: If it is negative.
    """
    if seed < 0:
        raise OptionError(f"the seed is {seed}, but must be 0 or more")


class DataError(PlaitError):
    """A dataset, or a file of one, that is missing, truncated or inconsistent.

    Args:
        path: The file or folder at fault.
        found: What was found there.
        expected: What was expected instead.
        todo: What the user can do about it.
    """

    def __init__(self, path: Path | str, found: str, expected: str, todo: str = "") -> None:
        self.path, self.found, self.expected, self.todo = Path(path), found, expected, todo
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


class ContractError(PlaitError):
    """A strategy, encoder or head that breaks its contract."""
