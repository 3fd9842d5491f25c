"""Folders that are written whole or not at all, and locks between processes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from plait.errors import OutputError

try:
    import fcntl
except ImportError:  # pragma: no cover
    # Without POSIX locks two processes at once are the user's own care; nothing else changes.
    fcntl = None  # type: ignore[assignment]


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn a failing disk into one sentence that names what was being written.

    Raises:
        OutputError: If the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {reason(error)}. Choose another folder or free some space"
        ) from error


def reason(error: OSError) -> str:
    """Say what the system said, without what libraries wrap around it."""
    return os.strerror(error.errno) if error.errno else str(error)


def beside(root: Path, suffix: str) -> Path:
    """Return the folder next to `root` whose name ends in `suffix`; also for `.` and links."""
    resolved = root.resolve()
    return resolved.with_name(resolved.name + suffix)


def refuse_existing(root: Path) -> None:
    """Never write over anything.

    Raises:
        OutputError: If `root` exists and is not an empty folder.
    """
    with output_errors(root):
        is_empty_folder = root.is_dir() and not any(root.iterdir())
        is_taken = root.exists() and not is_empty_folder
    if is_taken:
        raise OutputError(f"{root} already exists; choose another folder, or delete it first")


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file unless another process holds it; closing the file unlocks it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems have no locks; working without beats not working.
        return True
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process is in this block with the same lock file."""
    with path.open("ab") as file:
        if fcntl is not None:
            # As above: without locks two processes may decode twice, but each file is whole.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim_folder(folder: Path, marker: str) -> IO[bytes]:
    """Make a working folder, or go on in one that carries our marker, and lock it.

    Args:
        folder: The working folder.
        marker: Name of the file that says the folder is ours.

    Returns:
        The marker, open; closing it gives the folder back.

    Raises:
        OutputError: If the folder holds something else, is in use, or cannot be written.
    """
    with output_errors(folder):
        path = folder / marker
        if folder.exists() and not path.exists() and any(folder.iterdir()):
            raise OutputError(
                f"{folder} is needed for unfinished work, but holds other files; move it away"
            )
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    if not try_lock(file):
        file.close()
        raise OutputError(f"another process is writing {folder}; wait for it, or stop it")
    return file


def clear_folder(folder: Path, *, keep: str) -> None:
    """Remove what an interrupted call left in a claimed folder, all but one name."""
    for entry in folder.iterdir():
        if entry.name == keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def sync_folder(folder: Path) -> None:
    """Bring every file below a folder to the disk, so that a rename never outruns its content."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


@contextmanager
def whole_file(path: Path, temporary: Path) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name; rename it when the block ends without an error."""
    try:
        with temporary.open("wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(root: Path, marker: str) -> Iterator[Path]:
    """Write a folder under a temporary name; rename it when the block ends without an error.

    Args:
        root: The folder to make; must not exist, or be empty.
        marker: Name of the file that says the unfinished folder is ours.

    Raises:
        OutputError: If `root` holds anything, or cannot be written.
    """
    refuse_existing(root)
    partial = beside(root, ".partial")
    lock = claim_folder(partial, marker)
    try:
        with output_errors(root):
            clear_folder(partial, keep=marker)
            yield partial
            put_in_place(partial, root, marker)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        lock.close()


def put_in_place(partial: Path, root: Path, marker: str) -> None:
    """Rename a finished folder, its content on the disk before its name.

    Raises:
        OutputError: If something came to stand there meanwhile.
    """
    sync_folder(partial)
    refuse_existing(root)
    if root.exists():
        root.rmdir()
    partial.rename(root)
    (root / marker).unlink()
