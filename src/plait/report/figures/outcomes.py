"""How the episodes of each arm ended, as stacked bars."""

from collections.abc import Mapping, Sequence

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
from plait.report.style import (
    ArmStyle,
    NamedArm,
    arm_styles,
    in_groups,
    outcome_colours,
    outcome_order,
)
from plait.results import Comparison


def outcomes(comparison: Comparison) -> Figure:
    """Show how the episodes of each arm ended, as stacked bars."""
    arms = in_groups(comparison)
    counts = [arm.outcomes for arm in arms]
    return outcome_bars(arms, counts, outcome_order(comparison), arm_styles(comparison))


def outcome_bars(
    arms: Sequence[NamedArm],
    counts_of: Sequence[Mapping[str, int]],
    names: Sequence[str],
    styles: Mapping[str, ArmStyle],
) -> Figure:
    """Show how episodes ended as stacked bars, one a row.

    Args:
        arms: The rows, from the top down.
        counts_of: How often each outcome occurred, of every row.
        names: All outcomes, in the order in which they are stacked.
        styles: Look of every arm.
    """
    rows, colours = rows_of(arms), outcome_colours(names)
    totals = [max(sum(counts.values()), 1) for counts in counts_of]
    data: list[Json] = []
    for name in names:
        counts = [found.get(name, 0) for found in counts_of]
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
