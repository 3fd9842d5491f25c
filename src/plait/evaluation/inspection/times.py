"""Do the time stamps run evenly, and how long are the episodes?"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from plait.data.lerobot.format import INFO_FILE
from plait.data.survey import Rows
from plait.results.inspection import ERROR, NOTE, WARNING, Finding, Lengths
from plait.wording import counted, percent, some

# In periods: a step that takes longer lost a frame; one that differs by so much is not even.
GAP, JITTER = 1.5, 0.1
# The median step may differ by this share from the declared rate.
RATE_TOLERANCE = 0.02
# Episodes are outliers below this share of the median length, and above so many times it.
SHORT, LONG = 0.2, 5.0
FEWEST_STEPS = 2
NUM_BINS = 30


def check_times(rows: Rows, fps: float) -> Iterator[Finding]:
    """Check the times within each episode."""
    if not np.isfinite(rows.timestamp).all():
        yield _finding(
            ERROR,
            rows,
            ~np.isfinite(rows.timestamp),
            "In {} there is no time stamp.",
            "Write timestamp = frame_index / fps.",
        )
        return
    beats = np.diff(rows.timestamp, prepend=rows.timestamp[:1]) * fps
    is_step = ~rows.is_first
    median = float(np.median(beats[is_step])) if is_step.any() else 1.0
    if median > 0 and abs(median - 1) > RATE_TOLERANCE:
        yield Finding(
            severity=ERROR,
            where=INFO_FILE,
            found=f"fps is {fps:g}, but by the time stamps there are {fps / median:.3g} rows a "
            "second.",
            todo="Correct fps: durations, action chunks and video times follow from it.",
        )
        # Gaps and jitter are judged by the rate that there is.
        beats, fps = beats / median, fps / median
    backwards = is_step & (beats <= 0)
    gaps = is_step & (beats > GAP)
    # What float32 cannot tell apart late in a long episode is no jitter.
    coarse = np.spacing(np.abs(rows.timestamp).astype(np.float32)) * fps
    jitter = is_step & ~backwards & ~gaps & (np.abs(beats - 1) > JITTER + 2 * coarse)
    if backwards.any():
        yield _finding(
            ERROR,
            rows,
            backwards,
            "In {} the time is not later than in the row before.",
            "Sort the rows by time, or leave these episodes out.",
        )
    if gaps.any():
        longest = beats[gaps].max() / fps
        yield _finding(
            WARNING,
            rows,
            gaps,
            f"Before {{}} there is a gap of more than {GAP:g} periods, of up to {longest:.2f} s.",
            "Frames were dropped. Divide the episodes there, or leave them out: an action chunk "
            "across a gap teaches a jump.",
        )
    if jitter.mean() > 0.01:
        yield _finding(
            NOTE,
            rows,
            jitter,
            f"In {{}} the time is early or late by more than {percent(JITTER)} of a period.",
            "Resample to an even rate if timing matters to your controller.",
        )
    late = rows.is_first & (np.abs(rows.timestamp) * fps > 1)
    if late.any():
        yield _finding(
            WARNING,
            rows,
            late,
            "In {} an episode begins at another time than 0.",
            "LeRobot v3.0 counts time from the start of each episode, and finds video frames by "
            "it; subtract the first time stamp.",
        )


def _finding(
    severity: str, rows: Rows, where: Bool[ndarray, " rows"], found: str, todo: str
) -> Finding:
    episodes = np.unique(rows.episode_index[where]).tolist()
    return Finding(
        severity=severity,
        where=f"timestamp of {some('episode', episodes)}",
        found=found.format(counted(int(where.sum()), "row")),
        todo=todo,
    )


def check_lengths(rows: Rows, fps: float) -> Iterator[Finding]:
    """Look for episodes that are much shorter or longer than the others."""
    lengths, median = rows.lengths, float(np.median(rows.lengths))
    tiny = lengths < FEWEST_STEPS
    short = (lengths < SHORT * median) & ~tiny
    long = lengths > LONG * median
    if tiny.any():
        yield Finding(
            severity=WARNING,
            where=some("episode", _indices(rows, tiny)),
            found=f"{counted(int(tiny.sum()), 'episode')} of a single step.",
            todo="Leave them out: there is no motion to learn from.",
        )
    for outliers, word, todo in (
        (short, "a fifth of", "Look whether they were stopped too early, and leave those out."),
        (long, "five times", "Look whether recording went on after the task was done."),
    ):
        if outliers.any():
            extent = lengths[outliers].min() if outliers is short else lengths[outliers].max()
            yield Finding(
                severity=WARNING if outliers is short else NOTE,
                where=some("episode", _indices(rows, outliers)),
                found=f"{counted(int(outliers.sum()), 'episode')} "
                f"{'shorter' if outliers is short else 'longer'} than {word} the median of "
                f"{median / fps:.1f} s; the extreme is {extent / fps:.1f} s.",
                todo=todo,
            )


def _indices(rows: Rows, which: Bool[ndarray, " episodes"]) -> list[int]:
    return [int(episode) for episode in rows.episodes[which]]


def count_lengths(lengths: Int64[ndarray, " episodes"]) -> Lengths:
    """Count how long the episodes are."""
    low, high = int(lengths.min()), int(lengths.max())
    counts, _ = np.histogram(lengths, bins=min(NUM_BINS, high - low + 1), range=(low, high + 1))
    return Lengths(
        shortest=low, median=float(np.median(lengths)), longest=high, counts=tuple(counts.tolist())
    )
