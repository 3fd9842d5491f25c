"""What the figures have in common: axes, rows of arms, the line of chance.

Colours are CSS variables, which the page's script replaces by the values of the present theme.
Positions on the axes are numbers and names are tick labels, so that no name can mean anything to
Plotly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from plait.report import text
from plait.results import ArmSummary

INK, MUTED, GRID, AXIS, SURFACE = (
    f"var(--{name})" for name in ("ink", "muted", "grid", "axis", "surface")
)
Json = dict[str, Any]


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


def rows_of(arms: Sequence[ArmSummary]) -> list[float]:
    """Place arms from the top down, with a gap before the controls."""
    rows: list[float] = []
    for index, arm in enumerate(arms):
        is_first_control = index > 0 and arm.control is not None and arms[index - 1].control is None
        rows.append((rows[-1] + 1 + 0.5 * is_first_control) if rows else 0.0)
    return rows


def name_axis(arms: Sequence[ArmSummary], rows: Sequence[float], *, is_narrow: bool) -> Json:
    names = []
    for arm in arms:
        name = text.plotly_text(arm.arm)
        if is_narrow:
            name = name.replace(", ", ",<br>", 1)
        names.append(f"<span style='color:{MUTED}'>{name}</span>" if arm.control else name)
    return {
        "range": [rows[-1] + 0.6, -0.6],
        "tickvals": list(rows),
        "ticktext": names,
        "tickfont": {"size": 12 if is_narrow else 13, "color": INK},
        "ticks": "",
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
        "ticklabelstandoff": 8,
    }


def share_axis() -> Json:
    return plain_axis(range=[-0.012, 1.012], tickformat=".0%", dtick=0.25)


def plain_axis(*, title: str = "", **options: Any) -> Json:
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


def chance_label(chance: float) -> Json:
    return {
        "x": chance,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "text": f"chance {text.percent(chance)}",
        "showarrow": False,
        "font": {"size": 12, "color": MUTED},
    }


def layout_of(**options: Any) -> Json:
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
