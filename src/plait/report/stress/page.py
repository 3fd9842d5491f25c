"""One page that holds everything of a stress test; see `plait.report.page` for its rules."""

from pathlib import Path
from typing import Any

from plait.report import text
from plait.report.page import environment, parts_with_figures
from plait.report.stress.breakdown import (
    MEANINGS,
    TITLES,
    breakdown_key,
    breakdown_sentences,
    perceptual_rows,
)
from plait.report.stress.conclusions import conclude_stress
from plait.report.stress.failures import load_failures
from plait.report.stress.figures import curve_legend, stress_figures
from plait.report.stress.option_figure import option_figure, option_legend
from plait.report.stress.options import option_tables
from plait.report.stress.reading import (
    MEASURES,
    clean_of,
    corruptions,
    interval_text,
    missing_modalities,
    severities,
    value_text,
)
from plait.report.stress.table import heat_groups, lattice_rows
from plait.report.views import made_with
from plait.results import load_result, write_text_atomically
from plait.results.stress import CLOSED, Loop, Reaction, StressResult

LOOP_TITLES = {"closed": "In closed loop", "open": "On demonstrations"}


def write_stress_report(results_file: Path, output: Path) -> Path:
    """Write the page of a stress test.

    Args:
        results_file: Its `results.json`.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If the result, or a picture it names, is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    result = load_result(results_file, StressResult)
    write_text_atomically(output, render_stress(result, results_file.parent))
    return output


def render_stress(result: StressResult, folder: Path) -> str:
    """Return the page as HTML.

    Args:
        result: The stress test.
        folder: That its pictures are in.

    Raises:
        DataError: If a picture is missing or unreadable.
    """
    figures = stress_figures(result)
    figures |= {f"options-{each.loop}": option_figure(each) for each in result.options}
    loops = [loop for loop in (result.closed, result.open) if loop is not None]
    content: dict[str, Any] = {
        "result": result,
        "conclusions": conclude_stress(result),
        "loops": [_loop(loop, list(figures)) for loop in loops],
        "options": [
            {**table, "legend": option_legend(found)}
            for table, found in zip(option_tables(result.options), result.options, strict=True)
        ],
        "failures": load_failures(result.failures, folder),
        "reaction_rows": [] if result.reaction is None else _reaction_rows(result.reaction),
        "setup": _setup(result),
        "settings": text.flatten(result.settings),
        **parts_with_figures(figures),
    }
    return environment().get_template("stress.html.jinja").render(content)


def _loop(loop: Loop, figures: list[str]) -> dict[str, Any]:
    clean = clean_of(loop)
    return {
        "name": loop.loop,
        "title": LOOP_TITLES[loop.loop],
        "measure": MEASURES[loop.loop],
        "clean": f"{value_text(clean, loop)} ({interval_text(clean.low, clean.high, loop)})",
        "is_closed": loop.loop == CLOSED,
        "severities": severities(loop),
        "heat": heat_groups(loop),
        "has_reference": any(each.effective is not None for each in loop.robustness),
        "curves": [
            {
                "modality": modality,
                "figure": f"{loop.loop}-curves-{modality}",
                "legend": curve_legend(loop, modality),
            }
            for modality in corruptions(loop)
            if f"{loop.loop}-curves-{modality}" in figures
        ],
        "modalities": missing_modalities(loop),
        "lattice": lattice_rows(loop),
        "breakdowns": [
            {
                "title": TITLES[each.by],
                "meaning": MEANINGS[each.by],
                "figure": breakdown_key(loop, each),
                "sentences": breakdown_sentences(loop, each),
                "note": each.note if each.groups else "",
                "perceptual": perceptual_rows(each),
            }
            for each in loop.breakdowns
        ],
    }


def _reaction_rows(found: Reaction) -> list[list[str]]:
    rows = [_reaction_row("another task's", found.swapped, found.swapped_low, found.swapped_high)]
    if found.paraphrased is not None:
        ends = found.paraphrased_low, found.paraphrased_high
        rows.append(_reaction_row("the same task in other words", found.paraphrased, *ends))
    return rows


def _reaction_row(name: str, value: float, low: float, high: float) -> list[str]:
    return [name, f"{value:.3f}", f"{low:.3f}{text.DASH}{high:.3f}"]


def _setup(result: StressResult) -> dict[str, str]:
    rows = {"policy": result.policy}
    if result.env is not None and result.closed is not None:
        scenes = text.counted(result.closed.num_units, "scene")
        rows["environment"] = f"{result.env}, {scenes} a condition"
    if result.dataset is not None and result.open is not None:
        held = text.counted(result.open.num_units, "held-out episode")
        rows["demonstrations"] = f"{result.dataset.path}, {held}"
        rows["fingerprint"] = result.dataset.fingerprint
    if result.reference is not None:
        rows["reference"] = result.reference
    rows["computing time"] = text.duration(result.total_seconds)
    return rows | made_with(result.machine)
