"""One page that holds everything of a comparison on demonstrations; rules as in `report.page`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plait.errors import DataError
from plait.report import markup, text
from plait.report.figures import learning_curves
from plait.report.open_loop.conclusions import (
    conclude_open_loop,
    difference_text,
    error_text,
    of_kind,
)
from plait.report.open_loop.figures import error_figure, horizon_figure, in_order, looks
from plait.report.open_loop.table import HEADINGS, error_row
from plait.report.page import environment, parts_with_figures
from plait.report.views import made_with
from plait.results import load_result, write_text_atomically
from plait.results.open_loop import (
    BASELINE,
    STRATEGY,
    OpenLoopArm,
    OpenLoopComparison,
    OpenLoopRun,
)

RESULT_FILE = "result.json"


def write_open_loop_report(results_file: Path, output: Path) -> Path:
    """Write the page of a comparison on demonstrations.

    Args:
        results_file: The comparison's `results.json`; the folders of its runs are beside it.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If a result is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    comparison = load_result(results_file, OpenLoopComparison)
    if not of_kind(comparison.arms, STRATEGY):
        raise DataError(results_file, "no strategies", "at least one that was trained")
    runs = [
        load_result(results_file.parent / folder / RESULT_FILE, OpenLoopRun)
        for folder in comparison.runs
    ]
    write_text_atomically(output, render_open_loop(comparison, runs))
    return output


def render_open_loop(comparison: OpenLoopComparison, runs: Sequence[OpenLoopRun]) -> str:
    """Return the page as HTML."""
    arms, styles = in_order(comparison), looks(comparison)
    trained = [arm for arm in arms if arm.kind != BASELINE]
    drawn = {
        "errors": error_figure(comparison),
        "horizon": horizon_figure(comparison),
        "curves": learning_curves(trained, styles, runs),
    }
    content: dict[str, Any] = {
        "comparison": comparison,
        "conclusions": [
            markup.with_names(sentence, [arm.arm for arm in trained])
            for sentence in conclude_open_loop(comparison)
        ],
        "headings": HEADINGS,
        "rows": [(arm, error_row(arm)) for arm in arms],
        "pairs": [
            (pair.first, pair.second, difference_text(pair.difference), pair.differs)
            for pair in comparison.pairs
        ],
        "styles": styles,
        "legends": {"horizon": _legend(comparison, arms), "arms": _legend(comparison, trained)},
        "num_seeds": max(len(arm.seed_errors) for arm in arms),
        "setup": _setup(comparison),
        "settings": text.flatten(comparison.settings),
        "error_text": error_text,
        **parts_with_figures({name: figure for name, figure in drawn.items() if figure}),
    }
    return environment().get_template("open_loop.html.jinja").render(content)


def _legend(
    comparison: OpenLoopComparison, arms: Sequence[OpenLoopArm]
) -> list[dict[str, str | bool]]:
    styles = looks(comparison)
    return [
        {
            "group": arm.arm,
            "label": arm.arm,
            "colour": styles[arm.arm].colour,
            "hollow": arm.kind != STRATEGY,
        }
        for arm in arms
    ]


def _setup(comparison: OpenLoopComparison) -> dict[str, str]:
    data = comparison.dataset
    rows = {
        "demonstrations": f"{text.counted(data.num_episodes, 'episode')}, "
        f"{text.counted(data.num_steps, 'step')}, {data.path}",
        "held out": f"{text.counted(comparison.num_held_out, 'episode')}, of which "
        f"{text.counted(comparison.num_steps, 'step')} were predicted from",
        "fingerprint": data.fingerprint,
        "cameras": ", ".join(data.cameras),
        "preset": comparison.preset,
    }
    return rows | made_with(comparison.machine)
