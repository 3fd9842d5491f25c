"""Tables for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.style import controls, strategies
from plait.report.views import task_names
from plait.results import ArmSummary, Comparison, Rate


def ranking_table(comparison: Comparison) -> Table:
    """Rank the arms, best first, with the controls below a line.

    Args:
        comparison: Arms with several tasks get a column a task.
    """
    tasks = task_names(comparison)
    tasks = tasks if len(tasks) > 1 else []
    has_holdout = any(arm.holdout is not None for arm in comparison.arms)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(comparison.title))
    table.title_justify = "left"
    # Where the terminal is narrow the names give way first, by wrapping.
    longest = max((len(word) for arm in comparison.arms for word in arm.arm.split()), default=1)
    table.add_column("arm", overflow="fold", min_width=longest)
    headings = ["success (95% interval)", "chance", *(["unseen"] if has_holdout else []), *tasks]
    for heading in [*headings, "params", "latency", "training"]:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for group, style in ((strategies(comparison), ""), (controls(comparison), "dim italic")):
        for arm in group:
            row = _row(arm, tasks, has_holdout=has_holdout)
            table.add_row(*(Text(cell) for cell in row), style=style)
        table.add_section()
    return table


def _row(arm: ArmSummary, tasks: list[str], *, has_holdout: bool) -> list[str]:
    unseen = [_whole(arm.holdout)]
    per_task = [_whole(arm.per_task.get(task)) for task in tasks]
    return [
        arm.arm,
        text.rate_with_interval(arm.success),
        f"{100 * arm.chance:.0f}%",
        *(unseen if has_holdout else []),
        *per_task,
        text.scaled(arm.cost.num_parameters),
        text.milliseconds(arm.cost.latency_ms_median),
        text.duration(arm.cost.train_seconds),
    ]


def _whole(rate: Rate | None) -> str:
    """Write a rate without decimals: it rests on too few episodes for more."""
    return text.DASH if rate is None else f"{100 * rate.rate:.0f}%"
