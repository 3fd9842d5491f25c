"""Convert a dataset of another format to LeRobot v3.0: parallel, resumable, whole or not at all."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plait.data.convert.adjust import Adjustments
from plait.data.convert.base import COPY_AGAIN, Selection, Source
from plait.data.convert.detect import LEROBOT, detect, load_format
from plait.data.convert.upgrade import open_v2, upgrade
from plait.data.episode import EpisodeData
from plait.data.files import reason, refuse_existing
from plait.data.process_map import WorkerDiedError, WorkersSilentError, process_map
from plait.data.record import MAX_SHARD_SIZE, Recording, record
from plait.errors import (
    DataError,
    OptionError,
    OutputError,
    UnknownNameError,
    require_at_least_one,
)

# Images of one shard, uncompressed, that a worker may hold.
SHARD_BYTES = 512 << 20
STORAGES = ("image", "video")
# To open a source and read one episode; damaged HDF5 files can keep their library busy for ever.
MAX_OPENING_S = 180.0
FINGERPRINT_BYTES = 1 << 16
USUAL_FPS = "Bridge 5, RT-1 3, DROID 15, LIBERO and robomimic 20, ALOHA 50"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What is converted, and how.

    Attributes:
        path: File or folder of the source; never written to.
        root: Folder of the dataset to make.
        fps: Steps a second; needed where the format does not say.
        format: Name of the format; told from what stands there where None.
        selection: What is taken from the source.
        adjustments: What is changed on the way.
        storage: `image` or `video`.

    Raises:
        UnknownNameError: If there is no such storage.
    """

    path: Path
    root: Path
    fps: int | None = None
    format: str | None = None
    selection: Selection = field(default_factory=Selection)
    adjustments: Adjustments = field(default_factory=Adjustments)
    storage: str = "image"

    def __post_init__(self) -> None:
        if self.storage not in STORAGES:
            raise UnknownNameError("storage", self.storage, STORAGES)


@dataclass(frozen=True)
class Opened:
    """A source, and what its first episode tells.

    Attributes:
        source: The source.
        format: Name of its format.
        fingerprint: Of its files.
        episode_bytes: Size of the first episode's images, uncompressed.
    """

    source: Source
    format: str
    fingerprint: str
    episode_bytes: int


@dataclass(frozen=True)
class Episodes:
    """Makes the episodes of a dataset from those of a source, in any process."""

    source: Source
    adjustments: Adjustments

    def __call__(self, index: int) -> EpisodeData:
        """Return one episode, adjusted."""
        where = f"{self.source.path}, episode {index}"
        return self.adjustments(self.source.read(index), where)


