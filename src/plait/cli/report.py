"""`plait report`."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import to_stderr


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the report of a finished comparison again."""

    folder: Positional[Path] = Path("outputs/compare")
    """Folder of the comparison."""

    def run(self) -> None:
        """Read results.json and write report.html beside it."""
        from plait.compare.sweep import REPORT_FILE, RESULTS_FILE
        from plait.report import write_report

        path = write_report(self.folder / RESULTS_FILE, self.folder / REPORT_FILE)
        to_stderr(f"report: {path}")
