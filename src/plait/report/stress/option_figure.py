"""Every condition a line between the policies that met it: who keeps what, and where."""

from collections.abc import Sequence

from plait.report import text
from plait.report.figures.base import INK, MUTED, Figure, Json, layout_of, plain_axis, share_axis
from plait.report.markup import plotly_text
from plait.report.stress.options import MEASURES, shown_name
from plait.report.style import NUM_COLOURS, SYMBOLS
from plait.results.options import Effect, Option, OptionComparison
from plait.results.stress import CLOSED

ROW_PX = 22


def option_figure(found: OptionComparison) -> Figure:
    """Show performance under every condition, a mark an option."""
    rows = range(len(found.options[0].conditions))
    labels = [plotly_text(each.name) for each in found.options[0].conditions]
    is_success = found.loop == CLOSED
    axis = share_axis() if is_success else plain_axis(tickformat=".0%")
    names = plain_axis(range=[len(rows) - 0.4, -0.6], tickvals=list(rows), ticktext=labels)
    return Figure(
        data=[_marks(found, index) for index in range(len(found.options))],
        layout=layout_of(
            xaxis={**axis, "title": {"text": MEASURES[found.loop], "font": {"size": 12}}},
            yaxis={**names, "showgrid": False},
            shapes=[_line(found.options, row) for row in rows],
            margin={"l": 170, "r": 24, "t": 8, "b": 48},
        ),
        narrow={"margin": {"l": 130, "r": 16, "t": 8, "b": 48}},
        height=64 + ROW_PX * len(rows),
        summary=f"{MEASURES[found.loop].capitalize()} of every training option under every "
        "condition, averaged over severities.",
    )


def option_legend(found: OptionComparison) -> list[dict[str, str | bool]]:
    """Return the entries that switch options on and off."""
    return [
        {
            "group": option.name,
            "label": shown_name(option, found),
            "colour": _colour(index),
            "hollow": index == 0,
        }
        for index, option in enumerate(found.options)
    ]


def _colour(index: int) -> str:
    return INK if index == 0 else f"var(--arm-{(index - 1) % NUM_COLOURS})"


def _line(options: Sequence[Option], row: int) -> Json:
    values = [each.conditions[row].value for each in options]
    return {
        "type": "line",
        "layer": "below",
        "x0": min(values),
        "x1": max(values),
        "y0": row,
        "y1": row,
        "line": {"color": MUTED, "width": 1.5},
    }


def _marks(found: OptionComparison, index: int) -> Json:
    option = found.options[index]
    symbol = "circle-open" if index == 0 else SYMBOLS[(index - 1) % len(SYMBOLS)]
    name = shown_name(option, found)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plotly_text(name),
        "legendgroup": option.name,
        "x": [each.value for each in option.conditions],
        "y": list(range(len(option.conditions))),
        "marker": {"symbol": symbol, "color": _colour(index), "size": 9, "line": {"width": 2}},
        "hovertext": [_hover(name, each, is_own=index == 0) for each in option.conditions],
        "hoverinfo": "text",
        "cliponaxis": False,
    }


def _hover(name: str, effect: Effect, *, is_own: bool) -> str:
    start = (
        f"<b>{plotly_text(name)}</b>, {plotly_text(effect.name)}<br>{text.percent(effect.value)}"
    )
    if is_own:
        return start
    ends = f"{text.points(effect.low)} to {text.points(effect.high)}"
    return f"{start}, {text.points(effect.change)} points ({ends})"
