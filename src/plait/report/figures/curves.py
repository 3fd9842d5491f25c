"""Learning curves: the mean over the training seeds, and each seed as a thin line."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from plait.report import text
from plait.report.figures.base import (
    Figure,
    Json,
    layout_of,
    plain_axis,
)
from plait.report.style import ArmStyle, arm_styles, in_groups
from plait.results import ArmSummary, Comparison, CurvePoint, RunResult


def learning_curves(comparison: Comparison, runs: Sequence[RunResult]) -> Figure | None:
    """Show the loss per arm: the mean over training seeds, and each seed as a thin line.

    Args:
        comparison: For the arms and their looks.
        runs: All runs.

    Returns:
        None where no run has a curve.
    """
    has_validation = any(p.validation_loss is not None for run in runs for p in run.curve)
    data: list[Json] = []
    for arm in reversed(in_groups(comparison)):
        curves = [
            _losses(run.curve, has_validation=has_validation) for run in runs if run.arm == arm.arm
        ]
        data += _arm_curves(arm, [curve for curve in curves if curve], arm_styles(comparison))
    if not data:
        return None
    losses = [loss for trace in data for loss in trace["y"] if loss > 0]
    is_log = bool(losses) and max(losses) > 6 * min(losses)
    name = "validation loss" if has_validation else "training loss"
    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": 64, "r": 16, "t": 12, "b": 48},
            xaxis=plain_axis(title="optimiser step", rangemode="tozero", showgrid=False),
            yaxis=plain_axis(
                title=f"{name}, log scale" if is_log else name, type="log" if is_log else "linear"
            ),
        ),
        narrow={"margin": {"l": 54, "r": 8, "t": 12, "b": 44}},
        height=400,
        summary=f"{name.capitalize()} of each arm over the training steps.",
    )


def _losses(curve: Sequence[CurvePoint], *, has_validation: bool) -> dict[int, float]:
    if not has_validation:
        return {point.step: point.train_loss for point in curve}
    return {p.step: p.validation_loss for p in curve if p.validation_loss is not None}


def _arm_curves(
    arm: ArmSummary, curves: Sequence[Mapping[int, float]], styles: Mapping[str, ArmStyle]
) -> list[Json]:
    if not curves:
        return []
    style, name = styles[arm.arm], text.plotly_text(arm.arm)
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
