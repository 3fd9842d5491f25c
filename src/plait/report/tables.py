"""Tables for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.style import controls, strategies
from plait.report.views import task_names
from plait.results import ArmSummary, Comparison


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
    table.add_column("arm", no_wrap=True)
    table.add_column("success", justify="right", no_wrap=True)
    table.add_column("95% interval", justify="right", no_wrap=True)
    table.add_column("chance", justify="right", no_wrap=True)
    for heading in [*(["unseen"] if has_holdout else []), *tasks]:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for heading in ("parameters", "latency", "training"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group, style in ((strategies(comparison), ""), (controls(comparison), "dim italic")):
        for arm in group:
            row = _row(arm, tasks, has_holdout=has_holdout)
            table.add_row(*(Text(cell) for cell in row), style=style)
        table.add_section()
    return table


def _row(arm: ArmSummary, tasks: list[str], *, has_holdout: bool) -> list[str]:
    unseen = [text.percent(arm.holdout.rate) if arm.holdout else text.DASH]
    per_task = [
        text.percent(arm.per_task[task].rate) if task in arm.per_task else text.DASH
        for task in tasks
    ]
    return [
        arm.arm,
        text.percent(arm.success.rate),
        text.interval(arm.success),
        text.percent(arm.chance),
        *(unseen if has_holdout else []),
        *per_task,
        text.scaled(arm.cost.num_parameters),
        text.milliseconds(arm.cost.latency_ms_median),
        text.duration(arm.cost.train_seconds),
    ]
