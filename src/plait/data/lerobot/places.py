"""Where the frame of every step is: in which file, at which place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from plait.data.lerobot.episodes import ABSENT, Span


@dataclass(frozen=True)
class FramePlaces:
    """The frames of one camera, step by step.

    Attributes:
        paths: Files.
        file: Which of them holds the frame of each step; 0 where none was recorded.
        frame: Its place in that file: of a video, counted in frames; of a table, in rows.
        is_recorded: Whether there is one.
    """

    paths: tuple[Path, ...]
    file: Int64[ndarray, " steps"]
    frame: Int64[ndarray, " steps"]
    is_recorded: Bool[ndarray, " steps"]


def frame_places(
    spans: Sequence[Span],
    lengths: Int64[ndarray, " episodes"],
    starts: Sequence[Int64[ndarray, " episodes_of_span"]],
) -> FramePlaces:
    """Lay out the frames of all episodes.

    Args:
        spans: Files and their episodes, in order.
        lengths: Steps of every episode.
        starts: For each span, the place of the first frame of each of its episodes, or ABSENT.
    """
    paths = tuple(span.path for span in spans if span.path is not None)
    numbers = {path: index for index, path in enumerate(paths)}
    files, frames, recorded = [], [], []
    for span, first in zip(spans, starts, strict=True):
        of_span = lengths[span.episodes.start : span.episodes.stop]
        is_there = np.repeat(first != ABSENT, of_span)
        within = np.arange(of_span.sum()) - np.repeat(np.cumsum(of_span) - of_span, of_span)
        number = 0 if span.path is None else numbers[span.path]
        files.append(np.full(len(is_there), number, dtype=np.int64))
        frames.append(np.where(is_there, np.repeat(first, of_span) + within, 0).astype(np.int64))
        recorded.append(is_there & (span.path is not None))
    return FramePlaces(
        paths, np.concatenate(files), np.concatenate(frames), np.concatenate(recorded)
    )
