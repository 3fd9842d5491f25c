"""What an inspection found: a web page, a table on the terminal, plain sentences."""

from plait.report.inspection.conclusions import conclude_inspection
from plait.report.inspection.page import write_inspection_report
from plait.report.inspection.table import findings_table

__all__ = ["conclude_inspection", "findings_table", "write_inspection_report"]
