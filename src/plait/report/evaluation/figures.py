"""The figures of an evaluation: success by task and by group, each beside its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plait.report import text
from plait.report.evaluation.reading import controls, group_of, own, rates_in
from plait.report.figures.base import (
    ROOMY_MARGIN_PX,
    SURFACE,
    Figure,
    Json,
    layout_of,
    name_axis,
    name_labels,
    share_axis,
)
from plait.report.markup import plotly_text
from plait.report.style import (
    CONTROL_COLOUR,
    CONTROL_SYMBOLS,
    NUM_COLOURS,
    SYMBOLS,
    ArmStyle,
)
from plait.results import Rate
from plait.results.evaluation import EvaluationResult

# Names such as `button-press-topdown-wall-v3` want more room than those of strategies.
WIDE_MARGIN_PX, NARROW_MARGIN_PX = 248, 196
ROW_PX, GROUP_ROW_PX = 22, 44
OFFSET = 0.12
UNGROUPED = ""


@dataclass(frozen=True)
class _Row:
    """A line of a figure, under the name that labels ask for."""

    arm: str
    control: None = None


def evaluation_figures(result: EvaluationResult) -> dict[str, Figure]:
    """Return success by task, and by every kind of group."""
    figures = {"tasks": task_figure(result)}
    for grouping in own(result).groups:
        figures[f"groups-{slug(grouping.kind)}"] = group_figure(result, grouping.kind)
    return figures


def slug(kind: str) -> str:
    """Return a kind of group as part of a name in the page."""
    return kind.replace(" ", "-")


def sorted_tasks(result: EvaluationResult) -> list[str]:
    """Sort tasks by the order of their groups, and by success within each."""
    groups, rates = group_of(own(result)), own(result).per_task
    order = list(dict.fromkeys(groups.values()))
    place = {name: index for index, name in enumerate(order)}
    return sorted(
        rates, key=lambda task: (place.get(groups.get(task, ""), len(order)), -rates[task].rate)
    )


def group_colours(result: EvaluationResult) -> dict[str, ArmStyle]:
    """Give every group of the first kind its look; tasks of none have the first one's."""
    names = list(dict.fromkeys(group_of(own(result)).values())) or [UNGROUPED]
    return {
        name: ArmStyle(
            colour=f"var(--arm-{index % NUM_COLOURS})",
            symbol=SYMBOLS[index % len(SYMBOLS)],
            dash="solid",
        )
        for index, name in enumerate(names)
    }


def task_figure(result: EvaluationResult) -> Figure:
    """Show every task's success with its interval, coloured by group, with the controls beside."""
    tasks, groups, colours = sorted_tasks(result), group_of(own(result)), group_colours(result)
    first = next(iter(colours))
    rows = {task: float(row) for row, task in enumerate(tasks)}
    data = [_controls(result, condition, rows) for condition in range(1, len(result.conditions))]
    for name, style in colours.items():
        members = [task for task in tasks if groups.get(task, first) == name]
        rates = {task: own(result).per_task[task] for task in members}
        data.append(_dots(rates, rows, style, legend=name))
    styles = {task: colours[groups.get(task, first)] for task in tasks}
    return _figure(data, tasks, list(rows.values()), styles, ROW_PX, "Success of every task")


def group_figure(result: EvaluationResult, kind: str) -> Figure:
    """Show success by the groups of a kind, with that of the controls below each."""
    rates = rates_in(own(result), kind)
    rows = {name: float(row) for row, name in enumerate(rates)}
    is_first = own(result).groups[0].kind == kind
    colours = group_colours(result)
    plain = ArmStyle(colour="var(--arm-0)", symbol=SYMBOLS[0], dash="solid")
    styles = {name: colours[name] if is_first else plain for name in rates}
    data: list[Json] = []
    for name, rate in rates.items():
        data.append(_dots({name: rate}, rows, styles[name], shift=-OFFSET * len(controls(result))))
    for index, condition in enumerate(controls(result)):
        style = control_style(index)
        found = rates_in(condition, kind)
        shift = OFFSET * (2 * (index + 1) - len(controls(result)))
        data.append(_dots(found, rows, style, shift=shift, is_open=True, who=condition.name))
    height = GROUP_ROW_PX if controls(result) else 1.3 * ROW_PX
    return _figure(data, list(rates), list(rows.values()), styles, height, f"Success by {kind}")


def control_style(index: int) -> ArmStyle:
    """Return the look of a control; its marks are drawn hollow."""
    symbol = CONTROL_SYMBOLS[index % len(CONTROL_SYMBOLS)].removesuffix("-open")
    return ArmStyle(colour=CONTROL_COLOUR, symbol=symbol, dash="dot")


def _controls(result: EvaluationResult, condition: int, rows: Mapping[str, float]) -> Json:
    """Mark a control's rates without intervals: there is no room for three in a row."""
    found = result.conditions[condition]
    style = control_style(condition - 1)
    trace = _dots(found.per_task, rows, style, is_open=True, who=found.name, legend=found.name)
    return {key: value for key, value in trace.items() if key != "error_x"}


def _dots(
    rates: Mapping[str, Rate],
    rows: Mapping[str, float],
    style: ArmStyle,
    *,
    shift: float = 0.0,
    is_open: bool = False,
    who: str = "",
    legend: str = "",
) -> Json:
    """Draw rates and their intervals as one trace."""
    values = list(rates.values())
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [rate.rate for rate in values],
        "y": [rows[name] + shift for name in rates],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [rate.high - rate.rate for rate in values],
            "arrayminus": [rate.rate - rate.low for rate in values],
            "thickness": 1.5 if is_open else 2.5,
            "width": 0,
            "color": style.colour,
        },
        "marker": {
            "color": SURFACE if is_open else style.colour,
            "symbol": style.symbol,
            "size": 8 if is_open else 10,
            "line": {"color": style.colour, "width": 1.5},
        },
        "legendgroup": legend,
        "hovertext": [_hover(name, rate, who) for name, rate in rates.items()],
        "hoverinfo": "text",
    }


def _hover(name: str, rate: Rate, who: str) -> str:
    above = f"<b>{plotly_text(text.words(name))}</b>" + (f"<br>{plotly_text(who)}" if who else "")
    counted = f"{rate.successes} of {rate.trials} episodes"
    return f"{above}<br>{text.rate_with_interval(rate)}<br>{counted}"


def _figure(
    data: Sequence[Json],
    names: Sequence[str],
    rows: Sequence[float],
    styles: Mapping[str, ArmStyle],
    row_px: int | float,
    what: str,
) -> Figure:
    lines = [_Row(text.words(name)) for name in names]
    looks = {text.words(name): styles[name] for name in names}
    margins = {True: WIDE_MARGIN_PX, False: NARROW_MARGIN_PX}
    if max(map(len, names)) < 20:
        margins = {True: ROOMY_MARGIN_PX, False: NARROW_MARGIN_PX - 60}
    wide, narrow = (
        {
            "margin": {"l": margin, "r": 24, "t": 10, "b": 34},
            "annotations": name_labels(lines, rows, looks, margin_px=margin),
        }
        for margin in margins.values()
    )
    return Figure(
        data=data,
        layout=layout_of(xaxis=share_axis(), yaxis=name_axis(rows), **wide),
        narrow=narrow,
        height=int(row_px * (rows[-1] + 1)) + 60,
        summary=f"{what}, with 95% intervals. The table below holds the numbers.",
    )
