"""The table of a transfer test for the terminal."""

from collections.abc import Callable

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.tables import FittingTable
from plait.report.transfer.reading import LABELS, suite
from plait.results import Rate
from plait.results.transfer import ArmTransfer, TransferResult, TransferScore


def transfer_table(result: TransferResult) -> Table:
    """Lay out arms by challenges, with intervals where the terminal has room for them.

    Challenges that all refused are left out.
    """
    table = _table(result, _with_interval)
    table.smaller = _table(result, _whole)
    return table


def _table(result: TransferResult, write: Callable[[Rate], str]) -> FittingTable:
    title = f"success of policies trained on {result.env}"
    table = FittingTable(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=Text(title)
    )
    table.title_justify = "left"
    longest = max(len(word) for arm in result.arms for word in arm.arm.split())
    table.add_column("arm", min_width=longest)
    chance = chances(result)
    shown = [index for index, value in enumerate(chance) if value != text.DASH]
    for index in shown:
        challenge = result.challenges[index]
        heading = "\n".join([*suite(challenge).split("-"), *LABELS[challenge.relation].split()])
        written = [*heading.split("\n"), *(_cell(arm.scores[index], write) for arm in result.arms)]
        width = max(map(len, written))
        table.add_column(Text(heading), justify="right", no_wrap=True, min_width=width)
    for arm in result.arms:
        cells = [_cell(arm.scores[index], write) for index in shown]
        table.add_row(Text(arm.arm), *cells, style="dim italic" if arm.control else "")
    table.add_section()
    table.add_row(Text("guessing"), *(chance[index] for index in shown), style="dim")
    return table


def chances(result: TransferResult) -> list[str]:
    """Return what guessing gives in every challenge; a dash where all refused."""
    return [
        next((text.percent(s.chance) for s in _played(result.arms, i)), text.DASH)
        for i in range(len(result.challenges))
    ]


def _played(arms: tuple[ArmTransfer, ...], index: int) -> list[TransferScore]:
    return [arm.scores[index] for arm in arms if arm.scores[index].success is not None]


def _cell(score: TransferScore, write: Callable[[Rate], str]) -> str:
    return "refused" if score.success is None else write(score.success)


def _with_interval(rate: Rate) -> str:
    return f"{100 * rate.rate:.0f}% ({100 * rate.low:.0f}{text.DASH}{100 * rate.high:.0f})"


def _whole(rate: Rate) -> str:
    return f"{100 * rate.rate:.0f}%"
