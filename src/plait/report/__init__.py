"""What a comparison found, for people: a web page, a table on the terminal, plain sentences.

A report is made from saved results alone, so any report can be made again from its folder.
"""

from plait.report.page import write_report

__all__ = ["write_report"]
