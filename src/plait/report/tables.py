"""Tables for the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.style import controls, strategies
from plait.report.views import task_names
from plait.results import ArmSummary, Comparison, Rate


class FittingTable(Table):
    """A table that gives way to a smaller one where the terminal is too narrow for it."""

    smaller: Table | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        unlimited = options.update(width=10_000)
        needed = Measurement.get(console, unlimited, self).minimum
        if self.smaller is not None and needed > options.max_width:
            yield from self.smaller.__rich_console__(console, options)
        else:
            yield from super().__rich_console__(console, options)


def ranking_table(comparison: Comparison) -> Table:
    """Rank the arms, best first, with the controls below a line.

    Unseen combinations and single tasks have columns where there are any and the terminal has room.

    Args:
        comparison: Arms best first.
    """
    tasks = task_names(comparison)
    has_holdout = any(arm.holdout is not None for arm in comparison.arms)
    table = _table(comparison, tasks if len(tasks) > 1 else [], has_holdout=has_holdout)
    table.smaller = _table(comparison, [], has_holdout=False)
    return table


def _table(comparison: Comparison, tasks: Sequence[str], *, has_holdout: bool) -> FittingTable:
    table = FittingTable(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=Text(comparison.title)
    )
    table.title_justify = "left"
    # Names give way first, by wrapping between words.
    longest = max((len(word) for arm in comparison.arms for word in arm.arm.split()), default=1)
    table.add_column("arm", min_width=longest)
    has_chance = any(arm.chance for arm in comparison.arms)
    headings = ["success", "95% interval", *(["chance"] if has_chance else [])]
    headings += [*(["unseen"] if has_holdout else []), *tasks]
    for heading in [*headings, "params", "latency", "training"]:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for group, style in ((strategies(comparison), ""), (controls(comparison), "dim italic")):
        for arm in group:
            row = _row(arm, tasks, has_holdout=has_holdout, has_chance=has_chance)
            table.add_row(*(Text(cell) for cell in row), style=style)
        table.add_section()
    return table


def _row(
    arm: ArmSummary, tasks: Sequence[str], *, has_holdout: bool, has_chance: bool
) -> list[str]:
    return [
        arm.arm,
        text.percent(arm.success.rate),
        text.interval(arm.success),
        *([f"{100 * arm.chance:.0f}%"] if has_chance else []),
        *([_whole(arm.holdout)] if has_holdout else []),
        *(_whole(arm.per_task.get(task)) for task in tasks),
        text.scaled(arm.cost.num_parameters),
        text.milliseconds(arm.cost.latency_ms_median),
        text.duration(arm.cost.train_seconds),
    ]


def _whole(rate: Rate | None) -> str:
    """Write a rate without decimals: it rests on too few episodes for more."""
    return text.DASH if rate is None else f"{100 * rate.rate:.0f}%"
