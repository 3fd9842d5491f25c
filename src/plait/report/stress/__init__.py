"""What a stress test found: a web page, tables on the terminal, plain sentences."""

from plait.report.stress.conclusions import conclude_stress
from plait.report.stress.page import write_stress_report
from plait.report.stress.table import stress_table

__all__ = ["conclude_stress", "stress_table", "write_stress_report"]
