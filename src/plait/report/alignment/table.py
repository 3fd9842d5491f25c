"""The retrieval table for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.alignment.names import direction
from plait.results.alignment import AlignmentResult

# Columns of the page that a terminal of 80 characters has room for.
SHOWN = {1: "R@1", 2: "interval", 3: "chance", 4: "before", 6: "R@10", 7: "median", 9: "of"}


def alignment_table(result: AlignmentResult) -> Table:
    """Lay out the six directions of retrieval against chance."""
    title = f"{result.objective} on {result.dataset.path}, step {result.best_step}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=Text(title))
    table.title_justify = "left"
    table.add_column("direction", no_wrap=True)
    for heading in SHOWN.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in retrieval_rows(result):
        table.add_row(Text(row[0]), *(Text(row[index]) for index in SHOWN))
    return table


def retrieval_rows(result: AlignmentResult) -> list[list[str]]:
    """Return the rows of the table, the same for the terminal and the page."""
    before = {(s.query, s.target): s for s in result.before.retrieval}
    return [
        [
            direction(score.query, score.target),
            text.percent(score.recall["1"]),
            text.interval(score),
            text.percent(score.chance["1"]),
            text.percent(before[score.query, score.target].recall["1"]),
            text.percent(score.recall["5"]),
            text.percent(score.recall["10"]),
            f"{score.median_rank:g}",
            f"{score.mean_reciprocal_rank:.3f}",
            f"{score.gallery_size:,}",
        ]
        for score in result.after.retrieval
    ]
