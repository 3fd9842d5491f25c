"""One page that holds everything: text, figures, pictures, and the script that draws them.

Nothing is loaded from anywhere; the page's own content policy forbids it. It says nothing of the
time or the place where it was written: the same results give the same bytes.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from plait.errors import DataError
from plait.report import diagnostics, figures, markup, rollouts, text, views
from plait.report.conclusions import conclude
from plait.report.starts import starts
from plait.report.style import (
    arm_styles,
    controls,
    in_groups,
    outcome_colours,
    outcome_order,
    strategies,
)
from plait.results import RETRIEVAL, Comparison, RunResult, load_result, write_text_atomically

RESULT_FILE = "result.json"
TEMPLATES = "templates"
FILTERS = (
    text.percent,
    text.interval,
    text.points,
    text.scaled,
    text.milliseconds,
    text.duration,
    text.significant,
    text.words,
    text.counted,
    markup.breakable,
)


def write_report(results_file: Path, output: Path) -> Path:
    """Write the page of a comparison.

    Args:
        results_file: The comparison's `results.json`; the folders of its runs are beside it.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If a result or a picture it names is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    comparison = load_result(results_file, Comparison)
    if not comparison.arms:
        raise DataError(results_file, "no arms", "at least one arm that was evaluated")
    folders = [results_file.parent / folder for folder in comparison.runs]
    runs = [(_load_run(folder, results_file), folder) for folder in folders]
    write_text_atomically(output, render(comparison, runs))
    return output


def render(comparison: Comparison, runs: Sequence[tuple[RunResult, Path]]) -> str:
    """Return the page as HTML.

    Args:
        comparison: With at least one arm.
        runs: Every run, and the folder its pictures are in.

    Raises:
        DataError: If a picture is missing or unreadable.
    """
    template = environment().get_template("page.html.jinja")
    return template.render(_content(comparison, runs))


def environment() -> Environment:
    """Return what the templates of all pages are rendered with."""
    made = Environment(
        loader=PackageLoader("plait.report", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {function.__name__: function for function in FILTERS}
    return made


def _load_run(folder: Path, results_file: Path) -> RunResult:
    path = folder / RESULT_FILE
    if not path.exists():
        raise DataError(
            path,
            "no such file",
            f"the result of a run that {results_file} names",
            "Copy the whole folder of the comparison, or run it again in the same folder",
        )
    return load_result(path, RunResult)


def _content(comparison: Comparison, runs: Sequence[tuple[RunResult, Path]]) -> dict[str, Any]:
    results, names = [run for run, _ in runs], [arm.arm for arm in in_groups(comparison)]
    outcomes = outcome_order(comparison)
    drawn = {
        "ranking": figures.ranking(comparison),
        "outcomes": figures.outcomes(comparison),
        "curves": figures.learning_curves(in_groups(comparison), arm_styles(comparison), results),
        "cost": figures.cost(comparison),
        "starts": figures.starts(comparison),
    }
    return {
        "comparison": comparison,
        "conclusions": [markup.with_names(sentence, names) for sentence in conclude(comparison)],
        "arms": in_groups(comparison),
        "strategies": strategies(comparison),
        "controls": controls(comparison),
        "styles": arm_styles(comparison),
        "chance": views.chance_of(in_groups(comparison)),
        "num_scenes": views.scenes(comparison),
        "num_seeds": max(len(arm.seed_rates) for arm in comparison.arms),
        "tasks": views.task_names(comparison),
        "groupings": views.group_tables(comparison),
        "outcomes": outcomes,
        "outcome_colours": outcome_colours(outcomes),
        "matrix": views.matrix(comparison),
        "starts": starts(comparison),
        "num_fusions": len({arm.fusion for arm in strategies(comparison)} - {RETRIEVAL}),
        "against_controls": views.against_controls(comparison),
        "bars": diagnostics.gather_bars(results, names),
        "heat_maps": diagnostics.gather_heat_maps(runs),
        "rollouts": rollouts.load_rollouts(runs),
        "setup": views.setup(comparison),
        "settings": text.flatten(comparison.settings),
        "legends": _legends(comparison),
        **parts_with_figures({name: figure for name, figure in drawn.items() if figure}),
    }


def parts_with_figures(drawn: Mapping[str, figures.Figure]) -> dict[str, Any]:
    """Return what every page needs to show figures: their data, and what draws them."""
    return {
        "figures": drawn,
        "figure_data": {name: figure.as_json() for name, figure in drawn.items()},
        "style": style_sheet(),
        "script": _source("theme.js"),
        "plotly": Markup(get_plotlyjs()),
    }


def style_sheet() -> Markup:
    """Return the style sheet of all pages."""
    return _source("style.css")


def _legends(comparison: Comparison) -> dict[str, list[dict[str, str | bool]]]:
    """Return the entries of every legend: what each switches, its label and its mark."""
    styles, names = arm_styles(comparison), outcome_order(comparison)
    colours = outcome_colours(names)
    arms: list[dict[str, str | bool]] = [
        {
            "group": arm.arm,
            "label": arm.arm,
            "colour": styles[arm.arm].colour,
            "hollow": arm.control is not None,
        }
        for arm in in_groups(comparison)
    ]
    ends: list[dict[str, str | bool]] = [
        {"group": name, "label": text.words(name), "colour": colours[name], "hollow": False}
        for name in names
    ]
    return {"arms": arms, "strategies": arms[: len(strategies(comparison))], "outcomes": ends}


def _source(name: str) -> Markup:
    """Return a style sheet or script of this package as it is."""
    return Markup(resources.files("plait.report").joinpath(TEMPLATES, name).read_text("utf-8"))
