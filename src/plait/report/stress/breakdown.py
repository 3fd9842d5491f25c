"""Contributions by task and by phase: the figure, and what stands out in it."""

from collections.abc import Sequence

from plait.report import text
from plait.report.figures.base import INK, MUTED, Figure, Json, layout_of, plain_axis
from plait.report.markup import plotly_text
from plait.report.stress.bars import contribution_bars
from plait.report.stress.reading import (
    in_order,
    number_text,
    signed_text,
)
from plait.results.stress import CLOSED, OPEN, Breakdown, Contribution, ContributionGroup, Loop

ROW_PX, HEADING_PX = 24, 54
LONGEST_NAME = 60
MORE, LESS = "▲", "▼"
NUM_DEPARTURES = 3
TITLES = {
    "task": "By task",
    "phase": "By phase of the episode",
    "sub-goal": "By how far the scene got",
}
MEANINGS = {
    "task": "",
    "phase": "Approach: until shortly before the gripper first closes. Grasp: around that, a tenth "
    "of the episode to either side (1 step to 1 s). Place: all that follows. Where no gripper "
    "closes, an episode is divided into thirds. A step counts with all that was predicted at it.",
    "sub-goal": "Scenes in which something is to be grasped. Reached: the named object was "
    "touched; grasped: it was held off the table; finished: the task was done. Each includes "
    "those that follow.",
}


def breakdown_key(loop: Loop, breakdown: Breakdown) -> str:
    """Return the name of the figure."""
    return f"{loop.loop}-contributions-{breakdown.by}"


def breakdown_sentences(loop: Loop, breakdown: Breakdown) -> list[str]:
    """Say who contributes most where, and what differs between groups, as far as is known."""
    if not breakdown.groups:
        return [breakdown.note] if breakdown.note else []
    where = "" if loop.loop == CLOSED else ", on demonstrations"
    return [f"By {breakdown.by}{where}: {_leaders(breakdown)}. {_departures(loop, breakdown)}"]


def _leaders(breakdown: Breakdown) -> str:
    by_leader: dict[str, list[str]] = {}
    for group in breakdown.groups:
        by_leader.setdefault(group.leader, []).append(group.name)
    untold = by_leader.pop("", [])
    if not by_leader:
        return "intervals do not tell which modality contributes most to any"
    if not untold and len(by_leader) == 1:
        return f"{next(iter(by_leader))} contributes most to each"
    (first, names), *others = by_leader.items()
    parts = [f"{first} contributes most to {text.listing(names)}"]
    parts += [f"{leader} to {text.listing(names)}" for leader, names in others]
    if untold:
        parts.append(f"intervals do not tell which does to {text.listing(untold)}")
    return "; ".join(parts)


def _departures(loop: Loop, breakdown: Breakdown) -> str:
    told = [
        (group.name, each)
        for group in breakdown.groups
        for each in group.departures
        if _is_told(each)
    ]
    others = f"the average over the other {breakdown.by}s"
    if not told:
        return f"No contribution is told from {others}."
    told.sort(key=lambda pair: -abs(pair[1].value))
    parts = [
        f"{each.modality} in {name} by {signed_text(each.value, loop)} "
        f"({signed_text(each.low, loop)} to {signed_text(each.high, loop)})"
        for name, each in told[:NUM_DEPARTURES]
    ]
    unit = " points" if loop.loop == CLOSED else ""
    number = f"; intervals tell {len(told)} in all" if len(told) > len(parts) else ""
    return f"Farthest from {others}: {text.listing(parts)}{unit}{number}."


def _is_told(each: Contribution) -> bool:
    return each.low > 0 or each.high < 0


def perceptual_rows(breakdown: Breakdown) -> list[list[str]]:
    """Return a table of perceptual scores, a heading first; empty where there are none."""
    shown = [group for group in breakdown.groups if group.perceptual]
    if not shown:
        return []
    modalities = [each.modality for each in in_order(shown[0].perceptual)]
    rows = [[breakdown.by, *modalities]]
    for group in shown:
        rows.append(
            [group.name, *(_share(each) for each in in_order(group.perceptual))],
        )
    return rows


def _share(each: Contribution) -> str:
    value, low, high = (
        f"{100 * x:.0f}".replace("-", text.MINUS) for x in (each.value, each.low, each.high)
    )
    return f"{value}% ({low} to {high})"


def breakdown_figure(loop: Loop, breakdown: Breakdown) -> Figure:
    """Draw a block of bars for each group, all on one axis."""
    modalities = [each.modality for each in in_order(breakdown.groups[0].contributions)]
    num_rows = len(modalities)
    bars: list[tuple[float, Contribution, str]] = []
    headings: list[Json] = []
    place = 0.0
    gap = HEADING_PX / ROW_PX
    for group in breakdown.groups:
        headings.append(_heading(loop, group, place + 0.35 * gap))
        for row, each in enumerate(in_order(group.contributions)):
            bars.append((place + gap + row, each, _label(loop, group, each)))
        place += gap + num_rows
    rows = [row for row, *_ in bars]
    return Figure(
        data=[_bars(loop, bars)],
        layout=layout_of(
            xaxis=plain_axis(
                title="share of scenes" if loop.loop == CLOSED else "action error saved",
                showgrid=False,
                zeroline=True,
                zerolinecolor=MUTED,
                **({"tickformat": ".0%"} if loop.loop == CLOSED else {}),
            ),
            yaxis=plain_axis(
                range=[place - 0.4, 0.1],
                tickvals=rows,
                ticktext=[label for *_, label in bars],
                showgrid=False,
                showline=False,
            ),
            annotations=headings,
            margin={"l": 150, "r": 24, "t": 4, "b": 48},
        ),
        height=round(place * ROW_PX) + 52,
        summary=f"What each modality contributes by {breakdown.by}, with 95% intervals.",
    )


def _bars(loop: Loop, bars: Sequence[tuple[float, Contribution, str]]) -> Json:
    found = [each for _, each, _ in bars]
    hover = [
        f"{plotly_text(each.modality)}: {number_text(each.value, loop)} "
        f"({number_text(each.low, loop)} to {number_text(each.high, loop)})"
        for each in found
    ]
    return contribution_bars(found, [row for row, *_ in bars], hover, width=0.7)


def _label(loop: Loop, group: ContributionGroup, each: Contribution) -> str:
    """Write name and value; with a mark where intervals tell it from the other groups."""
    departure = next((d for d in group.departures if d.modality == each.modality), None)
    mark = ""
    if departure is not None and _is_told(departure):
        mark = f" {MORE if departure.value > 0 else LESS}"
    label = f"{plotly_text(each.modality)}  {number_text(each.value, loop)}{mark}"
    return f"<b>{label}</b>" if each.modality == group.leader else label


def _heading(loop: Loop, group: ContributionGroup, place: float) -> Json:
    name = group.name if len(group.name) <= LONGEST_NAME else f"{group.name[:LONGEST_NAME]}…"
    measure, unit = ("error ", "episode") if loop.loop == OPEN else ("", "scene")
    counted = text.counted(group.num_units, unit)
    written = [number_text(value, loop) for value in (group.everything, group.nothing)]
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "xshift": -140,
        "y": place,
        "align": "left",
        "text": f"<b>{plotly_text(name)}</b>, {counted}<br><span style='color:{MUTED}'>{measure}"
        f"{written[0]} with everything, {written[1]} with nothing</span>",
        "showarrow": False,
        "bgcolor": "var(--paper)",
        "font": {"size": 13, "color": INK},
    }
