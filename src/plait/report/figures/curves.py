"""Learning curves: the mean over the training seeds, and each seed as a thin line."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from statistics import fmean
from typing import Protocol, runtime_checkable

from plait.report.figures.base import (
    INK,
    Figure,
    Json,
    layout_of,
    plain_axis,
)
from plait.report.markup import plotly_text
from plait.report.style import ArmStyle, NamedArm
from plait.results import CurvePoint

HEIGHT_PX = 400
LABEL_PX = 15
MOST_PUSHES = 200
# The loss axis is logarithmic from this ratio of the largest to the smallest loss.
LOG_FROM_RATIO = 6


@runtime_checkable
class TrainedArm(Protocol):
    """What is drawn of a run: the name of its arm, and its curve."""

    @property
    def arm(self) -> str: ...  # noqa: D102

    @property
    def curve(self) -> tuple[CurvePoint, ...]: ...  # noqa: D102


def learning_curves(
    arms: Sequence[NamedArm], styles: Mapping[str, ArmStyle], runs: Sequence[TrainedArm]
) -> Figure | None:
    """Show the loss per arm: the mean over training seeds, and each seed as a thin line.

    Args:
        arms: Strategies, best first, and then the controls.
        styles: Their looks.
        runs: All runs.

    Returns:
        None where no run has a curve.
    """
    has_validation = any(p.validation_loss is not None for run in runs for p in run.curve)
    data: list[Json] = []
    for arm in reversed(arms):
        curves = [
            _losses(run.curve, has_validation=has_validation) for run in runs if run.arm == arm.arm
        ]
        data += _arm_curves(arm, [curve for curve in curves if curve], styles)
    if not data:
        return None
    low, high, is_log = _range([loss for trace in data for loss in trace["y"]])
    name = "validation loss" if has_validation else "training loss"
    ticks = _ticks(low, high) if is_log else {}
    scale = (log10(low), log10(high)) if is_log else (low, high)
    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": 64, "r": 210, "t": 12, "b": 48},
            xaxis=plain_axis(title="optimiser step", rangemode="tozero", showgrid=False),
            yaxis=plain_axis(
                title=f"{name}, log scale" if is_log else name,
                type="log" if is_log else "linear",
                range=list(scale),
                **ticks,
            ),
            annotations=_end_labels(data, scale, is_log=is_log),
        ),
        narrow={"margin": {"l": 54, "r": 8, "t": 12, "b": 44}, "annotations": []},
        height=HEIGHT_PX,
        summary=f"{name.capitalize()} of each arm over the training steps.",
    )


def _range(losses: Sequence[float]) -> tuple[float, float, bool]:
    """Return the ends of the loss axis, and whether it is logarithmic."""
    low, high = min(losses), max(losses)
    if low > 0 and high > LOG_FROM_RATIO * low:
        return low / 1.15, high * 1.15, True
    room = 0.05 * (high - min(low, 0.0)) or 1.0
    return min(low, 0.0), high + room, False


def _ticks(low: float, high: float) -> Json:
    """Put ticks at 1, 2 and 5 times the powers of ten."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    shown = [value for value in values if low <= value <= high]
    return {"tickvals": shown, "ticktext": [f"{value:g}" for value in shown]}


def _end_labels(data: Sequence[Json], scale: tuple[float, float], *, is_log: bool) -> list[Json]:
    """Name the curves at their ends, moved apart so that no two names overlap."""
    low, high = scale
    height_px = HEIGHT_PX - 60
    means = [trace for trace in data if "name" in trace]
    ends = [log10(trace["y"][-1]) if is_log else trace["y"][-1] for trace in means]
    above_px = [height_px * (end - low) / (high - low) for end in ends]
    placed_px = _apart(above_px)
    return [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 8,
            "y": ends[index],
            "yshift": placed_px[index] - above_px[index],
            "text": f"<span style='color:{means[index]['line']['color']}'>●</span> "
            f"{means[index]['name']}",
            "name": means[index]["legendgroup"],
            "showarrow": False,
            "font": {"size": 12, "color": INK},
        }
        for index in range(len(means))
    ]


def _apart(positions: Sequence[float]) -> list[float]:
    """Push positions apart until neighbours are a label's height apart, moving each little."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed = [positions[index] for index in order]
    for _ in range(MOST_PUSHES):
        placed[:1] = [max(first, 0.0) for first in placed[:1]]
        for lower in range(len(placed) - 1):
            overlap = LABEL_PX - (placed[lower + 1] - placed[lower])
            if overlap > 0:
                placed[lower] -= overlap / 2
                placed[lower + 1] += overlap / 2
    return [place for _, place in sorted(zip(order, placed, strict=True))]


def _losses(curve: Sequence[CurvePoint], *, has_validation: bool) -> dict[int, float]:
    if not has_validation:
        return {point.step: point.train_loss for point in curve}
    return {p.step: p.validation_loss for p in curve if p.validation_loss is not None}


def _arm_curves(
    arm: NamedArm, curves: Sequence[Mapping[int, float]], styles: Mapping[str, ArmStyle]
) -> list[Json]:
    if not curves:
        return []
    style, name = styles[arm.arm], plotly_text(arm.arm)
    common = {
        "type": "scatter",
        "mode": "lines+markers" if min(map(len, curves)) == 1 else "lines",
        "legendgroup": arm.arm,
    }
    thin: Json = {"width": 1, "color": style.colour, "dash": style.dash}
    seeds = [
        {**common, "x": list(c), "y": list(c.values()), "line": thin, "opacity": 0.4}
        | {"hoverinfo": "skip"}
        for c in curves
        if len(curves) > 1
    ]
    # Runs may stop at different steps: average where all of them have a value.
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    means = [fmean(curve[step] for curve in curves) for step in steps]
    mean = {
        **common,
        "name": name,
        "x": steps,
        "y": means,
        "line": {"width": 2.2, "color": style.colour, "dash": style.dash},
        "marker": {"color": style.colour},
        "hovertext": [
            f"<b>{name}</b><br>step {step}: {value:.4g}"
            for step, value in zip(steps, means, strict=True)
        ],
        "hoverinfo": "text",
    }
    return [*seeds, mean]
