"""What an alignment found: a web page, a table on the terminal, plain sentences."""

from plait.report.alignment.conclusions import conclude_alignment
from plait.report.alignment.page import write_alignment_report
from plait.report.alignment.table import alignment_table

__all__ = ["alignment_table", "conclude_alignment", "write_alignment_report"]
