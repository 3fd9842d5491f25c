"""The figures of a stress test: severity curves, listening, contributions."""

from collections.abc import Sequence

from plait.report import text
from plait.report.figures.base import (
    INK,
    MUTED,
    Figure,
    Json,
    chance_label,
    chance_line,
    layout_of,
    plain_axis,
    share_axis,
)
from plait.report.markup import plotly_text
from plait.report.stress.bars import contribution_bars
from plait.report.stress.breakdown import breakdown_figure, breakdown_key
from plait.report.stress.reading import (
    MEASURES,
    clean_of,
    corruptions,
    in_order,
    interval_text,
    severities,
    value_text,
)
from plait.report.style import DASHES, NUM_COLOURS, SYMBOLS
from plait.results import Rate
from plait.results.stress import CLOSED, Contribution, Listening, Loop, Score, StressResult

# Points of one severity are set a little apart, so that their intervals are seen.
SPREAD = 0.22


def stress_figures(result: StressResult) -> dict[str, Figure]:
    """Return all figures that there are numbers for, by name."""
    figures: dict[str, Figure] = {}
    for loop in (result.closed, result.open):
        if loop is None:
            continue
        for modality, found in corruptions(loop).items():
            drawn = {name: s for name, s in found.items() if any(x.value is not None for x in s)}
            if drawn:
                figures[f"{loop.loop}-curves-{modality}"] = _curves(loop, modality, drawn)
        if loop.contributions:
            figures[f"{loop.loop}-contributions"] = _bars(
                in_order(loop.contributions), _gain_title(loop), is_share=loop.loop == CLOSED
            )
        for each in loop.breakdowns:
            if each.groups:
                figures[breakdown_key(loop, each)] = breakdown_figure(loop, each)
        if loop.perceptual:
            figures[f"{loop.loop}-perceptual"] = _bars(
                in_order(loop.perceptual), "perceptual score", is_share=True
            )
    if result.listening is not None:
        figures["listening"] = _listening(result.listening)
    return figures


def _gain_title(loop: Loop) -> str:
    return "share of success" if loop.loop == CLOSED else "action error saved"


def curve_legend(loop: Loop, modality: str) -> list[dict[str, str | bool]]:
    """Return the entries that switch the curves of a modality on and off."""
    found = corruptions(loop).get(modality, {})
    return [
        {"group": name, "label": name, "colour": _colour(index), "hollow": False}
        for index, (name, scores) in enumerate(found.items())
        if any(score.value is not None for score in scores)
    ]


def _colour(index: int) -> str:
    return f"var(--arm-{index % NUM_COLOURS})"


def _curves(loop: Loop, modality: str, found: dict[str, list[Score]]) -> Figure:
    clean, names = clean_of(loop), list(corruptions(loop)[modality])
    data = []
    for name, scores in found.items():
        index = names.index(name)
        offset = SPREAD * ((index + 0.5) / len(names) - 0.5)
        points = [clean, *(score for score in scores if score.value is not None)]
        data.append(_curve(loop, name, points, index, offset))
    highest = max(severities(loop))
    is_success = loop.loop == CLOSED
    axis = share_axis() if is_success else plain_axis(rangemode="tozero")
    axis["title"] = {"text": MEASURES[loop.loop], "font": {"size": 12, "color": MUTED}}
    return Figure(
        data=data,
        layout=layout_of(
            xaxis=plain_axis(
                title="severity",
                range=[-0.3, highest + 0.3],
                tickvals=[0, *severities(loop)],
                ticktext=["clean", *map(str, severities(loop))],
            ),
            yaxis=axis,
            margin={"l": 60, "r": 16, "t": 12, "b": 44},
        ),
        height=330,
        summary=f"{MEASURES[loop.loop].capitalize()} by severity of each corruption of "
        f"{modality}, with 95% intervals. The table above holds the numbers.",
    )


