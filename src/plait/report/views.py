"""What the tables of the page show: rows ready to be written, without any markup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plait.report import text
from plait.report.style import controls, in_groups, strategies
from plait.results import (
    ArmSummary,
    Comparison,
    Machine,
    MeanRate,
    PairedComparison,
    Rate,
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A paired comparison, read from one side."""

    first: str
    second: str
    first_only: int
    second_only: int
    difference: float
    interval: str
    p_value: str
    differs: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Strategies against strategies, best first: `cells[row][column]`, None where not compared."""

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Pair | None]]


def find_pair(comparison: Comparison, first: str, second: str) -> PairedComparison | None:
    """Return the comparison of two arms as seen from `first`; None where there is none."""
    for pair in comparison.comparisons:
        if (pair.first, pair.second) == (first, second):
            return pair
        if (pair.first, pair.second) == (second, first):
            return PairedComparison(
                first=first,
                second=second,
                first_only=pair.second_only,
                second_only=pair.first_only,
                difference=-pair.difference,
                low=-pair.high,
                high=-pair.low,
                p_value=pair.p_value,
                differs=pair.differs,
            )
    return None


def matrix(comparison: Comparison) -> Matrix:
    """Lay out the lower triangle of all strategies against all: the best is the first column."""
    names = [arm.arm for arm in strategies(comparison)]
    rows, columns = names[1:], names[:-1]
    cells = [
        [
            _pair(find_pair(comparison, row, column)) if j <= i else None
            for j, column in enumerate(columns)
        ]
        for i, row in enumerate(rows)
    ]
    return Matrix(rows=rows, columns=columns, cells=cells)


def against_controls(comparison: Comparison) -> list[Pair]:
    """Compare every control with the strategy that it is a control of."""
    pairs = []
    for control in controls(comparison):
        for arm in strategies(comparison):
            pair = _pair(find_pair(comparison, arm.arm, control.arm))
            if pair is not None:
                pairs.append(pair)
    return pairs


def task_names(comparison: Comparison) -> list[str]:
    """Return the names of all tasks, in the order in which they first appear."""
    return list(dict.fromkeys(task for arm in comparison.arms for task in arm.per_task))


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """An arm's success by groups of tasks: of each group, of all of them, and their mean."""

    arm: ArmSummary
    rates: Sequence[Rate]
    mean: MeanRate


@dataclass(frozen=True, kw_only=True)
class GroupTable:
    """Arms by groups of tasks of one kind."""

    kind: str
    names: Sequence[str]
    all_of_them: str
    rows: Sequence[GroupRow]


def group_tables(comparison: Comparison) -> list[GroupTable]:
    """Lay out the success of all arms by groups of tasks, a table a kind of group."""
    arms = in_groups(comparison)
    tables = []
    for index, first in enumerate(arms[0].groups):
        has_all = first.together.trials == arms[0].success.trials
        found = [(arm, arm.groups[index]) for arm in arms]
        rows = [
            GroupRow(
                arm=arm,
                rates=[*(group.success for group in own.groups), own.together],
                mean=own.mean,
            )
            for arm, own in found
        ]
        tables.append(
            GroupTable(
                kind=first.kind,
                names=[group.name for group in first.groups],
                all_of_them="all episodes" if has_all else "all of these",
                rows=rows,
            )
        )
    return tables


def setup(comparison: Comparison) -> Mapping[str, str]:
    """Return what is needed to make the same comparison again, but for the settings."""
    data = comparison.dataset
    recorded = "recorded by this comparison" if data.is_recorded_here else data.path
    rows = {
        "environment": comparison.env,
        "preset": comparison.preset,
        "demonstrations": f"{text.counted(data.num_episodes, 'episode')}, "
        f"{text.counted(data.num_steps, 'step')}, {recorded}",
        "fingerprint": data.fingerprint,
        "cameras": ", ".join(data.cameras),
    }
    return rows | made_with(comparison.machine)


def made_with(machine: Machine) -> dict[str, str]:
    """Return the versions that a result was made with."""
    rows = {"python": machine.python, **machine.packages}
    if machine.git_commit:
        rows["commit"] = machine.git_commit
    return rows


def chance_of(arms: Sequence[ArmSummary]) -> float:
    """Return the mean chance of some arms; 0 of none."""
    return sum(arm.chance for arm in arms) / len(arms) if arms else 0.0


def scenes(comparison: Comparison) -> int:
    """Return how many scenes an arm plays with each training seed, for the largest arm."""
    return max(
        (arm.success.trials // max(len(arm.seed_rates), 1) for arm in comparison.arms), default=0
    )


def _pair(pair: PairedComparison | None) -> Pair | None:
    if pair is None:
        return None
    return Pair(
        first=pair.first,
        second=pair.second,
        first_only=pair.first_only,
        second_only=pair.second_only,
        difference=pair.difference,
        interval=text.points_interval(pair),
        p_value=text.p_value(pair.p_value),
        differs=pair.differs,
        detail=f"{text.counted(pair.first_only, 'episode')} solved by {pair.first} alone, "
        f"{pair.second_only:,} by {pair.second} alone",
    )
