"""The table of an evaluation for the terminal."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.results import MeanRate, Rate
from plait.results.evaluation import ConditionResult, EvaluationResult


def evaluation_table(result: EvaluationResult) -> Table:
    """Lay out tasks, groups of tasks and means, the controls beside the policy."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=Text(f"{result.policy} in {result.env}"),
        title_justify="left",
    )
    own, *controls = result.conditions
    table.add_column("task")
    for heading in ("success", "95% interval", "episodes", *(each.name for each in controls)):
        # Names of tasks want the room.
        table.add_column(Text(heading.replace(" ", "\n")), justify="right")
    _add_rates(table, [each.per_task for each in result.conditions])
    for index, grouping in enumerate(own.groups):
        rates = [_by_group(each, index) for each in result.conditions]
        _add_rates(table, rates, f"{text.words(grouping.kind)}: ")
        _add_mean(table, f"mean of {len(grouping.groups)} groups", grouping.mean)
        table.add_section()
    _add_rates(table, [{"all episodes": each.success} for each in result.conditions])
    return table


def _by_group(condition: ConditionResult, index: int) -> dict[str, Rate]:
    return {group.name: group.success for group in condition.groups[index].groups}


def _add_rates(table: Table, rates: Sequence[Mapping[str, Rate]], before: str = "") -> None:
    """Add a row a name, of the policy as it is and of its controls."""
    own, *controls = rates
    for name, rate in own.items():
        table.add_row(
            Text(f"{before}{text.words(name)}"),
            text.percent(rate.rate),
            text.interval(rate),
            str(rate.trials),
            *(text.percent(each[name].rate) for each in controls),
        )
    table.add_section()


def _add_mean(table: Table, name: str, mean: MeanRate) -> None:
    table.add_row(Text(name), text.percent(mean.value), text.interval(mean), style="dim")