def convert(
    conversion: Conversion,
    *,
    num_workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Convert a dataset; a call after an interruption goes on.

    Args:
        conversion: What to convert, and how.
        num_workers: Processes.
        on_progress: Called with the number of episodes done, and of all.

    Returns:
        What is written into the dataset's `info.json` of its origin.

    Raises:
        DataError: If the source is damaged; names file, record and field.
        OptionError: If an option is missing or out of range.
        OutputError: If the folder is taken, or cannot be written.
        PlaitError: If a worker process dies.
    """
    refuse_existing(conversion.root)
    _refuse_inside(conversion.path, conversion.root)
    with _crashes_of(conversion.path, is_isolated=True):
        name = conversion.format or detect(conversion.path)
    show = on_progress or (lambda _done, _total: None)
    if name == LEROBOT:
        return _upgrade(conversion, show)
    opened = _open(conversion, name)
    source = opened.source
    fps = _fps(conversion, source)
    origin = {
        **_origin(conversion, opened.format),
        "source_fingerprint": opened.fingerprint,
        "taken": source.taken,
    }
    recording = Recording(
        Episodes(source, conversion.adjustments),
        {"fps": fps, "storage": conversion.storage, **origin},
        conversion.root,
        source.num_episodes,
        fps=fps,
        storage=conversion.storage,
        robot_type=source.robot_type,
        origin=origin,
        num_seeds=source.num_episodes,
        max_shard_size=max(1, min(MAX_SHARD_SIZE, SHARD_BYTES // max(opened.episode_bytes, 1))),
        is_isolated=source.is_isolated,
    )
    with _crashes_of(source.path, is_isolated=source.is_isolated):
        record(
            recording,
            num_workers=num_workers,
            on_progress=lambda done: show(done, source.num_episodes),
        )
    return origin


def _upgrade(conversion: Conversion, show: Callable[[int, int], None]) -> dict[str, Any]:
    """Convert a LeRobot dataset of version 2, whose videos are copied and not decoded."""
    if conversion.selection != Selection() or conversion.adjustments != Adjustments():
        raise OptionError(
            f"{conversion.path} is LeRobot v2, whose rows and videos are copied as they are; leave "
            "out all options but --workers and --json"
        )
    reader = open_v2(conversion.path)
    _check_fps(conversion, reader.info["fps"])
    videos = [span.path for spans in reader.episodes.videos.values() for span in spans]
    files = [*reader.data_files, *(path for path in videos if path is not None)]
    origin = {
        **_origin(conversion, f"{LEROBOT} {reader.info['codebase_version']}"),
        "source_fingerprint": fingerprint(files),
        "taken": {},
    }
    upgrade(reader, conversion.root, origin, show)
    return origin


def _origin(conversion: Conversion, format_name: str) -> dict[str, Any]:
    """Return what any dataset tells of its making."""
    return {
        "plait_version": version("plait"),
        "format": format_name,
        "source": conversion.path.resolve().name,
        "instruction_given": conversion.selection.instruction,
        **asdict(conversion.adjustments),
    }


def _open(conversion: Conversion, name: str) -> Opened:
    """Open and check a source and read its first episode, in a process of its own where needed.

    Raises:
        DataError: If there is nothing that can be converted.
    """
    is_isolated = load_format(name).is_isolated
    opener = _Opener(name, conversion.selection)
    with _crashes_of(conversion.path, is_isolated=is_isolated):
        if is_isolated:
            return next(process_map(opener, [conversion.path], 1, MAX_OPENING_S))
        return opener(conversion.path)


@dataclass(frozen=True)
class _Opener:
    """Opens a source in any process."""

    format: str
    selection: Selection

    def __call__(self, path: Path) -> Opened:
        source = load_format(self.format).open(path, self.selection)
        if not source.num_episodes:
            raise DataError(path, "no episode", "at least one")
        first = source.read(0)
        size = sum(frames.nbytes for frames in first.images.values())
        return Opened(source, self.format, fingerprint(source.files), size)


def fingerprint(files: Iterable[Path]) -> str:
    """Hash names, sizes, beginnings and ends of files: quick, and enough to tell sources apart.

    Raises:
        DataError: If one cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                content = file.read(FINGERPRINT_BYTES)
                file.seek(max(size - FINGERPRINT_BYTES, 0))
                content += file.read(FINGERPRINT_BYTES)
        except OSError as error:
            found = f"cannot be read ({reason(error)})"
            raise DataError(path, found, "a readable file") from error
        digest.update(f"{path.name}\0{size}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


@contextmanager
def _crashes_of(path: Path, *, is_isolated: bool) -> Iterator[None]:
    """Say which source made a process die, where the library that reads it is the likely cause."""
    try:
        yield
    except WorkersSilentError as error:
        found = f"the library that reads it does not come to an end ({error})"
        raise DataError(path, found, "an undamaged file", COPY_AGAIN) from error
    except WorkerDiedError as error:
        if not is_isolated or error.exit_code == -9:
            raise
        found = f"the library that reads it crashed (exit code {error.exit_code})"
        raise DataError(path, found, "an undamaged file", COPY_AGAIN) from error


def _refuse_inside(path: Path, root: Path) -> None:
    """Keep the source as it is.

    Raises:
        OutputError: If the dataset, or its working folders, would lie in the source.
    """
    if path.is_dir() and root.resolve().is_relative_to(path.resolve()):
        raise OutputError(f"{root} lies in the source {path}; choose a folder outside of it")


def _fps(conversion: Conversion, source: Source) -> int:
    """Return the steps a second, from the source or the user.

    Raises:
        OptionError: If neither says, or they disagree.
    """
    _check_fps(conversion, source.fps)
    fps = source.fps if source.fps is not None else conversion.fps
    if fps is None:
        raise OptionError(
            f"{source.path} does not say how many steps a second it was recorded with; give it "
            f"with --fps (usual: {USUAL_FPS})"
        )
    return fps


def _check_fps(conversion: Conversion, own: int | float | None) -> None:
    wanted = conversion.fps
    if wanted is None:
        return
    require_at_least_one("fps", wanted)
    if own not in (None, wanted):
        raise OptionError(f"the fps is {wanted}, but {conversion.path} says {own}; leave --fps out")
