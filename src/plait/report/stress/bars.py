"""Bars of what modalities contribute, the same in every figure of the page."""

from collections.abc import Sequence

from plait.report.figures.base import INK, Json
from plait.report.stress.reading import MODALITY_COLOURS
from plait.results.stress import Contribution


def contribution_bars(
    found: Sequence[Contribution],
    rows: Sequence[int | float],
    hover: Sequence[str],
    *,
    width: float,
) -> Json:
    """Draw each contribution with its interval, in its modality's colour.

    Args:
        found: What is drawn.
        rows: Where each stands.
        hover: What each says when pointed at.
        width: Of a bar in rows.
    """
    return {
        "type": "bar",
        "orientation": "h",
        "x": [each.value for each in found],
        "y": list(rows),
        "width": width,
        "marker": {"color": [MODALITY_COLOURS.get(c.modality, "var(--arm-4)") for c in found]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [max(each.high - each.value, 0.0) for each in found],
            "arrayminus": [max(each.value - each.low, 0.0) for each in found],
            "color": INK,
            "thickness": 1.5,
            "width": 0,
        },
        "hovertext": list(hover),
        "hoverinfo": "text",
    }
