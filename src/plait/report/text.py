"""How numbers and lists are written, the same in the page, on the terminal and in sentences."""

import json
from collections.abc import Mapping
from typing import Any

from plait.results import MeanRate, PairedComparison, Rate
from plait.results.alignment import FactorRecall, RetrievalScore
from plait.wording import counted as counted
from plait.wording import listing as listing
from plait.wording import percent as percent

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SMALLEST_P = 0.001
SIGNIFICANCE = 0.05


def interval(rate: Rate | MeanRate | RetrievalScore | FactorRecall) -> str:
    """Write the ends of an interval as `55.6–68.9%`."""
    return f"{100 * rate.low:.1f}{DASH}{100 * rate.high:.1f}%"


def rate_with_interval(rate: Rate) -> str:
    """Write a rate as `62.5% (55.6–68.9%)`."""
    return f"{percent(rate.rate)} ({interval(rate)})"


def points(difference: float) -> str:
    """Write a difference of shares in signed percentage points: `+3.5`, `−0.5`, `0.0`."""
    text = f"{100 * abs(difference):.1f}"
    if text == "0.0":
        return text
    return f"{'+' if difference > 0 else MINUS}{text}"


def points_interval(pair: PairedComparison) -> str:
    """Write the interval of a paired difference as `−1.0 to +8.0`."""
    return f"{points(pair.low)} to {points(pair.high)}"


def p_value(value: float) -> str:
    """Write a p-value as `p = 0.034`, `p < 0.001` or `p = 1`."""
    if value < SMALLEST_P:
        return f"p{NO_BREAK_SPACE}<{NO_BREAK_SPACE}{SMALLEST_P}"
    rounded = round(value, 2 if value >= 0.1 else 3)
    if value < SIGNIFICANCE:
        # 0.0496 must not be rounded up to the level that it is below.
        rounded = min(rounded, SIGNIFICANCE - SMALLEST_P)
    return f"p{NO_BREAK_SPACE}={NO_BREAK_SPACE}{rounded:.3g}"


def significant(value: int | float) -> str:
    """Write a positive number with three significant digits and no exponent."""
    digits = sum(value < limit for limit in (99.95, 9.995, 0.9995))
    return f"{value:.{digits}f}"


def scaled(value: int | float) -> str:
    """Write a count with a unit prefix: `512`, `48.2 k`, `1.23 M`."""
    for size, unit in UNITS:
        if value >= 0.9995 * size:
            return f"{significant(value / size)}{NO_BREAK_SPACE}{unit}"
    return f"{value:.0f}"


def milliseconds(value: float) -> str:
    """Write a latency as `3.21 ms`."""
    return f"{significant(value)}{NO_BREAK_SPACE}ms"


def duration(seconds: float) -> str:
    """Write a wall time as `42 s`, `3.5 min` or `2.1 h`."""
    if seconds < 99.5:
        return f"{significant(seconds) if seconds < 10 else f'{seconds:.0f}'}{NO_BREAK_SPACE}s"
    if seconds < 5970:
        return f"{seconds / 60:.1f}{NO_BREAK_SPACE}min"
    return f"{seconds / 3600:.1f}{NO_BREAK_SPACE}h"


def words(name: str) -> str:
    """Write a name of code for reading: `wrong_object` as `wrong object`."""
    return name.replace("_", " ")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Turn nested settings into rows of dotted name and value."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{name}.")
        else:
            rows.append((name, setting(value)))
    return rows


def setting(value: Any) -> str:
    """Write one value of a configuration."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value) if value else "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return json.dumps(value)
