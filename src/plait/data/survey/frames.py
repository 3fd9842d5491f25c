"""A few frames of each camera, decoded once: by seeking in videos, by row in parquet files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import UInt8
from numpy import ndarray

from plait.data.episode import decode_image
from plait.data.lerobot.images import require_images
from plait.data.lerobot.tables import PARQUET_ERRORS, damaged, refuse_false_claims
from plait.data.survey import Survey
from plait.data.survey.tables import tolerated
from plait.data.video import require_video
from plait.errors import DataError

ROWS_PER_READ = 64
# Frames decoded in one file at most: key frames may be far apart.
MAX_DECODED = 6000
# An image as it stands in a row: bytes and path, either of which may be null.
Stored = dict[str, Any] | None


@dataclass(frozen=True)
class Frame:
    """A frame that was asked for.

    Attributes:
        episode: Its episode.
        step: Its step there.
        image: The picture; None where it could not be decoded, or was never recorded.
        is_recorded: False where the dataset says that the camera was not recorded.
    """

    episode: int
    step: int
    image: UInt8[ndarray, "height width_px 3"] | None
    is_recorded: bool = True


@dataclass(frozen=True)
class Wanted:
    """A frame that is asked for, and the row that it belongs to."""

    episode: int
    step: int
    row: int


def choose_frames(survey: Survey, num_episodes: int, num_frames: int) -> list[Wanted]:
    """Choose frames evenly over the episodes, and evenly in each.

    Args:
        survey: The dataset.
        num_episodes: Episodes at most; 0 for all.
        num_frames: Frames of each at most.
    """
    slices = survey.rows.slices()
    chosen = slices if not num_episodes else [slices[i] for i in _even(len(slices), num_episodes)]
    return [
        Wanted(episode, int(step), rows.start + int(step))
        for episode, rows in chosen
        for step in _even(rows.stop - rows.start, num_frames)
    ]


def _even(length: int, number: int) -> list[int]:
    steps = np.linspace(0, length - 1, min(number, length)).round().astype(np.int64)
    return [int(step) for step in np.unique(steps)]


def read_frames(
    survey: Survey, key: str, wanted: Sequence[Wanted], problems: list[DataError]
) -> Iterator[Frame]:
    """Decode frames of one camera, each as it is found.

    Args:
        survey: The dataset.
        key: Feature of the camera.
        wanted: Frames, by episode and step.
        problems: Takes what could not be read.
    """
    if survey.info["features"][key]["dtype"] == "video":
        yield from _from_videos(survey, key, wanted, problems)
    else:
        yield from _from_rows(survey, key, wanted, problems)


def _from_rows(
    survey: Survey, key: str, wanted: Sequence[Wanted], problems: list[DataError]
) -> Iterator[Frame]:
    by_file: dict[int, dict[int, Wanted]] = {}
    for one in wanted:
        file, place = survey.rows.source[one.row].tolist()
        by_file.setdefault(file, {})[place] = one
    for file, places in by_file.items():
        with tolerated(problems):
            for place, found in _contents(survey.rows.files[file], key, sorted(places)):
                one = places[place]
                is_recorded = found is not None and any(part is not None for part in found.values())
                image = _decoded(found["bytes"]) if found is not None else None
                yield Frame(one.episode, one.step, image, is_recorded)


def _decoded(content: bytes | None) -> UInt8[ndarray, "height width_px 3"] | None:
    try:
        return decode_image(content or b"")
    except (OSError, ValueError):
        return None


def _contents(path: Path, key: str, places: Sequence[int]) -> Iterator[tuple[int, Stored]]:
    """Read the compressed images at some places of a file, in order."""
    try:
        with pq.ParquetFile(path) as file:
            require_images(path, file, key)
            refuse_false_claims(path, file)
            begin, rest = 0, list(places)
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                here = [place for place in rest if place < end]
                rest = rest[len(here) :]
                if here:
                    yield from _in_group(file, key, group, begin, set(here))
                begin = end
    except PARQUET_ERRORS as error:
        raise damaged(path, error) from error


def _in_group(
    file: pq.ParquetFile, key: str, group: int, begin: int, places: set[int]
) -> Iterator[tuple[int, Stored]]:
    place = begin
    batches = file.iter_batches(batch_size=ROWS_PER_READ, row_groups=[group], columns=[key])
    for batch in batches:
        images = batch.column(0)
        for offset in range(len(images)):
            if place + offset in places:
                yield place + offset, images[offset].as_py()
        place += len(images)


def _from_videos(
    survey: Survey, key: str, wanted: Sequence[Wanted], problems: list[DataError]
) -> Iterator[Frame]:
    by_file: dict[Path, list[tuple[float, Wanted]]] = {}
    for one in wanted:
        record = survey.episodes.get(one.episode)
        if record is None or key not in record.videos:
            yield Frame(one.episode, one.step, None, is_recorded=record is None)
            continue
        place = record.videos[key]
        by_file.setdefault(place.path, []).append((place.start_s + one.step / survey.fps, one))
    for path, timed in by_file.items():
        with tolerated(problems):
            found = dict(_at_times(path, sorted({time for time, _ in timed}), survey.fps))
            for time, one in timed:
                yield Frame(one.episode, one.step, found.get(time))


def _at_times(
    path: Path, times: Sequence[float], fps: float
) -> Iterator[tuple[float, UInt8[ndarray, "height width_px 3"]]]:
    """Decode the frames shown at some ascending times; times past the end give nothing."""
    require_video(path)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            budget = MAX_DECODED
            for time in times:
                container.seek(round((time + 0.25 / fps) / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    budget -= 1
                    if budget < 0:
                        return
                    if frame.time is not None and frame.time >= time - 0.5 / fps:
                        yield time, np.asarray(frame.to_ndarray(format="rgb24"))
                        break
    except (av.error.FFmpegError, IndexError, ValueError, MemoryError) as error:
        todo = "Copy or record the dataset again"
        raise DataError(path, f"cannot be decoded ({error})", "a whole video", todo) from error
