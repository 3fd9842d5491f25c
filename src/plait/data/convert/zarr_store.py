"""Where the files of a Zarr group lie: a folder, or a zip file of the same names."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plait.data.convert.base import COPY_AGAIN
from plait.data.convert.limits import refuse_implausible
from plait.data.files import reason
from plait.errors import DataError

A_ZARR_GROUP = "a Zarr group with data/ and meta/episode_ends"


@dataclass(frozen=True)
class ZarrStore:
    """A group on disk; keys are its files' names with `/` between folders.

    Attributes:
        path: The folder, or the zip file.
    """

    path: Path

    @property
    def is_zip(self) -> bool:
        """Whether all lies in one file."""
        return self.path.is_file()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in the order of their names."""
        if self.is_zip:
            return (self.path,)
        return tuple(sorted(path for path in self.path.rglob("*") if path.is_file()))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the files below a folder of the group, and how many bytes each has here.

        Raises:
            DataError: If one leads out of the group, or the zip file is damaged.
        """
        if self.is_zip:
            with self._zip() as file:
                infos = [info for info in file.infolist() if info.filename.startswith(prefix)]
            return {info.filename: info.compress_size for info in infos}
        inside = self.path.resolve()
        found = {}
        for path in (self.path / prefix).rglob("*"):
            if not path.resolve().is_relative_to(inside):
                raise DataError(path, "leads out of the dataset's folder", "files inside of it")
            if path.is_file():
                found[path.relative_to(self.path).as_posix()] = path.stat().st_size
        return found

    def read(self, key: str) -> bytes:
        """Read one file.

        Raises:
            DataError: If it is not there, or damaged.
        """
        if self.is_zip:
            with self._zip() as file:
                return self._read_entry(file, key)
        try:
            return (self.path / key).read_bytes()
        except FileNotFoundError as error:
            raise DataError(self.path / key, "no such file", A_ZARR_GROUP, COPY_AGAIN) from error
        except OSError as error:
            found = f"cannot be read ({reason(error)})"
            raise DataError(self.path / key, found, A_ZARR_GROUP) from error

    def _read_entry(self, file: zipfile.ZipFile, key: str) -> bytes:
        try:
            info = file.getinfo(key)
        except KeyError as error:
            raise DataError(self.path, f"no {key}", A_ZARR_GROUP, COPY_AGAIN) from error
        stored = min(info.compress_size, self.path.stat().st_size)
        refuse_implausible(self.path, key, info.file_size, stored)
        return file.read(info)

    @contextmanager
    def _zip(self) -> Iterator[zipfile.ZipFile]:
        """Open the zip file; whatever is wrong with it becomes one sentence."""
        try:
            with zipfile.ZipFile(self.path) as file:
                yield file
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
            # Other versions of the format, and passwords.
            *(NotImplementedError, RuntimeError, ValueError, UnicodeDecodeError),
        ) as error:
            found = f"damaged ({error or type(error).__name__})"
            raise DataError(self.path, found, "a whole zip file", COPY_AGAIN) from error
