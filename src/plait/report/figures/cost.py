"""What success costs: each strategy by its latency, success and size."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from plait.report.markup import plotly_text
from plait.report.style import ArmStyle, arm_styles, strategies
from plait.results import ArmSummary, Comparison

# What the labels are laid out for; the figure may be somewhat wider or narrower.
FIGURE_PX = (900, 330)
TEXT_HEIGHT = 15 / FIGURE_PX[1]


@dataclass(frozen=True)
class _Box:
    """A rectangle by its middle and size, in shares of the figure."""

    x: float
    y: float
    width: float
    height: float

    def is_inside(self) -> bool:
        return self.width / 2 <= self.x <= 1 - self.width / 2 and 0 <= self.y <= 1

    def overlaps(self, other: "_Box") -> bool:
        return (
            abs(self.x - other.x) < (self.width + other.width) / 2
            and abs(self.y - other.y) < (self.height + other.height) / 2
        )


def cost(comparison: Comparison) -> Figure | None:
    """Show success against latency; the area of a marker is the number of parameters.

    Returns:
        None where there is no strategy; controls cost what their strategy costs and are left out.
    """
    arms, styles = strategies(comparison), arm_styles(comparison)
    if not arms:
        return None
    latencies = [arm.cost.latency_ms_median for arm in arms]
    largest = max(*(arm.cost.num_parameters for arm in arms), 1)
    data = [_cost_marker(arm, styles[arm.arm], largest) for arm in arms]
    upper = 1.12 * max(*latencies, 1e-6)
    chance = fmean(arm.chance for arm in arms)
    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": 64, "r": 16, "t": 16, "b": 50},
            xaxis=plain_axis(title="median latency of one prediction (ms)", range=[0, upper]),
            yaxis=plain_axis(title="success", range=[-0.02, 1.02], tickformat=".0%", dtick=0.25),
            shapes=[chance_line(chance, is_horizontal=True)] if chance else [],
            annotations=_point_labels(arms, upper, chance),
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
            "thickness": 2,
            "width": 0,
            "color": style.colour,
        },
        "marker": {
            "symbol": style.symbol,
            "size": 17 * (price.num_parameters / largest) ** 0.5,
            "color": style.colour,
            "opacity": 1,
            "line": {"color": SURFACE, "width": 1},
        },
        "hovertext": [
            f"<b>{plotly_text(arm.arm)}</b><br>{text.rate_with_interval(rate)}"
            f"<br>{text.milliseconds(price.latency_ms_median)} a prediction"
            f"<br>{text.scaled(price.num_parameters)} parameters"
        ],
        "hoverinfo": "text",
    }


def _point_labels(arms: Sequence[ArmSummary], upper: float, chance: float) -> list[Json]:
    """Name the points where there is room beside, above or below; the legend names the others."""
    taken = [_Box(0.5, chance, 1.0, 0.02)]
    for arm in arms:
        height = arm.success.high - arm.success.low
        middle = (arm.success.high + arm.success.low) / 2
        taken.append(_Box(arm.cost.latency_ms_median / upper, middle, 0.02, height))
    labels = []
    for arm in arms:
        x, y = arm.cost.latency_ms_median / upper, arm.success.rate
        width = (7 * len(arm.arm) + 4) / FIGURE_PX[0]
        places = {
            ("left", 14, 0): _Box(x + 0.016 + width / 2, y, width, TEXT_HEIGHT),
            ("right", -14, 0): _Box(x - 0.016 - width / 2, y, width, TEXT_HEIGHT),
            ("left", 10, 18): _Box(x + 0.012 + width / 2, y + 0.055, width, TEXT_HEIGHT),
            ("left", 10, -18): _Box(x + 0.012 + width / 2, y - 0.055, width, TEXT_HEIGHT),
            ("right", -10, 18): _Box(x - 0.012 - width / 2, y + 0.055, width, TEXT_HEIGHT),
        }
        for (anchor, shift_x, shift_y), box in places.items():
            if box.is_inside() and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                labels.append(
                    {
                        "x": arm.cost.latency_ms_median,
                        "y": y,
                        "xanchor": anchor,
                        "xshift": shift_x,
                        "yshift": shift_y,
                        "text": plotly_text(arm.arm),
                        "name": arm.arm,
                        "showarrow": False,
                        "font": {"size": 12, "color": INK},
                    }
                )
                break
    return labels
