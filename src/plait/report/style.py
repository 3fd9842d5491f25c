"""One look per arm, the same in every figure and table of a page.

Colours are names of CSS variables (`var(--arm-3)`): the page gives them values for a light and for
a dark ground, and its script puts those into the figures. The values were searched for so that
they stay apart with every common form of colour blindness; marker and dash say the same twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from plait.results import ArmSummary, Comparison

NUM_COLOURS = 12
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagram")
DASHES = ("solid", "dash", "dot")
CONTROL_COLOUR = "var(--control)"
CONTROL_SYMBOLS = ("square-open", "diamond-open", "circle-open", "triangle-up-open")
CONTROL_DASHES = ("dash", "dot", "dashdot", "longdash")
OUTCOME_COLOURS: Mapping[str, str] = {
    "success": "var(--success)",
    "wrong_object": "var(--outcome-1)",
    "wrong_place": "var(--outcome-2)",
    "timeout": "var(--outcome-3)",
}
OTHER_OUTCOMES = ("var(--outcome-4)", "var(--outcome-5)")


@dataclass(frozen=True, kw_only=True)
class ArmStyle:
    """How one arm looks: CSS colour, Plotly marker, Plotly dash."""

    colour: str
    symbol: str
    dash: str


@runtime_checkable
class NamedArm(Protocol):
    """What figures must know of an arm: its name, and whether something was hidden from it."""

    @property
    def arm(self) -> str: ...  # noqa: D102

    @property
    def control(self) -> str | None: ...  # noqa: D102


def arm_styles(comparison: Comparison) -> dict[str, ArmStyle]:
    """Give every arm of a comparison its look."""
    return styles_of(comparison.arms)


def styles_of(arms: Sequence[NamedArm]) -> dict[str, ArmStyle]:
    """Give every arm its look; strategies by the order of their names, not by rank.

    So a strategy keeps its colour when the same comparison is run again and ranks otherwise.
    """
    names = sorted(arm.arm for arm in arms if arm.control is None)
    styles = {
        name: ArmStyle(
            colour=f"var(--arm-{index % NUM_COLOURS})",
            symbol=SYMBOLS[index % len(SYMBOLS)],
            dash=DASHES[index // NUM_COLOURS % len(DASHES)],
        )
        for index, name in enumerate(names)
    }
    hidden = [arm.arm for arm in arms if arm.control is not None]
    for index, name in enumerate(hidden):
        styles[name] = ArmStyle(
            colour=CONTROL_COLOUR,
            symbol=CONTROL_SYMBOLS[index % len(CONTROL_SYMBOLS)],
            dash=CONTROL_DASHES[index % len(CONTROL_DASHES)],
        )
    return styles


def outcome_colours(outcomes: Sequence[str]) -> dict[str, str]:
    """Give every outcome its colour; those of other environments take what is left."""
    others = [name for name in outcomes if name not in OUTCOME_COLOURS]
    extra = {name: OTHER_OUTCOMES[i % len(OTHER_OUTCOMES)] for i, name in enumerate(others)}
    return {name: OUTCOME_COLOURS.get(name) or extra[name] for name in outcomes}


def outcome_order(comparison: Comparison) -> list[str]:
    """Return all outcomes: success first, then the known failures, then the others by name."""
    return sort_outcomes(outcome for arm in comparison.arms for outcome in arm.outcomes)


def sort_outcomes(outcomes: Iterable[str]) -> list[str]:
    """Sort distinct outcomes: success first, then the known failures, then the others by name."""
    known = list(OUTCOME_COLOURS)
    place = {name: index for index, name in enumerate(known)}
    return sorted(set(outcomes), key=lambda name: (place.get(name, len(known)), name))


def strategies(comparison: Comparison) -> list[ArmSummary]:
    """Return the arms that see everything, best first."""
    return [arm for arm in comparison.arms if arm.control is None]


def controls(comparison: Comparison) -> list[ArmSummary]:
    """Return the arms from which a modality was hidden."""
    return [arm for arm in comparison.arms if arm.control is not None]


def in_groups(comparison: Comparison) -> list[ArmSummary]:
    """Return the strategies, best first, and then the controls."""
    return strategies(comparison) + controls(comparison)