def _curve(loop: Loop, name: str, points: Sequence[Score], index: int, offset: float) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plotly_text(name),
        "legendgroup": name,
        "x": [score.condition.severity + offset for score in points],
        "y": [score.value for score in points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [max(score.high - (score.value or 0), 0.0) for score in points],
            "arrayminus": [max((score.value or 0) - score.low, 0.0) for score in points],
            "color": _colour(index),
            "thickness": 1,
            "width": 0,
        },
        "line": {"color": _colour(index), "width": 2, "dash": DASHES[index % len(DASHES)]},
        "marker": {"symbol": SYMBOLS[index % len(SYMBOLS)], "color": _colour(index), "size": 8},
        "hovertext": [
            f"<b>{plotly_text(name)}</b>, severity {score.condition.severity}<br>"
            f"{value_text(score, loop)} ({interval_text(score.low, score.high, loop)})"
            for score in points
        ],
        "hoverinfo": "text",
    }


def _listening(found: Listening) -> Figure:
    bars: list[tuple[str, Rate, str]] = [
        ("told the scene's own: does it", found.told_its_own, "var(--outcome-3)"),
        ("told another: does that", found.instructed, "var(--success)"),
        ("told another: does the scene's own", found.original, "var(--outcome-1)"),
        ("told another: does neither", found.neither, "var(--outcome-4)"),
    ]
    rows = list(range(len(bars)))
    trace: Json = {
        "type": "bar",
        "orientation": "h",
        "x": [rate.rate for _, rate, _ in bars],
        "y": rows,
        "width": 0.6,
        "marker": {"color": [colour for *_, colour in bars]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [rate.high - rate.rate for _, rate, _ in bars],
            "arrayminus": [rate.rate - rate.low for _, rate, _ in bars],
            "color": INK,
            "thickness": 1.5,
            "width": 0,
        },
        "hovertext": [
            f"{plotly_text(name)}<br>{text.rate_with_interval(rate)}, {rate.successes} of "
            f"{rate.trials}"
            for name, rate, _ in bars
        ],
        "hoverinfo": "text",
    }
    labels = [name for name, *_ in bars]
    return Figure(
        data=[trace],
        layout=layout_of(
            xaxis=share_axis(),
            yaxis=plain_axis(
                range=[len(rows) - 0.5, -0.5], tickvals=rows, ticktext=labels, showgrid=False
            ),
            shapes=[chance_line(found.chance)],
            annotations=[chance_label(found.chance)],
            margin={"l": 230, "r": 24, "t": 28, "b": 34},
        ),
        narrow={
            "yaxis": plain_axis(
                range=[len(rows) - 0.5, -0.5],
                tickvals=rows,
                ticktext=[label.replace(": ", ":<br>") for label in labels],
                showgrid=False,
            ),
            "margin": {"l": 130, "r": 24, "t": 28, "b": 34},
        },
        height=70 + 44 * len(rows),
        summary="How often the policy does what it is told, the scene's own task, and neither.",
    )


def _bars(found: Sequence[Contribution], title: str, *, is_share: bool) -> Figure:
    rows = list(range(len(found)))
    written = [text.percent(c.value) if is_share else f"{c.value:.3f}" for c in found]
    hover = [
        f"{plotly_text(each.modality)}: {value}" for each, value in zip(found, written, strict=True)
    ]
    trace = contribution_bars(found, rows, hover, width=0.6)
    return Figure(
        data=[trace],
        layout=layout_of(
            xaxis=plain_axis(
                title=title, zeroline=True, zerolinecolor=MUTED, **_as_share(is_share=is_share)
            ),
            yaxis=plain_axis(
                range=[len(rows) - 0.5, -0.5],
                tickvals=rows,
                ticktext=[
                    f"{plotly_text(each.modality)}  {value}"
                    for each, value in zip(found, written, strict=True)
                ],
                showgrid=False,
            ),
            margin={"l": 150, "r": 24, "t": 8, "b": 48},
        ),
        height=70 + 40 * len(rows),
        summary=f"{title.capitalize()} of each modality, with 95% intervals.",
    )


def _as_share(*, is_share: bool) -> Json:
    return {"tickformat": ".0%"} if is_share else {}
