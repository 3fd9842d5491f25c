"""Every check on one dataset, and the numbers its page shows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from plait.data.survey import Survey
from plait.data.survey.videos import VideoFacts
from plait.errors import DataError
from plait.evaluation.inspection.cameras import check_any_camera, check_camera, check_same_picture
from plait.evaluation.inspection.copying import check_copying, measure_copying
from plait.evaluation.inspection.duplicates import (
    check_copies,
    check_splits,
    exact_copies,
    grouped,
    near_copies,
    seen_alike,
)
from plait.evaluation.inspection.files import (
    check_episodes,
    check_opens,
    check_totals,
    check_videos,
    problems_found,
)
from plait.evaluation.inspection.instructions import check_instructions, count_instructions
from plait.evaluation.inspection.looking import Seen, first_frames, summarise
from plait.evaluation.inspection.numbers import (
    check_constant,
    check_finite,
    check_first_action,
    finite_rows,
    histograms,
)
from plait.evaluation.inspection.stored_stats import check_stored
from plait.evaluation.inspection.stretches import check_stretches
from plait.evaluation.inspection.times import check_lengths, check_times, count_lengths
from plait.evaluation.scenes import TOLERANCE
from plait.results.inspection import (
    ERROR,
    SEVERITIES,
    CameraSummary,
    Copying,
    Finding,
    Histogram,
    InstructionCount,
    Lengths,
    Motion,
    count_of,
)

NUM_STAGES = 4


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the checks found; the fields are those of `InspectionResult`."""

    findings: tuple[Finding, ...]
    lengths: Lengths
    cameras: tuple[CameraSummary, ...]
    instructions: tuple[InstructionCount, ...]
    histograms: tuple[Histogram, ...]
    motion: Motion
    copying: Copying


def measure(
    found: Survey,
    videos: Sequence[VideoFacts],
    seen: Mapping[str, Seen],
    *,
    seed: int = 0,
    out: Path | None = None,
    problems: Sequence[DataError] = (),
    on_stage: Callable[[], None] = lambda: None,
) -> Measured:
    """Make all checks.

    Args:
        found: The dataset.
        videos: What was counted in its videos.
        seen: What was seen of each camera, by short name.
        seed: Of everything random.
        out: Folder for the contact sheets; none are written where None.
        problems: What could not be read so far, besides what the survey says.
        on_stage: Called `NUM_STAGES` times, as the work goes on.

    Raises:
        OutputError: If the contact sheets cannot be written.
    """
    rows, names = found.rows, _names(found)
    troubles = [*found.problems, *problems]
    findings = [*_tables(found, videos), *_numbers(found)]
    on_stage()
    stretches, motion = check_stretches(
        rows, found.state_key, found.action_key, found.fps, names[found.action_key]
    )
    on_stage()
    findings += [*stretches, *_pictures(found, seen)]
    exact, near = _copies(found, seen, troubles, seed)
    on_stage()
    copying = _copying(found, exact, seed)
    findings += [
        *check_copies(exact, near),
        *check_splits(found.info.get("splits"), rows.episodes, exact, near),
        *check_copying(copying),
    ]
    findings += problems_found(troubles)
    if not count_of(findings, ERROR):
        findings += check_opens(found.root)
    on_stage()
    return Measured(
        findings=ordered(findings),
        lengths=count_lengths(rows.lengths),
        cameras=tuple(
            summarise(found, camera, number, each, out)
            for number, (camera, each) in enumerate(seen.items())
        ),
        instructions=count_instructions(rows, found.tasks),
        histograms=tuple(one for key in names for one in _histograms(found, key, names[key])),
        motion=motion,
        copying=copying,
    )


def _names(found: Survey) -> dict[str, tuple[str, ...]]:
    """Return the features that are looked at closely, with what their dimensions are called."""
    return {key: found.dim_names(key) for key in (found.state_key, found.action_key) if key}


def _tables(found: Survey, videos: Sequence[VideoFacts]) -> Iterator[Finding]:
    """Check what is declared against what is there."""
    rows = found.rows
    yield from check_totals(found.info, rows, len(found.tasks))
    yield from check_episodes(rows, found.episodes)
    yield from check_videos(videos, found.fps)
    yield from check_instructions(rows, found.tasks, found.episodes)


def _numbers(found: Survey) -> Iterator[Finding]:
    """Check times, states and actions."""
    rows, names = found.rows, _names(found)
    yield from check_times(rows, found.fps)
    yield from check_lengths(rows, found.fps)
    yield from check_finite(rows, found.action_key)
    yield from check_first_action(rows, found.action_key)
    for key in names:
        yield from check_constant(key, finite_rows(rows.vectors[key]), names[key])
    yield from check_stored(rows, found.stats, tuple(names))


def _pictures(found: Survey, seen: Mapping[str, Seen]) -> Iterator[Finding]:
    """Check what the cameras show."""
    yield from check_any_camera(tuple(found.cameras))
    moving = found.state_key or found.action_key
    for camera, each in seen.items():
        declared = found.declared_size(found.cameras[camera])
        yield from check_camera(camera, each.views, found.rows, moving, declared)
    yield from check_same_picture({camera: each.views for camera, each in seen.items()})


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put the most severe first; within a severity, in the order of the checks."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _histograms(found: Survey, key: str, names: Sequence[str]) -> list[Histogram]:
    return histograms(key, finite_rows(found.rows.vectors[key]), names, found.stats.get(key, {}))


def _copying(found: Survey, exact: Sequence[Sequence[int]], seed: int) -> Copying:
    if found.state_key is None:
        return Copying(reason="the dataset has no state")
    return measure_copying(
        found.rows, found.state_key, found.action_key, found.fps, exact, seed=seed
    )


def _copies(
    found: Survey, seen: Mapping[str, Seen], problems: list[DataError], seed: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Return groups of exact and of near copies; the latter also look alike."""
    state, action = found.state_key, found.action_key
    exact = exact_copies(found.rows, [key for key in (state, action) if key])
    others = frozenset(episode for group in exact for episode in group[1:])
    pairs = near_copies(found.rows, action, others, seed)
    views: dict[int, Float[ndarray, " cells"]] = {}
    if pairs and seen:
        episodes = [int(episode) for episode in np.unique(pairs)]
        views = first_frames(found, found.cameras[next(iter(seen))], episodes, problems)
    return exact, grouped(seen_alike(pairs, views, TOLERANCE))
