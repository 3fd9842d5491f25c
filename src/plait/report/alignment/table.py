"""The retrieval table for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.alignment.conclusions import direction
from plait.results.alignment import AlignmentResult


def alignment_table(result: AlignmentResult) -> Table:
    """Lay out the six directions of retrieval against chance."""
    title = f"{result.objective} on {result.dataset.path}, step {result.best_step}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title))
    table.title_justify = "left"
    table.add_column("direction")
    headings = ("R@1", "95% interval", "chance", "before", "R@5", "R@10", "median", "MRR", "of")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in retrieval_rows(result):
        table.add_row(*(Text(cell) for cell in row))
    return table


def retrieval_rows(result: AlignmentResult) -> list[list[str]]:
    """Return the rows of the table, the same for the terminal and the page."""
    before = {(s.query, s.target): s for s in result.before.retrieval}
    return [
        [
            direction(score.query, score.target),
            text.percent(score.recall["1"]),
            f"{100 * score.low:.1f}{text.DASH}{100 * score.high:.1f}%",
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
