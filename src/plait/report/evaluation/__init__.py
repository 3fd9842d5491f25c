"""What an evaluation found: a web page, a table on the terminal, plain sentences."""

from plait.report.evaluation.conclusions import conclude_evaluation
from plait.report.evaluation.page import write_evaluation_report
from plait.report.evaluation.table import evaluation_table

__all__ = ["conclude_evaluation", "evaluation_table", "write_evaluation_report"]
