"""One page that holds everything of an inspection; see `plait.report.page` for its rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plait.report import text
from plait.report.inspection.conclusions import conclude_inspection, explained_text, size_text
from plait.report.inspection.drawing import HEIGHT, WIDTH, bars_path, draw
from plait.report.media import embed
from plait.report.page import environment, style_sheet
from plait.report.shortcuts import (
    ACTION_HEADINGS,
    PREDICTION_HEADINGS,
    action_rows,
    prediction_rows,
)
from plait.report.views import made_with
from plait.results import load_result, write_text_atomically
from plait.results.inspection import CameraSummary, Histogram, InspectionResult
from plait.results.shortcuts import ShortcutsResult

# Instructions listed one by one; the rest is counted.
MAX_INSTRUCTIONS = 200


def write_inspection_report(results_file: Path, output: Path) -> Path:
    """Write the page of an inspection.

    Args:
        results_file: Its `results.json`; the contact sheets are beside it.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If the result or a picture is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    result = load_result(results_file, InspectionResult)
    write_text_atomically(output, render_inspection(result, results_file.parent))
    return output


def render_inspection(result: InspectionResult, folder: Path) -> str:
    """Return the page as HTML; `folder` holds the contact sheets."""
    content: dict[str, Any] = {
        "result": result,
        "conclusions": _conclusions(result),
        "size": size_text(result),
        "box": (WIDTH, HEIGHT),
        "length_bars": bars_path(result.lengths.counts),
        "cameras": [_camera(camera, folder) for camera in result.cameras],
        "instructions": result.instructions[:MAX_INSTRUCTIONS],
        "num_more": max(len(result.instructions) - MAX_INSTRUCTIONS, 0),
        "features": _features(result.histograms),
        "saturated": result.motion.saturated,
        "baselines": [
            (each.target, each.model, explained_text(each.explained))
            for each in result.copying.baselines
        ],
        "told": None if result.shortcuts is None else _shortcuts(result.shortcuts),
        "setup": _setup(result),
        "settings": text.flatten(result.settings),
        "style": style_sheet(),
    }
    return environment().get_template("inspection.html.jinja").render(content)


def _conclusions(result: InspectionResult) -> list[str]:
    """Return the conclusions, without how much data there is, which the head of the page says."""
    sentences = [one for one in conclude_inspection(result) if one != size_text(result)]
    told = result.shortcuts
    return sentences if told is None else [*sentences, told.verdict.sentence]


def _camera(camera: CameraSummary, folder: Path) -> dict[str, Any]:
    strips = [
        {"episode": strip.episode, "picture": embed(folder, strip.file)} for strip in camera.strips
    ]
    return {"summary": camera, "strips": strips}


def _features(found: Sequence[Histogram]) -> dict[str, list[dict[str, Any]]]:
    """Return the drawn dimensions of each feature."""
    features: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        features.setdefault(one.feature, []).append(
            {
                "label": f"[{one.dim}] {one.name}".strip(),
                "drawn": draw(one),
                "low": f"{one.minimum:.3g}",
                "high": f"{one.maximum:.3g}",
                "summary": f"From {one.minimum:.3g} to {one.maximum:.3g}, 98% of the steps "
                f"between {one.q01:.3g} and {one.q99:.3g}.",
            }
        )
    return features


def _shortcuts(found: ShortcutsResult) -> dict[str, Any]:
    tables = [
        (PREDICTION_HEADINGS, prediction_rows(found.measures)),
        (ACTION_HEADINGS, action_rows(found.measures)),
    ]
    return {
        "verdict": found.verdict.sentence,
        "findings": found.findings,
        "tables": [(headings, rows) for headings, rows in tables if rows],
    }


def _setup(result: InspectionResult) -> dict[str, str]:
    rows = {
        "dataset": result.path,
        "format": f"LeRobot {result.version}",
        "robot": result.robot or "not said",
        "computing time": text.duration(result.total_seconds),
    }
    return rows | made_with(result.machine)
