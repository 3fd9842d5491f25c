"""What success costs: each strategy by its latency, success and size."""

from collections.abc import Sequence
from statistics import fmean

from plait.report import text
from plait.report.figures.base import (
    INK,
    SURFACE,
    Figure,
    Json,
    chance_line,
    layout_of,
    plain_axis,
)
from plait.report.style import ArmStyle, arm_styles, strategies
from plait.results import ArmSummary, Comparison


def cost(comparison: Comparison) -> Figure | None:
    """Show success against latency; the area of a marker is the number of parameters.

    Returns:
        None where there is no strategy; controls cost what their strategy costs and are left out.
    """
    arms, styles = strategies(comparison), arm_styles(comparison)
    if not arms:
        return None
    latencies = [arm.cost.latency_ms_median for arm in arms]
    largest = max(max(arm.cost.num_parameters for arm in arms), 1)
    data = [_cost_marker(arm, styles[arm.arm], largest) for arm in arms]
    upper = 1.12 * max(*latencies, 1e-6)
    chance = fmean(arm.chance for arm in arms)
    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": 64, "r": 16, "t": 16, "b": 50},
            xaxis=plain_axis(title="median latency of one prediction (ms)", range=[0, upper]),
            yaxis=plain_axis(title="success", range=[-0.02, 1.02], tickformat=".0%", dtick=0.25),
            shapes=[chance_line(chance, is_horizontal=True)],
            annotations=_point_labels(arms, upper),
        ),
        narrow={"margin": {"l": 54, "r": 8, "t": 12, "b": 46}, "annotations": []},
        height=400,
        summary="Success of each strategy against its latency; the table below holds the numbers.",
    )


def _cost_marker(arm: ArmSummary, style: ArmStyle, largest: int) -> Json:
    rate, price = arm.success, arm.cost
    return {
        "type": "scatter",
        "mode": "markers",
        "legendgroup": arm.arm,
        "x": [price.latency_ms_median],
        "y": [rate.rate],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [rate.high - rate.rate],
            "arrayminus": [rate.rate - rate.low],
            "thickness": 1.5,
            "width": 0,
            "color": style.colour,
        },
        "marker": {
            "symbol": style.symbol,
            "size": 20 * (price.num_parameters / largest) ** 0.5,
            "color": style.colour,
            "opacity": 1,
            "line": {"color": SURFACE, "width": 1.5},
        },
        "hovertext": [
            f"<b>{text.plotly_text(arm.arm)}</b><br>{text.rate_with_interval(rate)}"
            f"<br>{text.milliseconds(price.latency_ms_median)} a prediction"
            f"<br>{text.scaled(price.num_parameters)} parameters"
        ],
        "hoverinfo": "text",
    }


def _point_labels(arms: Sequence[ArmSummary], upper: float) -> list[Json]:
    """Label points of the cost figure, beside them where there is room, else above or below."""
    # Widths in shares of a figure of about 900 × 330 px.
    placed: list[tuple[float, float, float]] = []
    labels = []
    for arm in arms:
        x, y = arm.cost.latency_ms_median / upper, arm.success.rate
        width = (7 * len(arm.arm) + 16) / 900
        places = {
            "left": (x + 0.015 + width / 2, y, 14, 0),
            "right": (x - 0.015 - width / 2, y, -14, 0),
            "center": (x, y + 0.09, 0, -20),
        }
        anchor = next(
            (
                name
                for name, (cx, cy, _, _) in places.items()
                if width / 2 < cx < 1 - width / 2
                and all(
                    abs(cx - px) > (width + pw) / 2 or abs(cy - py) > 0.055 for px, py, pw in placed
                )
                and not any(
                    abs(cx - other.cost.latency_ms_median / upper) < width / 2 + 0.01
                    and other.success.low - 0.03 < cy < other.success.high + 0.03
                    for other in arms
                    if other is not arm
                )
            ),
            "",
        )
        if not anchor:
            continue
        cx, cy, shift_x, shift_y = places[anchor]
        placed.append((cx, cy, width))
        labels.append(
            {
                "x": arm.cost.latency_ms_median,
                "y": y,
                "xanchor": anchor,
                "xshift": shift_x,
                "yshift": -shift_y,
                "text": text.plotly_text(arm.arm),
                "showarrow": False,
                "font": {"size": 12, "color": INK},
            }
        )
    return labels
