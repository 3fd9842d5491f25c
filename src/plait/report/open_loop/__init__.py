"""What a comparison on demonstrations found: a web page, a table on the terminal, sentences."""

from plait.report.open_loop.conclusions import conclude_open_loop
from plait.report.open_loop.page import write_open_loop_report
from plait.report.open_loop.table import error_table

__all__ = ["conclude_open_loop", "error_table", "write_open_loop_report"]
