"""Every check on one dataset, and the numbers its page shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from plait.data.survey import Rows, Survey
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
    check_totals,
    check_videos,
    problems_found,
)
from plait.evaluation.inspection.instructions import check_instructions, count_instructions
from plait.evaluation.inspection.looking import LookSettings, first_frames, look, summarise
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
    SEVERITIES,
    CameraSummary,
    Copying,
    Finding,
    Histogram,
    InstructionCount,
    Lengths,
    Motion,
)


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
    cameras: Mapping[str, str],
    settings: LookSettings,
    *,
    seed: int = 0,
    out: Path | None = None,
    problems: Sequence[DataError] = (),
    on_frame: Callable[[], None] = lambda: None,
) -> Measured:
    """Make all checks.

    Args:
        found: The dataset.
        videos: What was counted in its videos.
        cameras: Features of the cameras to look at, by short name.
        settings: How many frames are looked at.
        seed: Of everything random.
        out: Folder for the contact sheets; none are written where None.
        problems: What could not be read so far, besides what the survey says.
        on_frame: Called after each frame.

    Raises:
        OutputError: If the contact sheets cannot be written.
    """
    rows = found.rows
    state, action = found.state_key, found.action_key
    troubles = [*found.problems, *problems]
    seen = {
        camera: look(found, key, settings, troubles, on_frame) for camera, key in cameras.items()
    }
    exact, near = _copies(found, cameras, troubles, seed)
    names = {key: found.dim_names(key) for key in (state, action) if key}
    stretches, motion = check_stretches(rows, state, action, found.fps, names[action])
    copying = _copying(found, exact, seed)
    findings = [
        *check_totals(found.info, rows, len(found.tasks)),
        *check_episodes(rows, found.episodes),
        *check_videos(videos, found.fps),
        *check_times(rows, found.fps),
        *check_lengths(rows, found.fps),
        *check_finite(rows, action),
        *check_first_action(rows, action),
        *(one for key in names for one in _constant(rows, key, names[key])),
        *check_stored(rows, found.stats, tuple(names)),
        *stretches,
        *check_instructions(rows, found.tasks, found.episodes),
        *check_any_camera(tuple(found.cameras)),
        *(
            one
            for camera, key in cameras.items()
            for one in check_camera(
                camera, seen[camera].views, rows, state or action, found.declared_size(key)
            )
        ),
        *check_same_picture({camera: each.views for camera, each in seen.items()}),
        *check_copies(exact, near),
        *check_splits(found.info.get("splits"), rows.episodes, exact, near),
        *check_copying(copying),
    ]
    return Measured(
        findings=ordered([*problems_found(troubles), *findings]),
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


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put the most severe first; within a severity, in the order of the checks."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _constant(rows: Rows, key: str, names: Sequence[str]) -> list[Finding]:
    return list(check_constant(key, finite_rows(rows.vectors[key]), names))


def _histograms(found: Survey, key: str, names: Sequence[str]) -> list[Histogram]:
    return histograms(key, finite_rows(found.rows.vectors[key]), names, found.stats.get(key, {}))


def _copying(found: Survey, exact: Sequence[Sequence[int]], seed: int) -> Copying:
    if found.state_key is None:
        return Copying(reason="the dataset has no state")
    return measure_copying(
        found.rows, found.state_key, found.action_key, found.fps, exact, seed=seed
    )


def _copies(
    found: Survey, cameras: Mapping[str, str], problems: list[DataError], seed: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Return groups of exact and of near copies; the latter also look alike."""
    state, action = found.state_key, found.action_key
    exact = exact_copies(found.rows, [key for key in (state, action) if key])
    others = frozenset(episode for group in exact for episode in group[1:])
    pairs = near_copies(found.rows, action, others, seed)
    views: dict[int, Float[ndarray, " cells"]] = {}
    if pairs and cameras:
        episodes = [int(episode) for episode in np.unique(pairs)]
        views = first_frames(found, next(iter(cameras.values())), episodes, problems)
    return exact, grouped(seen_alike(pairs, views, TOLERANCE))
