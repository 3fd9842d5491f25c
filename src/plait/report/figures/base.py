"""What the figures have in common: axes, rows of arms, the line of chance.

Colours are CSS variables, which the page's script replaces by the values of the present theme.
Positions on the axes are numbers and names are tick labels, so that no name can mean anything to
Plotly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plait.report import text
from plait.report.markup import plotly_text
from plait.report.style import ArmStyle, NamedArm

INK, MUTED, GRID, AXIS, SURFACE = (
    f"var(--{name})" for name in ("ink", "muted", "grid", "axis", "surface")
)
Json = dict[str, Any]
# Left margins for the names of arms, on wide and on narrow screens.
ROOMY_MARGIN_PX = 200
TIGHT_MARGIN_PX = 136
# About what the mark before a name and a character of it take.
MARK_PX, CHARACTER_PX = 24, 7.5


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure and what the page needs to place it.

    Attributes:
        data: Plotly traces; those with a `legendgroup` can be switched off by the legend.
        layout: Plotly layout.
        narrow: Layout entries that replace those of `layout` below 600 px.
        height: Height in CSS pixels.
        summary: What it shows, for those who do not see it.
    """

    data: Sequence[Json]
    layout: Json
    narrow: Json = field(default_factory=dict)
    height: int
    summary: str

    def as_json(self) -> Json:
        """Return what the page's script reads."""
        return {"data": list(self.data), "layout": self.layout, "narrow": self.narrow}


def rows_of(arms: Sequence[NamedArm]) -> list[float]:
    """Place arms from the top down, with a gap before the controls."""
    rows: list[float] = []
    for index, arm in enumerate(arms):
        is_first_control = index > 0 and arm.control is not None and arms[index - 1].control is None
        rows.append((rows[-1] + 1 + 0.5 * is_first_control) if rows else 0.0)
    return rows


def name_axis(rows: Sequence[float]) -> Json:
    """Return an axis with room for the rows; their names are annotations."""
    return {
        "range": [rows[-1] + 0.6, -0.6],
        "visible": False,
        "fixedrange": True,
    }


def name_labels(
    arms: Sequence[NamedArm],
    rows: Sequence[float],
    styles: Mapping[str, ArmStyle],
    *,
    margin_px: int,
) -> list[Json]:
    """Write names and marks at the left edge of the page; in two lines where there is no room."""
    labels = []
    for arm, row in zip(arms, rows, strict=True):
        name = plotly_text(arm.arm)
        if margin_px < MARK_PX + CHARACTER_PX * len(arm.arm):
            name = name.replace(", ", ",<br>   ", 1)
        mark = "○" if arm.control else "●"
        labels.append(
            {
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "xshift": -margin_px,
                "y": row,
                "align": "left",
                "text": f"<span style='color:{styles[arm.arm].colour}'>{mark}</span> {name}",
                "showarrow": False,
                "font": {
                    "size": 14 if margin_px >= ROOMY_MARGIN_PX else 12,
                    "color": MUTED if arm.control else INK,
                },
            }
        )
    return labels


def dot_with_interval(
    value: float,
    low: float,
    high: float,
    row: float,
    colour: str,
    hover: str,
    *,
    is_open: bool = False,
    is_small: bool = False,
) -> Json:
    """Draw a value and its interval in a row; open where something was hidden or not seen."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [value],
        "y": [row],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [high - value],
            "arrayminus": [value - low],
            "thickness": 1.5 if is_small else 3,
            "width": 0,
            "color": colour,
        },
        "marker": {
            "color": SURFACE if is_open else colour,
            "symbol": "circle",
            "size": 8 if is_small else 11,
            "line": {"color": colour, "width": 2},
        },
        "hovertext": [hover],
        "hoverinfo": "text",
    }


def share_axis() -> Json:
    """Return an axis from 0 to 100 %."""
    return plain_axis(range=[-0.012, 1.012], tickformat=".0%", dtick=0.25)


def plain_axis(*, title: str = "", **options: Any) -> Json:
    """Return a quiet axis that cannot be dragged, so that touching it scrolls the page."""
    return {
        "title": {"text": title, "font": {"size": 12, "color": MUTED}, "standoff": 10},
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": AXIS,
        "tickfont": {"size": 12, "color": MUTED},
        "fixedrange": True,
        **options,
    }


def chance_line(chance: float, *, is_horizontal: bool = False) -> Json:
    """Draw chance across the figure."""
    across, along = ("y", "x") if is_horizontal else ("x", "y")
    return {
        "type": "line",
        "layer": "below",
        f"{along}ref": "paper",
        f"{along}0": 0,
        f"{along}1": 1,
        f"{across}0": chance,
        f"{across}1": chance,
        "line": {"color": MUTED, "width": 1.5, "dash": "dot"},
    }


def chance_label(chance: float, name: str = "chance") -> Json:
    """Name the line of chance above the figure."""
    return {
        "x": chance,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "text": f"{name} {text.percent(chance)}",
        "showarrow": False,
        "font": {"size": 12, "color": MUTED},
    }


def layout_of(**options: Any) -> Json:
    """Return a layout on a transparent ground, in the fonts and colours of the page."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 13, "color": INK},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "hoverlabel": {
            "bgcolor": SURFACE,
            "bordercolor": AXIS,
            "align": "left",
            "font": {"family": "var(--sans)", "size": 13, "color": INK},
        },
        **options,
    }
