"""What robust training did to success where nothing is missing and nothing is disturbed."""

from collections.abc import Sequence

from plait.report import text
from plait.report.starts import with_most_data
from plait.report.views import find_pair
from plait.results import ArmSummary, Comparison, PairedComparison


def conclude_robust(comparison: Comparison) -> list[str]:
    """Say where it helps, where it harms and where neither is shown; nothing without such arms.

    Args:
        comparison: With its arms best first; those with the most data are told of.
    """
    pairs = _pairs(with_most_data(comparison))
    found = [(arm, find_pair(comparison, arm.arm, plain.arm)) for plain, arm in pairs]
    if not found:
        return []
    told = {
        "helps": [f"{a.fusion} ({_gain(pair)})" for a, pair in found if pair and _sign(pair) > 0],
        "harms": [f"{a.fusion} ({_gain(pair)})" for a, pair in found if pair and _sign(pair) < 0],
        "is not shown to matter for": [
            f"{a.fusion} ({_gain(pair)})" if pair else a.fusion
            for a, pair in found
            if pair is None or _sign(pair) == 0
        ],
    }
    said = ". It ".join(f"{verb} {text.listing(names)}" for verb, names in told.items() if names)
    return [
        f"On scenes in which nothing is missing or disturbed, robust training {said}. "
        "What it is for, evaluation with missing and corrupted senses, is not in these numbers."
    ]


def _pairs(arms: Sequence[ArmSummary]) -> list[tuple[ArmSummary, ArmSummary]]:
    """Pair every arm with the one that differs from it in robust training alone."""
    plain = {(arm.fusion, arm.init): arm for arm in arms if not arm.robust}
    return [
        (plain[arm.fusion, arm.init], arm)
        for arm in arms
        if arm.robust and (arm.fusion, arm.init) in plain
    ]


def _sign(pair: PairedComparison) -> int:
    """Return 1 or -1 where the test tells the two apart."""
    return 0 if not pair.differs else 1 if pair.difference > 0 else -1


def _gain(pair: PairedComparison) -> str:
    return (
        f"{text.points(pair.difference)} points, 95% interval {text.points_interval(pair)}, "
        f"{text.p_value(pair.p_value)}"
    )
