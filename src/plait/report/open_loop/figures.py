"""The figures of a comparison on demonstrations: error by arm, and error by step of the horizon."""

from collections.abc import Mapping, Sequence

from plait.report.figures.base import (
    INK,
    MUTED,
    ROOMY_MARGIN_PX,
    TIGHT_MARGIN_PX,
    Figure,
    Json,
    dot_with_interval,
    layout_of,
    name_axis,
    name_labels,
    plain_axis,
    rows_of,
)
from plait.report.markup import plotly_text
from plait.report.open_loop.conclusions import error_text, of_kind
from plait.report.style import ArmStyle, styles_of
from plait.results.open_loop import BASELINE, CONTROL, STRATEGY, OpenLoopArm, OpenLoopComparison

BASELINE_DASHES = ("dot", "dash", "dashdot")
HORIZON_HEIGHT_PX = 400


def in_order(comparison: OpenLoopComparison) -> list[OpenLoopArm]:
    """Return the strategies, smallest error first, then the controls and the baselines."""
    return [arm for kind in (STRATEGY, CONTROL, BASELINE) for arm in of_kind(comparison.arms, kind)]


def looks(comparison: OpenLoopComparison) -> dict[str, ArmStyle]:
    """Give every arm its look; baselines are grey lines."""
    baselines = of_kind(comparison.arms, BASELINE)
    trained = [arm for arm in comparison.arms if arm.kind != BASELINE]
    grey = {
        arm.arm: ArmStyle(
            colour=MUTED, symbol="x", dash=BASELINE_DASHES[index % len(BASELINE_DASHES)]
        )
        for index, arm in enumerate(sorted(baselines, key=lambda arm: arm.arm))
    }
    return styles_of(trained) | grey


def error_figure(comparison: OpenLoopComparison) -> Figure:
    """Show the error of every arm with its interval, and each training seed."""
    arms, styles = in_order(comparison), looks(comparison)
    rows = rows_of(arms)
    data = [_dot(arm, row, styles[arm.arm]) for arm, row in zip(arms, rows, strict=True)]
    data += [
        _seeds(arm, row, styles[arm.arm])
        for arm, row in zip(arms, rows, strict=True)
        if len(arm.seed_errors) > 1
    ]
    largest = max(arm.error.high for arm in arms)

    def placed(margin_px: int) -> list[Json]:
        return name_labels(arms, rows, styles, margin_px=margin_px)

    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": ROOMY_MARGIN_PX, "r": 150, "t": 12, "b": 48},
            xaxis=plain_axis(title="error [standard deviations]", range=[0, 1.05 * largest]),
            yaxis=name_axis(rows),
            annotations=[*placed(ROOMY_MARGIN_PX), *_numbers(arms, rows)],
        ),
        narrow={
            "margin": {"l": TIGHT_MARGIN_PX, "r": 24, "t": 12, "b": 48},
            "annotations": placed(TIGHT_MARGIN_PX),
        },
        height=int(34 * (rows[-1] + 1)) + 80,
        summary="Held-out action error and 95% interval of each arm; the table holds the numbers.",
    )


def _dot(arm: OpenLoopArm, row: float, style: ArmStyle) -> Json:
    error = arm.error
    return dot_with_interval(
        *(error.value, error.low, error.high),
        row,
        style.colour,
        f"<b>{plotly_text(arm.arm)}</b><br>{error_text(error)}",
        is_open=arm.kind != STRATEGY,
    )


def _seeds(arm: OpenLoopArm, row: float, style: ArmStyle) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(arm.seed_errors),
        "y": [row + 0.28] * len(arm.seed_errors),
        "marker": {"symbol": "line-ns-open", "size": 7, "color": style.colour},
        "hoverinfo": "skip",
    }


def _numbers(arms: Sequence[OpenLoopArm], rows: Sequence[float]) -> list[Json]:
    return [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 8,
            "y": row,
            "text": error_text(arm.error),
            "showarrow": False,
            "font": {"size": 12, "color": INK},
        }
        for arm, row in zip(arms, rows, strict=True)
    ]


def horizon_figure(comparison: OpenLoopComparison) -> Figure | None:
    """Show the error by how far ahead an action lies; None where chunks have a single step."""
    arms, styles = in_order(comparison), looks(comparison)
    if max(len(arm.per_step) for arm in arms) < 2:
        return None
    data = [trace for arm in reversed(arms) for trace in _line(arm, comparison.fps, styles)]
    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": 64, "r": 24, "t": 12, "b": 48},
            xaxis=plain_axis(title="time ahead [s]", rangemode="tozero", showgrid=False),
            yaxis=plain_axis(title="error [standard deviations]", rangemode="tozero"),
        ),
        narrow={"margin": {"l": 54, "r": 8, "t": 12, "b": 44}},
        height=HORIZON_HEIGHT_PX,
        summary="Held-out action error of each arm by how far ahead the action lies.",
    )


def _line(arm: OpenLoopArm, fps: float, styles: Mapping[str, ArmStyle]) -> list[Json]:
    style, name = styles[arm.arm], plotly_text(arm.arm)
    times = [step / fps for step in range(len(arm.per_step))]
    band: Json = {
        "type": "scatter",
        "mode": "lines",
        "x": [*times, *reversed(times)],
        "y": [*(e.high for e in arm.per_step), *(e.low for e in reversed(arm.per_step))],
        "fill": "toself",
        "fillcolor": style.colour,
        "opacity": 0.12,
        "line": {"width": 0},
        "hoverinfo": "skip",
        "legendgroup": arm.arm,
    }
    line: Json = {
        "type": "scatter",
        "mode": "lines",
        "x": times,
        "y": [error.value for error in arm.per_step],
        "line": {"width": 2.2, "color": style.colour, "dash": style.dash},
        "hovertext": [
            f"<b>{name}</b><br>{time:.2f} s ahead: {error_text(error)}"
            for time, error in zip(times, arm.per_step, strict=True)
        ],
        "hoverinfo": "text",
        "legendgroup": arm.arm,
    }
    return [band, line]
