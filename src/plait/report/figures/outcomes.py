"""How the episodes of each arm ended, as stacked bars."""

from plait.report import text
from plait.report.figures.base import (
    ROOMY_MARGIN_PX,
    SURFACE,
    TIGHT_MARGIN_PX,
    Figure,
    Json,
    layout_of,
    name_axis,
    name_labels,
    rows_of,
    share_axis,
)
from plait.report.markup import plotly_text
from plait.report.style import arm_styles, in_groups, outcome_colours, outcome_order
from plait.results import Comparison


def outcomes(comparison: Comparison) -> Figure:
    """Show how the episodes of each arm ended, as stacked bars."""
    arms, names = in_groups(comparison), outcome_order(comparison)
    rows, styles, colours = rows_of(arms), arm_styles(comparison), outcome_colours(names)
    totals = [max(sum(arm.outcomes.values()), 1) for arm in arms]
    data: list[Json] = []
    for name in names:
        counts = [arm.outcomes.get(name, 0) for arm in arms]
        shares = [count / total for count, total in zip(counts, totals, strict=True)]
        label = plotly_text(text.words(name))
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": shares,
                "y": rows,
                "width": 0.62,
                "legendgroup": name,
                "marker": {"color": colours[name], "line": {"color": SURFACE, "width": 1.5}},
                "text": [f"{100 * share:.0f}%" if share > 0 else "" for share in shares],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "textfont": {"color": colours[name].replace(")", "-ink)"), "size": 12},
                "hovertext": [
                    f"<b>{plotly_text(arm.arm)}</b><br>{label}: {count} of {total}"
                    for arm, count, total in zip(arms, counts, totals, strict=True)
                ],
                "hoverinfo": "text",
            }
        )
    return Figure(
        data=data,
        layout=layout_of(
            barmode="stack",
            uniformtext={"minsize": 11, "mode": "hide"},
            margin={"l": ROOMY_MARGIN_PX, "r": 22, "t": 6, "b": 30},
            xaxis=share_axis(),
            yaxis=name_axis(rows),
            annotations=name_labels(arms, rows, styles, margin_px=ROOMY_MARGIN_PX),
        ),
        narrow={
            "margin": {"l": TIGHT_MARGIN_PX, "r": 24, "t": 6, "b": 30},
            "annotations": name_labels(arms, rows, styles, margin_px=TIGHT_MARGIN_PX),
        },
        height=int(36 * (rows[-1] + 1)) + 44,
        summary="Share of the episodes of each arm that ended in each way.",
    )
