"""The figures of the page, as plain Plotly descriptions: pure functions of the results."""

from plait.report.figures.base import Figure
from plait.report.figures.cost import cost
from plait.report.figures.curves import learning_curves
from plait.report.figures.outcomes import outcomes
from plait.report.figures.ranking import ranking
from plait.report.figures.starts import starts

__all__ = ["Figure", "cost", "learning_curves", "outcomes", "ranking", "starts"]
