"""What a transfer test found: a web page, a table on the terminal, plain sentences."""

from plait.report.transfer.conclusions import conclude_transfer
from plait.report.transfer.page import write_transfer_report
from plait.report.transfer.table import transfer_table

__all__ = ["conclude_transfer", "transfer_table", "write_transfer_report"]
