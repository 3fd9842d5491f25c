"""Record episodes in parallel, resumably, with the same bytes for any number of workers.

A seed is whatever an episode is made from: a scene's, or the place of an episode in a dataset of
another format. Seeds are divided into shards. A worker makes the episodes of a shard and writes
them under a temporary name, then renames; finished shards in `ROOT.recording/` are kept by an
interrupted recording and used by the next. Only when all are there is the dataset written and
renamed. It holds the first `num_episodes` seeds that succeeded, in order, so neither the number of
workers nor interruptions change a byte.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.data.episode import EncodedEpisode, EpisodeData
from plait.data.files import beside, claim_folder, output_errors, refuse_existing
from plait.data.lerobot.writer import LeRobotWriter
from plait.data.process_map import process_map
from plait.data.shards import count_episodes, read_shard, write_shard
from plait.errors import DataError, OptionError, OutputError

SETTINGS_FILE = "recording.json"
MAX_SHARD_SIZE = 40
# For a shard whose process may never end; ten times what a large one takes.
MAX_SILENCE_S = 600.0
# Small recordings are divided too, so that every worker has something to do.
MIN_SHARDS = 16
# An expert that fails more often than this is broken, and no number of seeds will do.
MAX_TRIES = 3
MakeEpisode = Callable[[int], EpisodeData | None]


@dataclass(frozen=True)
class Recording:
    """What is recorded, and where.

    Attributes:
        make_episode: Makes the episode of a seed, None where it failed; picklable.
        settings: Describes `make_episode` in JSON; a resumed recording must have the same.
        root: Folder of the dataset.
        num_episodes: Successful episodes wanted.
        seed: First seed.
        fps: Steps a second.
        storage: `image` or `video`.
        robot_type: Name of the robot, for the record.
        origin: Where the episodes come from, for the record; JSON.
        num_seeds: How many seeds there are; as many as are needed where None.
        max_shard_size: Most seeds in a shard; a worker holds the images of one in memory.
        is_isolated: Whether episodes are made in processes of their own even with one worker,
            because making one may end its process, or never end.
    """

    make_episode: MakeEpisode
    settings: dict[str, object]
    root: Path
    num_episodes: int
    seed: int = 0
    fps: int = 10
    storage: str = "image"
    robot_type: str | None = "plait_tabletop"
    origin: Mapping[str, Any] | None = None
    num_seeds: int | None = None
    max_shard_size: int = MAX_SHARD_SIZE
    is_isolated: bool = False

    @property
    def shards(self) -> Path:
        """Folder of the shards while the recording lasts."""
        return beside(self.root, ".recording")

    @property
    def shard_size(self) -> int:
        """Seeds in a shard; depends on nothing but what is recorded."""
        return min(self.max_shard_size, -(-self.num_episodes // MIN_SHARDS))

    def shard_seeds(self, index: int) -> range:
        """Return the seeds of a shard."""
        start = index * self.shard_size
        end = start + self.shard_size
        if self.num_seeds is not None:
            end = min(end, self.num_seeds)
        return range(self.seed + start, self.seed + end)

    def shard_path(self, index: int) -> Path:
        """Return the file of a shard, named by its seeds."""
        seeds = self.shard_seeds(index)
        return self.shards / f"seeds-{seeds.start:08d}-{seeds.stop:08d}.npz"


@dataclass(frozen=True)
class _ShardMaker:
    """Makes shards in any process.

    Args:
        recording: What is recorded.
    """

    recording: Recording

    def __call__(self, index: int) -> int:
        """Make the episodes of one shard, write them, and return how many there are."""
        episodes = []
        for seed in self.recording.shard_seeds(index):
            made = self.recording.make_episode(seed)
            if made is not None:
                made.check(f"{self.recording.root}, episode of seed {seed}")
                episodes.append(EncodedEpisode.of(made, with_images=True))
        write_shard(self.recording.shard_path(index), episodes)
        return len(episodes)


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
        on_progress: Called with the number of episodes made so far, also those of an earlier
            call; in the end it may exceed `num_episodes` a little.

    Raises:
        OptionError: If no episode is wanted.
        OutputError: If the folder is taken, or cannot be written.
        DataError: If episodes keep failing.
        PlaitError: If a worker process dies.
    """
    if recording.num_episodes < 1:
        raise OptionError(
            f"the number of episodes is {recording.num_episodes}, but must be at least 1"
        )
    refuse_existing(recording.root)
    with claim_folder(recording.shards, SETTINGS_FILE):
        _check_settings(recording)
        show = on_progress or (lambda _: None)
        num_shards = _make_enough_shards(recording, num_workers, show)
        _write_dataset(recording, num_shards)
    shutil.rmtree(recording.shards, ignore_errors=True)


def _check_settings(recording: Recording) -> None:
    """Write the settings down, or refuse to go on with shards of other settings."""
    path = recording.shards / SETTINGS_FILE
    text = json.dumps({"seed": recording.seed, **recording.settings}, sort_keys=True)
    with output_errors(recording.shards):
        found = path.read_text(encoding="utf-8")
        if found and found != text:
            raise OutputError(
                f"{recording.shards} holds an interrupted recording with other settings "
                f"({found}); delete it or choose another folder"
            )
        path.write_text(text, encoding="utf-8")


def _make_enough_shards(recording: Recording, num_workers: int, show: Callable[[int], None]) -> int:
    """Make shards until enough episodes succeeded; return how many shards there are."""
    size, wanted = recording.shard_size, recording.num_episodes
    counts: list[int] = []
    num_shards = -(-wanted // size)
    while sum(counts) < wanted:
        found = {i: count_episodes(recording.shard_path(i)) for i in range(num_shards)}
        done = sum(count for count in found.values() if count is not None)
        show(done)
        missing = [index for index, count in found.items() if count is None]
        maker = _ShardMaker(recording)
        parallel = recording.is_isolated or (num_workers > 1 and len(missing) > 1)
        limit = MAX_SILENCE_S if recording.is_isolated else None
        made = process_map(maker, missing, num_workers, limit) if parallel else map(maker, missing)
        for count in made:
            done += count
            show(done)
        counts = [count_episodes(recording.shard_path(i)) or 0 for i in range(num_shards)]
        num_shards = _next_num_shards(recording, counts)
    return len(counts)


def _next_num_shards(recording: Recording, counts: list[int]) -> int:
    """Return how many shards will do, judging by those made.

    Raises:
        DataError: If so many failed that something is wrong.
    """
    total, tried = sum(counts), len(counts) * recording.shard_size
    wanted = recording.num_episodes
    if total >= wanted:
        return len(counts)
    most = MAX_TRIES * wanted
    # One failure in a small recording means nothing yet.
    is_hopeless = not total and tried >= MIN_SHARDS
    if is_hopeless or tried >= most:
        found = f"only {total} of {tried} episodes succeeded"
        raise DataError(recording.root, found, f"{wanted} in at most {most} tries")
    more = -(-(wanted - total) * len(counts) // max(total, 1))
    return min(len(counts) + more, -(-most // recording.shard_size))


def _write_dataset(recording: Recording, num_shards: int) -> None:
    left = recording.num_episodes
    with LeRobotWriter(
        recording.root,
        fps=recording.fps,
        storage=recording.storage,
        robot_type=recording.robot_type,
        origin=recording.origin,
    ) as writer:
        for index in range(num_shards):
            for episode in read_shard(recording.shard_path(index)):
                if left:
                    writer.append(episode)
                    left -= 1
