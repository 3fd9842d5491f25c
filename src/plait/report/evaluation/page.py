"""One page that holds everything of an evaluation; see `plait.report.page` for its rules."""

from pathlib import Path
from typing import Any

from plait.report import media, text
from plait.report.evaluation.conclusions import conclude_evaluation
from plait.report.evaluation.figures import (
    control_style,
    evaluation_figures,
    group_colours,
    slug,
    sorted_tasks,
)
from plait.report.evaluation.reading import (
    controls,
    group_of,
    loss,
    own,
    rates_in,
)
from plait.report.page import environment, parts_with_figures
from plait.report.style import CONTROL_COLOUR
from plait.report.views import made_with
from plait.results import Grouping, Rate, load_result, write_text_atomically
from plait.results.evaluation import (
    ControlComparison,
    EvaluationResult,
    seeds_ending_otherwise,
)


def write_evaluation_report(results_file: Path, output: Path) -> Path:
    """Write the page of an evaluation.

    Args:
        results_file: Its `results.json`; its films are beside it.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If the result or a film is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    result = load_result(results_file, EvaluationResult)
    write_text_atomically(output, render_evaluation(result, results_file.parent))
    return output


def render_evaluation(result: EvaluationResult, folder: Path) -> str:
    """Return the page as HTML.

    Args:
        result: With at least one episode.
        folder: Where its films are.

    Raises:
        DataError: If a film is missing or unreadable.
    """
    content: dict[str, Any] = {
        "result": result,
        "own": own(result),
        "controls": controls(result),
        "conclusions": conclude_evaluation(result),
        "groupings": [_grouping(result, each) for each in own(result).groups],
        "tasks": _task_rows(result),
        "legend_entries": _legend(result),
        "comparisons": [_comparison(result, each) for each in result.comparisons],
        "films": _films(result, folder),
        "num_otherwise": len(_ending_otherwise(result)),
        "setup": _setup(result),
        "settings": text.flatten(result.settings),
        **parts_with_figures(evaluation_figures(result)),
    }
    return environment().get_template("evaluation.html.jinja").render(content)


def _legend(result: EvaluationResult) -> list[dict[str, Any]]:
    """Return the groups that tasks are coloured by, and the controls."""
    groups = [
        {"group": name, "label": text.words(name), "colour": style.colour, "hollow": False}
        for name, style in group_colours(result).items()
        if name
    ]
    hidden = [
        {
            "group": each.name,
            "label": f"{each.name} ({control_style(index).symbol}s)",
            "colour": CONTROL_COLOUR,
            "hollow": True,
        }
        for index, each in enumerate(controls(result))
    ]
    return groups + hidden


def _task_rows(result: EvaluationResult) -> list[dict[str, Any]]:
    groups = group_of(own(result))
    return [
        {
            "name": text.words(task),
            "group": text.words(groups.get(task, "")),
            **_rate(own(result).per_task[task]),
            "controls": [text.percent(each.per_task[task].rate) for each in controls(result)],
        }
        for task in sorted_tasks(result)
    ]


def _grouping(result: EvaluationResult, grouping: Grouping) -> dict[str, Any]:
    beside = [rates_in(condition, grouping.kind) for condition in controls(result)]
    hidden = [each for c in controls(result) for each in c.groups if each.kind == grouping.kind]
    return {
        "kind": grouping.kind,
        "figure": f"groups-{slug(grouping.kind)}",
        "rows": [
            {
                "name": text.words(group.name),
                "tasks": ", ".join(text.words(task) for task in group.tasks),
                "num_tasks": len(group.tasks),
                **_rate(group.success),
                "controls": [text.percent(rates[group.name].rate) for rates in beside],
            }
            for group in grouping.groups
        ],
        "has_all": grouping.together.trials == own(result).success.trials,
        "together": _rate(grouping.together),
        "mean": text.percent(grouping.mean.value),
        "mean_interval": text.interval(grouping.mean),
        "together_controls": [text.percent(each.together.rate) for each in hidden],
        "mean_controls": [text.percent(each.mean.value) for each in hidden],
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "success": text.percent(rate.rate),
        "interval": text.interval(rate),
        "episodes": f"{rate.successes} of {rate.trials}",
    }


def _comparison(result: EvaluationResult, comparison: ControlComparison) -> dict[str, Any]:
    value, low, high = loss(result, comparison)
    is_own_first = comparison.pair.first == own(result).name
    counts = (comparison.pair.first_only, comparison.pair.second_only)
    alone, other = counts if is_own_first else counts[::-1]
    return {
        "hidden": text.words(comparison.control),
        "where": comparison.kind or "all",
        "change": text.points(-value),
        "interval": f"{text.points(-high)} to {text.points(-low)}",
        "alone": alone,
        "other": other,
        "p_value": text.p_value(comparison.pair.p_value),
        "differs": comparison.pair.differs,
    }


def _films(result: EvaluationResult, folder: Path) -> list[dict[str, Any]]:
    """Read the films, failures first, of scenes that end in them as they did in the evaluation."""
    otherwise = _ending_otherwise(result)
    return [
        {
            "picture": media.load_moving(folder, film.file),
            "task": text.words(film.task),
            "instruction": film.instruction,
            "outcome": text.words(film.outcome),
            "success": film.success,
            "seed": film.seed,
        }
        for film in sorted(result.pictures, key=lambda film: film.success)
        if film.seed not in otherwise
    ]


def _ending_otherwise(result: EvaluationResult) -> list[int]:
    return seeds_ending_otherwise(result.conditions[0].episodes, result.pictures)


def _setup(result: EvaluationResult) -> dict[str, str]:
    first, number = result.first_seed, result.num_scenes
    rows = {
        "policy": result.policy,
        "environment": result.env,
        "scenes": f"{number:,}, of the seeds {first} to {first + number - 1}",
        "steps before the next look": str(result.execution_horizon),
        "computing time": f"{text.duration(result.total_seconds)}, added up over processes",
        "processes of the last call": str(result.num_processes),
        "processor": result.machine.processor,
    }
    return rows | made_with(result.machine)
