"""Success against the share of the demonstrations, with and without aligned towers."""

import math

from plait.report import text
from plait.report.figures.base import Figure, Json, chance_line, layout_of, plain_axis
from plait.report.markup import plotly_text
from plait.report.starts import has_starts, share_of_data, trained
from plait.report.style import CONTROL_COLOUR, NUM_COLOURS, strategies
from plait.results import NO_INIT, ArmSummary, Comparison

HEIGHT_PX = 380
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def starts(comparison: Comparison) -> Figure | None:
    """Draw a line for every strategy and start; None where all arms learned from the same.

    Args:
        comparison: With at least one arm.
    """
    if not has_starts(comparison):
        return None
    arms = strategies(comparison)
    shares = sorted({arm.train_fraction for arm in arms})
    fusions = sorted({trained(arm) for arm in arms})
    inits = sorted({arm.init for arm in arms}, key=lambda init: (init != NO_INIT, init))
    data: list[Json] = []
    for fusion in fusions:
        for init in inits:
            group = [arm for arm in arms if (trained(arm), arm.init) == (fusion, init)]
            if group:
                colour = f"var(--arm-{fusions.index(fusion) % NUM_COLOURS})"
                dash = DASHES[inits.index(init) % len(DASHES)]
                # Beside one another, so that intervals do not hide one another.
                shift = 1 + 0.02 * (len(data) - 1)
                data.append(_line(group, colour, dash, shift))
    chance = sum(arm.chance for arm in arms) / len(arms)
    ticks = {"tickvals": [math.log10(s) for s in shares], "ticktext": [f"{s:.0%}" for s in shares]}
    layout = layout_of(
        margin={"l": 56, "r": 24, "t": 20, "b": 56},
        xaxis=plain_axis(title="share of the demonstrations", **ticks),
        yaxis=plain_axis(title="success", range=[-0.02, 1.02], tickformat=".0%", dtick=0.25),
        shapes=[chance_line(chance, is_horizontal=True) | {"line": _dotted()}] if chance else [],
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return Figure(
        data=data,
        layout=layout,
        height=HEIGHT_PX,
        summary="Success with its 95% interval against the share of the demonstrations, with and "
        "without aligned towers. The table below holds the numbers.",
    )


def _dotted() -> Json:
    return {"color": CONTROL_COLOUR, "width": 1.5, "dash": "dot"}


def _line(group: list[ArmSummary], colour: str, dash: str, shift: float) -> Json:
    group = sorted(group, key=lambda arm: arm.train_fraction)
    start = "" if group[0].init == NO_INIT else f", {group[0].init}"
    rates = [arm.success for arm in group]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plotly_text(f"{trained(group[0])}{start}"),
        "x": [math.log10(arm.train_fraction * shift) for arm in group],
        "y": [rate.rate for rate in rates],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [rate.high - rate.rate for rate in rates],
            "arrayminus": [rate.rate - rate.low for rate in rates],
            "thickness": 1.5,
            "width": 0,
            "color": colour,
        },
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"color": colour, "size": 8},
        "hovertext": [
            f"<b>{plotly_text(arm.arm)}</b><br>{share_of_data(arm.train_fraction)}"
            f"<br>success {text.rate_with_interval(arm.success)}"
            for arm in group
        ],
        "hoverinfo": "text",
    }
