"""What can be told of video files without decoding them: packets, times, sizes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from plait.data.survey.rows import Rows
from plait.data.survey.tables import EpisodeRecord
from plait.data.video import require_video
from plait.errors import DataError

# Frames of one file whose times differ by this share of a period from an even beat are uneven.
UNEVEN = 0.25


@dataclass(frozen=True)
class VideoFacts:
    """One video file.

    Attributes:
        path: The file.
        camera: Key of its camera.
        episodes: Those whose frames are in it, in the order of their times.
        num_rows: Steps of these.
        num_packets: Frames in it.
        fps: Frames a second by their times; 0 where there are too few.
        num_uneven: Frames that do not come on the beat.
    """

    path: Path
    camera: str
    episodes: tuple[int, ...]
    num_rows: int
    num_packets: int
    fps: float
    num_uneven: int


def video_files(
    records: Mapping[int, EpisodeRecord],
) -> dict[tuple[str, Path], list[int]]:
    """Return the episodes in every video file, by the key of the camera and the path."""
    found: dict[tuple[str, Path], list[int]] = {}
    for episode, record in sorted(records.items()):
        for key, place in record.videos.items():
            found.setdefault((key, place.path), []).append(episode)
    return found


def count_packets(
    files: Mapping[tuple[str, Path], Sequence[int]], rows: Rows, problems: list[DataError]
) -> Iterator[VideoFacts | None]:
    """Look through video files, one after another; None stands for one that cannot be read.

    Args:
        files: See `video_files`.
        rows: Rows of the dataset.
        problems: Takes what could not be read.
    """
    lengths = dict(zip(rows.episodes.tolist(), rows.lengths.tolist(), strict=True))
    for (key, path), episodes in files.items():
        num_rows = sum(lengths.get(episode, 0) for episode in episodes)
        try:
            yield _facts(path, key, tuple(episodes), num_rows)
        except DataError as error:
            problems.append(error)
            yield None


def _facts(path: Path, key: str, episodes: tuple[int, ...], num_rows: int) -> VideoFacts:
    require_video(path)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            # An empty packet ends the stream; one without a time has no place to be checked.
            packets = [packet for packet in container.demux(stream) if packet.size]
            base = float(stream.time_base or 0)
            times = np.sort([packet.pts for packet in packets if packet.pts is not None])
    except (av.error.FFmpegError, IndexError, ValueError, MemoryError) as error:
        todo = "Copy or record the dataset again"
        raise DataError(path, f"cannot be read ({error})", "a whole video", todo) from error
    beats = np.diff(times.astype(np.float64)) * base
    period = float(np.median(beats)) if len(beats) else 0.0
    uneven = int((np.abs(beats - period) > UNEVEN * period).sum()) if period else 0
    fps = 1 / period if period else 0.0
    return VideoFacts(path, key, episodes, num_rows, len(packets), fps, uneven)
