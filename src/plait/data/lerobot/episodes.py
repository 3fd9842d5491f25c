"""Where the episodes of a LeRobot dataset are: the same table from either layout on disk.

v2.0, v2.1   one parquet file and, per camera, one video an episode; meta/episodes.jsonl
v3.0         many episodes in a file; meta/episodes/*.parquet says which and from when
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from plait.data.lerobot.info import SAID
from plait.data.lerobot.json_files import COPY_AGAIN
from plait.errors import DataError

ABSENT = -1


@dataclass(frozen=True)
class Span:
    """Episodes that follow each other in one file.

    Attributes:
        path: The file; None where none of them was recorded.
        first: The first of the episodes.
        starts: Place in the file of the first frame of each; ABSENT where it was not recorded.
    """

    path: Path | None
    first: int
    starts: Int64[ndarray, " episodes"]

    @property
    def episodes(self) -> range:
        """The episodes."""
        return range(self.first, self.first + len(self.starts))


@dataclass(frozen=True)
class EpisodeTable:
    """All episodes of a dataset, in order.

    Attributes:
        path: The file that lists them.
        lengths: Steps of each.
        data: Files with the rows.
        videos: Files with the frames, by the key of the video.
    """

    path: Path
    lengths: Int64[ndarray, " episodes"]
    data: tuple[Span, ...]
    videos: Mapping[str, tuple[Span, ...]]

    @property
    def bounds(self) -> Int64[ndarray, "episodes 2"]:
        """First step and the step after the last, of every episode."""
        ends = np.cumsum(self.lengths)
        return np.stack([ends - self.lengths, ends], axis=1)

    def has_video(self, key: str) -> Bool[ndarray, " episodes"]:
        """Say of every episode whether it has frames of a video."""
        starts = [span.starts for span in self.videos[key]]
        return np.concatenate(starts) != ABSENT


def check_count(path: Path, found: int, expected: int) -> None:
    """Refuse a list of another number of episodes than `info.json` says.

    Raises:
        DataError: If they differ.
    """
    if found != expected:
        raise DataError(path, f"{found} episodes", f"{expected}, {SAID}", COPY_AGAIN)


def check_order(
    path: Path,
    index: Int64[ndarray, " episodes"],
    lengths: Int64[ndarray, " episodes"],
    num_steps: int,
) -> None:
    """Refuse episodes that do not count 0, 1, 2 ..., or whose lengths cannot be.

    Args:
        path: The file that lists them.
        index: Index of each, sorted.
        lengths: Steps of each.
        num_steps: Steps in all, as `info.json` says.

    Raises:
        DataError: Naming the first one.
    """
    is_wrong = (index != np.arange(len(index))) | (lengths < 1)
    if is_wrong.any():
        wrong = int(is_wrong.argmax())
        found = f"episode {index[wrong]} of {lengths[wrong]} steps"
        raise DataError(path, found, f"episode {wrong} of at least one", COPY_AGAIN)
    # In Python's numbers: lengths that are wrong may be too large for their sum to fit.
    total = sum(lengths.tolist())
    if total != num_steps:
        found = f"episodes of {total} steps together"
        raise DataError(path, found, f"{num_steps}, {SAID}", COPY_AGAIN)
