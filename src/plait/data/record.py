"""Record episodes in parallel, resumably, with the same bytes for any number of workers.

Seeds are divided into shards. A worker makes the episodes of a shard and writes them under a
temporary name, then renames; finished shards in `ROOT.recording/` are kept by an interrupted
recording and used by the next. Only when all are there is the dataset written and renamed.
"""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plait.data.episode import EpisodeData
from plait.data.lerobot_writer import LeRobotWriter, refuse_existing
from plait.errors import DataError, OutputError

SHARD_SIZE = 40
# An expert that fails more often than this is broken, and no number of seeds will do.
MAX_TRIES = 3
MakeEpisode = Callable[[int], EpisodeData | None]


@dataclass(frozen=True)
class Recording:
    """What is recorded, and where.

    Attributes:
        make_episode: Makes the episode of a seed, None where it failed; picklable.
        settings: Describes `make_episode`; a resumed recording must have the same.
        root: Folder of the dataset.
        num_episodes: Successful episodes wanted.
        seed: First seed.
        fps: Steps a second.
        storage: `image` or `video`.
    """

    make_episode: MakeEpisode
    settings: dict[str, object]
    root: Path
    num_episodes: int
    seed: int = 0
    fps: int = 10
    storage: str = "image"

    @property
    def shards(self) -> Path:
        """Folder of the shards while the recording lasts."""
        return self.root.with_name(self.root.name + ".recording")


def record(
    recording: Recording,
    *,
    num_workers: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Record a dataset; a call after an interruption goes on.

    Args:
        recording: What to record.
        num_workers: Processes; with 1 all is done in this one.
        on_progress: Called with the number of episodes made so far.

    Raises:
        OutputError: If the folder is taken, or cannot be written.
        DataError: If episodes keep failing.
    """
    refuse_existing(recording.root)
    _open_shards(recording)
    show = on_progress or (lambda _: None)
    num_shards = -(-recording.num_episodes // SHARD_SIZE)
    first = 0
    while True:
        missing = [i for i in range(first, num_shards) if not _shard_path(recording, i).exists()]
        _make_shards(recording, missing, num_workers, show)
        counts = [_count(_shard_path(recording, i)) for i in range(num_shards)]
        if sum(counts) >= recording.num_episodes:
            break
        if num_shards * SHARD_SIZE > MAX_TRIES * recording.num_episodes + SHARD_SIZE:
            found = f"{sum(counts)} successes in {num_shards * SHARD_SIZE} seeds"
            raise DataError(recording.root, found, f"{recording.num_episodes}")
        first, num_shards = num_shards, num_shards + 1
    _write_dataset(recording, num_shards)
    shutil.rmtree(recording.shards)


def _open_shards(recording: Recording) -> None:
    """Make the shards' folder, or go on in one of the same settings."""
    path = recording.shards / "recording.json"
    text = json.dumps({"seed": recording.seed, **recording.settings}, sort_keys=True)
    try:
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise OutputError(
                f"{recording.shards} holds an interrupted recording with other settings "
                f"({path.read_text(encoding='utf-8')}); delete it or choose another folder"
            )
        recording.shards.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {recording.shards}: {error.strerror}") from error


def _shard_path(recording: Recording, index: int) -> Path:
    return recording.shards / f"shard-{index:05d}.npz"


def _make_shards(
    recording: Recording, indices: list[int], num_workers: int, show: Callable[[int], None]
) -> None:
    done = len(list(recording.shards.glob("shard-*.npz"))) * SHARD_SIZE
    show(done)
    if num_workers <= 1 or len(indices) <= 1:
        for index in indices:
            make_shard(recording, index)
            done += SHARD_SIZE
            show(done)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_ignore_interrupt)
    try:
        waiting: set[Future[None]] = {pool.submit(make_shard, recording, i) for i in indices}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
                done += SHARD_SIZE
            show(done)
    finally:
        # On Ctrl-C the shards under way are finished and kept; the rest is left for next time.
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent, so that no shard is torn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def make_shard(recording: Recording, index: int) -> None:
    """Make the episodes of one shard and write them, whole or not at all."""
    start = recording.seed + index * SHARD_SIZE
    made = [recording.make_episode(seed) for seed in range(start, start + SHARD_SIZE)]
    episodes = [episode for episode in made if episode is not None]
    arrays: dict[str, np.ndarray] = {"lengths": np.array([len(e.action) for e in episodes])}
    if episodes:
        arrays["proprio"] = np.concatenate([e.proprio for e in episodes])
        arrays["action"] = np.concatenate([e.action for e in episodes])
        arrays["instruction"] = np.array([e.instruction for e in episodes])
        for camera in episodes[0].images:
            arrays[f"images/{camera}"] = np.concatenate([e.images[camera] for e in episodes])
    path = _shard_path(recording, index)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write {path}: {error.strerror}. Choose another folder or free some space"
        ) from error


def _count(path: Path) -> int:
    with np.load(path) as arrays:
        return len(arrays["lengths"])


def _read_shard(path: Path) -> Iterator[EpisodeData]:
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    cameras = [key for key in arrays if key.startswith("images/")]
    ends = np.cumsum(arrays["lengths"])
    for index, (end, length) in enumerate(zip(ends, arrays["lengths"], strict=True)):
        rows = slice(int(end - length), int(end))
        yield EpisodeData(
            {key.removeprefix("images/"): arrays[key][rows] for key in cameras},
            arrays["proprio"][rows],
            arrays["action"][rows],
            str(arrays["instruction"][index]),
        )


def _write_dataset(recording: Recording, num_shards: int) -> None:
    left = recording.num_episodes
    with LeRobotWriter(recording.root, fps=recording.fps, storage=recording.storage) as writer:
        for index in range(num_shards):
            for episode in _read_shard(_shard_path(recording, index)):
                if left:
                    writer.add(episode)
                    left -= 1
