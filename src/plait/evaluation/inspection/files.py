"""Does a dataset hold what its tables say: episodes, rows, video frames?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plait.data.lerobot.format import INFO_FILE
from plait.data.lerobot.reader import LeRobotReader
from plait.data.survey import EpisodeRecord, Rows
from plait.data.survey.videos import VideoFacts
from plait.errors import DataError
from plait.results.inspection import ERROR, WARNING, Finding
from plait.wording import counted, few, some

TABLE = "meta/episodes"
COPY = "Copy the dataset again from where it is whole, or record it again."
# Frames a second by the times in a video may differ by this share from what is declared.
RATE_TOLERANCE = 0.01


def problems_found(problems: Sequence[DataError]) -> Iterator[Finding]:
    """Turn what could not be read into findings; the same mistake in many files is one."""
    grouped: dict[tuple[str, str], list[DataError]] = {}
    for problem in problems:
        grouped.setdefault((problem.found, problem.expected), []).append(problem)
    for (found, expected), same in grouped.items():
        where = few([str(problem.path) for problem in same])
        todo = (same[0].todo or COPY).rstrip(".") + "."
        yield Finding(
            severity=ERROR, where=where, found=f"{found}; expected {expected}.", todo=todo
        )


def check_opens(root: Path) -> Iterator[Finding]:
    """Open a dataset as a training does, which refuses what it cannot rely on."""
    try:
        LeRobotReader.open(root)
    except DataError as error:
        yield Finding(
            severity=ERROR,
            where=str(error.path),
            found=f"A training refuses it: {error.found}; expected {error.expected}.",
            todo=(error.todo or COPY).rstrip(".") + ".",
        )


def check_totals(info: Mapping[str, Any], rows: Rows, num_tasks: int) -> Iterator[Finding]:
    """Compare the totals of `info.json` with what is there."""
    found = {
        "total_episodes": len(rows.episodes),
        "total_frames": len(rows),
        "total_tasks": num_tasks,
    }
    for name, number in found.items():
        declared = info.get(name)
        if declared is not None and declared != number:
            yield Finding(
                severity=ERROR if name != "total_tasks" else WARNING,
                where=INFO_FILE,
                found=f"{name} is {declared:,}, but {number:,} are there.",
                todo=f"{COPY} If episodes were removed on purpose, write the number that is there.",
            )


def check_episodes(rows: Rows, records: Mapping[int, EpisodeRecord]) -> Iterator[Finding]:
    """Compare the rows of each episode with the table, and with their own numbering."""
    lengths = dict(zip(rows.episodes.tolist(), rows.lengths.tolist(), strict=True))
    differing = [i for i in lengths if i in records and records[i].length != lengths[i]]
    if differing:
        first = differing[0]
        yield Finding(
            severity=ERROR,
            where=some("episode", differing),
            found=f"{counted(len(differing), 'episode')} of another length than {TABLE} says; "
            f"episode {first} has {lengths[first]:,} rows instead of {records[first].length:,}.",
            todo=COPY,
        )
    for missing, found in (
        (sorted(set(records) - set(lengths)), f"in {TABLE}, but without any row"),
        (sorted(set(lengths) - set(records)) if records else [], f"with rows, but not in {TABLE}"),
    ):
        if missing:
            yield Finding(
                severity=ERROR,
                where=some("episode", missing),
                found=f"{counted(len(missing), 'episode')} {found}.",
                todo=COPY,
            )
    steps = np.arange(len(rows)) - np.repeat(rows.bounds[:, 0], rows.lengths)
    wrong = rows.episode_index[rows.frame_index != steps]
    if len(wrong):
        yield Finding(
            severity=ERROR,
            where=some("episode", np.unique(wrong).tolist()),
            found=f"frame_index does not count 0, 1, 2 ... in {counted(len(wrong), 'row')}: rows "
            "are missing, doubled or out of order.",
            todo="Leave these episodes out, or write them again in order.",
        )


def check_videos(videos: Sequence[VideoFacts], fps: float) -> Iterator[Finding]:
    """Compare the frames in video files with the rows, and their times with the declared rate."""
    for video in videos:
        if video.num_packets < video.num_rows:
            missing = video.num_rows - video.num_packets
            yield Finding(
                severity=ERROR,
                where=str(video.path),
                found=f"{video.num_packets:,} frames for {video.num_rows:,} rows of "
                f"{some('episode', video.episodes)}: the last {missing:,} have no picture.",
                todo="Leave the episodes at its end out, or copy the file again.",
            )
        elif video.num_packets > video.num_rows and len(video.episodes) == 1:
            yield Finding(
                severity=WARNING,
                where=str(video.path),
                found=f"{video.num_packets:,} frames for {video.num_rows:,} rows of "
                f"{some('episode', video.episodes)}: frames and rows may be shifted.",
                todo="Check whether the recording began or ended with frames that have no row.",
            )
    off = [v for v in videos if v.fps and abs(v.fps / fps - 1) > RATE_TOLERANCE]
    if off:
        yield Finding(
            severity=ERROR,
            where=few([str(video.path) for video in off]),
            found=f"The frames come {off[0].fps:.3g} times a second, not {fps:g} as declared; "
            f"{counted(len(off), 'video')} so.",
            todo=f"Correct fps in {INFO_FILE}, or encode the videos again at {fps:g}.",
        )
    uneven = [video for video in videos if video.num_uneven]
    if uneven:
        frames = sum(video.num_uneven for video in uneven)
        yield Finding(
            severity=WARNING,
            where=few([str(video.path) for video in uneven]),
            found=f"In {counted(frames, 'frame')} the time is early or late by more than a quarter "
            "of a period: readers that look frames up by time may take the wrong one.",
            todo="Encode the videos again at a constant rate.",
        )
