"""The table of a comparison on demonstrations, for the terminal and for the page."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.open_loop.conclusions import error_text, of_kind
from plait.report.tables import FittingTable
from plait.results.open_loop import BASELINE, CONTROL, STRATEGY, OpenLoopArm, OpenLoopComparison

HEADINGS = ("error [std]", "first step", "last step", "params", "latency", "training")
# How many of them are errors, and not costs.
NUM_ERRORS = 3
STYLES = {STRATEGY: "", CONTROL: "dim italic", BASELINE: "dim"}


def error_table(comparison: OpenLoopComparison) -> Table:
    """Rank the arms, smallest error first, with controls and baselines below lines.

    Costs have columns where the terminal has room.
    """
    table = _table(comparison, len(HEADINGS))
    table.smaller = _table(comparison, NUM_ERRORS)
    return table


def _table(comparison: OpenLoopComparison, num_columns: int) -> FittingTable:
    table = FittingTable(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=Text(comparison.title)
    )
    table.title_justify = "left"
    # Names give way first, by wrapping between words.
    longest = max(len(word) for arm in comparison.arms for word in arm.arm.split())
    table.add_column("arm", min_width=longest)
    for heading in HEADINGS[:num_columns]:
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, style in STYLES.items():
        for arm in of_kind(comparison.arms, kind):
            cells = (arm.arm, *error_row(arm)[:num_columns])
            table.add_row(*(Text(cell) for cell in cells), style=style)
        table.add_section()
    return table


def error_row(arm: OpenLoopArm) -> list[str]:
    """Return the cells of one arm, in the order of `HEADINGS`."""
    cost = arm.cost
    return [
        error_text(arm.error),
        f"{arm.per_step[0].value:.3f}",
        f"{arm.per_step[-1].value:.3f}",
        text.DASH if cost is None else text.scaled(cost.num_parameters),
        text.DASH if cost is None else text.milliseconds(cost.latency_ms_median),
        text.DASH if cost is None else text.duration(cost.train_seconds),
    ]
