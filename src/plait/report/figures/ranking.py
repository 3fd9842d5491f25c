"""Success per arm: a dot and its interval, chance, every training seed, unseen combinations."""

from collections.abc import Sequence
from statistics import fmean

from plait.report import text
from plait.report.figures.base import (
    INK,
    MUTED,
    ROOMY_MARGIN_PX,
    TIGHT_MARGIN_PX,
    Figure,
    Json,
    chance_label,
    chance_line,
    dot_with_interval,
    layout_of,
    name_axis,
    name_labels,
    rows_of,
    share_axis,
)
from plait.report.markup import plotly_text
from plait.report.style import ArmStyle, arm_styles, in_groups
from plait.results import ArmSummary, Comparison, Rate


def ranking(comparison: Comparison) -> Figure:
    """Show success with its interval per arm, chance, each training seed and unseen combinations.

    Args:
        comparison: With at least one arm.
    """
    arms, styles = in_groups(comparison), arm_styles(comparison)
    rows = rows_of(arms)
    data: list[Json] = []
    for arm, row in zip(arms, rows, strict=True):
        style, offset = styles[arm.arm], 0.0
        if arm.holdout is not None:
            offset = 0.16
            data.append(_interval(arm, arm.holdout, row + offset, style, is_holdout=True))
        if len(arm.seed_rates) > 1:
            data.append(_seed_ticks(arm, row - offset, style))
        data.append(_interval(arm, arm.success, row - offset, style, is_holdout=False))
    chance = fmean(arm.chance for arm in arms)
    label = [chance_label(chance)] if chance else []
    layout = layout_of(
        margin={"l": ROOMY_MARGIN_PX, "r": 170, "t": 28, "b": 34},
        xaxis=share_axis(),
        yaxis=name_axis(rows),
        shapes=[chance_line(chance)] if chance else [],
        annotations=[
            *label,
            *name_labels(arms, rows, styles, margin_px=ROOMY_MARGIN_PX),
            *_number_labels(arms, rows),
        ],
    )
    narrow = {
        "margin": {"l": TIGHT_MARGIN_PX, "r": 24, "t": 28, "b": 34},
        "annotations": [
            *label,
            *name_labels(arms, rows, styles, margin_px=TIGHT_MARGIN_PX),
        ],
    }
    row_height = 46 if any(arm.holdout for arm in arms) else 38
    return Figure(
        data=data,
        layout=layout,
        narrow=narrow,
        height=int(row_height * (rows[-1] + 1)) + 70,
        summary="Success rate and 95% interval of each arm"
        + (f", with chance at {text.percent(chance)}" if chance else "")
        + ". The table below holds the numbers.",
    )


def _interval(
    arm: ArmSummary, rate: Rate, row: float, style: ArmStyle, *, is_holdout: bool
) -> Json:
    what = "unseen combinations" if is_holdout else "success"
    return dot_with_interval(
        *(rate.rate, rate.low, rate.high),
        row,
        style.colour,
        f"<b>{plotly_text(arm.arm)}</b><br>{what} {text.rate_with_interval(rate)}"
        f"<br>{rate.successes} of {rate.trials} episodes",
        is_open=is_holdout or arm.control is not None,
        is_small=is_holdout,
    )


def _seed_ticks(arm: ArmSummary, row: float, style: ArmStyle) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(arm.seed_rates),
        "y": [row] * len(arm.seed_rates),
        "marker": {
            "symbol": "line-ns",
            "size": 13,
            "line": {"color": style.colour, "width": 1.5},
        },
        "hovertext": [
            f"<b>{plotly_text(arm.arm)}</b><br>training seed {index + 1} of "
            f"{len(arm.seed_rates)}: {text.percent(rate)}"
            for index, rate in enumerate(arm.seed_rates)
        ],
        "hoverinfo": "text",
    }


def _number_labels(arms: Sequence[ArmSummary], rows: Sequence[float]) -> list[Json]:
    """Write rates and intervals in two columns to the right of the figure."""
    labels = []
    for arm, row in zip(arms, rows, strict=True):
        place = {"x": 1, "xref": "paper", "y": row, "showarrow": False}
        rate, interval = text.percent(arm.success.rate), text.interval(arm.success)
        labels.append(
            {
                **place,
                "xanchor": "right",
                "xshift": 66,
                "text": f"<b>{rate}</b>",
                "font": {"size": 13, "color": MUTED if arm.control else INK},
            }
        )
        labels.append(
            {
                **place,
                "xanchor": "left",
                "xshift": 72,
                "text": interval,
                "font": {"size": 13, "color": MUTED},
            }
        )
    return labels
