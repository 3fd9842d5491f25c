"""What `plait inspect` does: read a dataset as it stands, check it, write result and page."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType

from plait.compare.console import progress_bar
from plait.compare.features import bar_when_needed
from plait.compare.shortcuts import inspect_shortcuts, shortcuts_lines
from plait.data.survey import Survey, survey
from plait.data.survey.videos import VideoFacts, count_packets, video_files
from plait.errors import DataError, UnknownNameError
from plait.evaluation.inspection.looking import LookSettings, Seen, look
from plait.evaluation.inspection.measure import NUM_STAGES, Measured, measure, ordered
from plait.evaluation.shortcuts import ShortcutSettings
from plait.report.inspection import (
    conclude_inspection,
    findings_table,
    write_inspection_report,
)
from plait.results import describe_machine, save_result
from plait.results.inspection import WARNING, Finding, InspectionResult
from plait.results.shortcuts import ShortcutsResult

RESULTS_FILE, REPORT_FILE = "results.json", "report.html"


def inspect_dataset(
    path: Path,
    out: Path,
    *,
    looking: LookSettings | None = None,
    shortcuts: ShortcutSettings | None = None,
    cameras: Sequence[str] | None = None,
    image_size: int = 64,
    seed: int = 0,
    command: str = "plait.inspect(...)",
) -> InspectionResult:
    """Check whether a dataset is sound, mistakes included where they let it be read at all.

    Args:
        path: Folder of a LeRobot dataset.
        out: Folder of `results.json`, `report.html` and the contact sheets.
        looking: How many frames are looked at.
        shortcuts: How shortcuts are looked for; not at all where None.
        cameras: Cameras to look at; all where None.
        image_size: Height and width to resize to in pixels, for the shortcuts.
        seed: Of everything random.
        command: What was typed, for the record.

    Returns:
        The result, as saved in `out/results.json`.

    Raises:
        PlaitError: If the dataset cannot be read at all, or of the options or the output folder.
    """
    start = time.monotonic()
    settings = looking or LookSettings()
    settings.check()
    found = survey(path)
    chosen = _choose(found, cameras)
    problems: list[DataError] = []
    videos = _count_videos(found, chosen, problems)
    told, extra = _shortcuts(
        path, shortcuts, tuple(chosen) if cameras else None, image_size, command
    )
    seen = _look(found, chosen, settings, problems)
    measured = _measure(found, videos, seen, seed, out, problems)
    result = InspectionResult(
        command=command,
        path=str(path),
        version=str(found.info.get("codebase_version", "")),
        robot=str(found.info.get("robot_type") or ""),
        fps=found.fps,
        num_episodes=len(found.rows.episodes),
        num_steps=len(found.rows),
        findings=ordered([*measured.findings, *extra]),
        lengths=measured.lengths,
        cameras=measured.cameras,
        instructions=measured.instructions,
        histograms=measured.histograms,
        motion=measured.motion,
        copying=measured.copying,
        shortcuts=told,
        settings=asdict(settings) | {"cameras": list(chosen), "seed": seed},
        total_seconds=time.monotonic() - start,
        machine=describe_machine(),
    )
    save_result(out / RESULTS_FILE, result)
    write_inspection_report(out / RESULTS_FILE, out / REPORT_FILE)
    return result


def _choose(found: Survey, cameras: Sequence[str] | None) -> dict[str, str]:
    """Return the features of the cameras that are looked at."""
    known = found.cameras
    for camera in cameras or ():
        if camera not in known:
            raise UnknownNameError(f"camera of {found.root}", camera, known)
    return {camera: known[camera] for camera in (cameras or known)}


def _count_videos(
    found: Survey, cameras: Mapping[str, str], problems: list[DataError]
) -> list[VideoFacts]:
    files = {
        (key, path): episodes
        for (key, path), episodes in video_files(found.episodes).items()
        if key in cameras.values()
    }
    videos = []
    with bar_when_needed("count video frames") as show:
        for done, facts in enumerate(count_packets(files, found.rows, problems), start=1):
            show(done, len(files))
            if facts is not None:
                videos.append(facts)
    return videos


def _look(
    found: Survey, cameras: Mapping[str, str], settings: LookSettings, problems: list[DataError]
) -> dict[str, Seen]:
    episodes = min(settings.num_episodes or len(found.rows.episodes), len(found.rows.episodes))
    total, done = len(cameras) * episodes * settings.num_frames, 0
    seen = {}
    with bar_when_needed("look at frames") as show:

        def on_frame() -> None:
            nonlocal done
            done += 1
            show(done, total)

        for camera, key in cameras.items():
            seen[camera] = look(found, key, settings, problems, on_frame)
        if done:
            # Short episodes have fewer frames than are asked for; the bar still ends full.
            show(total, total)
    return seen


def _measure(
    found: Survey,
    videos: Sequence[VideoFacts],
    seen: Mapping[str, Seen],
    seed: int,
    out: Path,
    problems: Sequence[DataError],
) -> Measured:
    done = 0
    with progress_bar("check", NUM_STAGES) as show:

        def on_stage() -> None:
            nonlocal done
            done += 1
            show(done)

        return measure(
            found, videos, seen, seed=seed, out=out, problems=problems, on_stage=on_stage
        )


def _shortcuts(
    path: Path,
    settings: ShortcutSettings | None,
    cameras: Sequence[str] | None,
    image_size: int,
    command: str,
) -> tuple[ShortcutsResult | None, list[Finding]]:
    """Look for shortcuts, where that is asked for and the dataset is whole enough."""
    if settings is None:
        return None, []
    try:
        result = inspect_shortcuts(
            path, settings, cameras=cameras, image_size=image_size, command=command
        )
    except DataError as error:
        found = f"Shortcuts could not be looked for: {error.found}; expected {error.expected}."
        finding = Finding(
            severity=WARNING,
            where=str(error.path),
            found=found,
            todo="Mend what is found above, and run it again.",
        )
        return None, [finding]
    return result, []


def inspection_lines(result: InspectionResult) -> list[RenderableType]:
    """Return what a person is shown: the findings, what there is, and shortcuts if looked for."""
    verdict, *rest = conclude_inspection(result)
    lines: list[RenderableType] = [findings_table(result)] if result.findings else []
    lines += [f"• {sentence}" for sentence in rest]
    if result.shortcuts is not None:
        lines += shortcuts_lines(result.shortcuts)
    return [*lines, verdict]
