"""`plait report`."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import to_stderr


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the page again that a command made of its results."""

    folder: Positional[Path] = Path("outputs/compare")
    """Folder that the command wrote."""

    def run(self) -> None:
        """Read results.json and write report.html beside it."""
        from plait.compare.sweep import REPORT_FILE, RESULTS_FILE
        from plait.report.any import write_any_report

        path = write_any_report(self.folder / RESULTS_FILE, self.folder / REPORT_FILE)
        to_stderr(f"report: {path}")
