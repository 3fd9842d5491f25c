"""The findings of an inspection for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.results.inspection import ERROR, NOTE, WARNING, InspectionResult

STYLES = {ERROR: "bold red", WARNING: "yellow", NOTE: "dim"}


def findings_table(result: InspectionResult) -> Table:
    """Lay out every finding, the most severe first, with what to do below it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(result.path), show_lines=False)
    table.title_justify = "left"
    table.add_column("severity", no_wrap=True)
    table.add_column("where", max_width=34, overflow="fold")
    table.add_column("found, and what to do", overflow="fold")
    for finding in result.findings:
        told = Text(finding.found)
        told.append(f"\n→ {finding.todo}", style="dim")
        severity = Text(finding.severity, style=STYLES[finding.severity])
        table.add_row(severity, Text(finding.where), told)
    return table
