"""Intervals of differences between numbers whose own intervals are known.

Of independent estimates, the distances from each to the ends of its interval are added in
quadrature (Zou & Donner, 2008, MOVER). Two Wilson intervals give Newcombe's (1998, method 10).
"""

import math
from dataclasses import dataclass

from plait.results import Rate


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, rate: Rate) -> "Estimate":
        """Take a success rate."""
        return cls(rate.rate, rate.low, rate.high)


def independent_difference(first: Estimate, second: Estimate) -> Estimate:
    """Return first - second with an interval of the coverage that theirs have.

    Where the two rise and fall together, as on shared scenes, the interval is too wide rather than
    too narrow.

    Reference: Zou & Donner, 2008, Statistics in Medicine 27, eq. (4).
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - below, value + above)
