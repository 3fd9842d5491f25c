"""What aligned towers did for the policies that start from them, share by share of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

from plait.report import text
from plait.report.style import strategies
from plait.report.views import find_pair
from plait.results import NO_INIT, RETRIEVAL, ArmSummary, Comparison, PairedComparison


@dataclass(frozen=True, kw_only=True)
class Start:
    """One strategy with and without towers, on the same share of the demonstrations.

    Attributes:
        fusion: Name of the strategy, and whether it is trained robustly.
        train_fraction: Share of the demonstrations.
        without: From random weights.
        aligned: From towers.
        pair: The paired comparison as seen from `aligned`; None where there is none.
    """

    fusion: str
    train_fraction: float
    without: ArmSummary
    aligned: ArmSummary
    pair: PairedComparison | None

    @property
    def difference(self) -> str:
        """Points gained, with their interval."""
        if self.pair is None:
            return text.DASH
        return f"{text.points(self.pair.difference)} ({text.points_interval(self.pair)})"

    @property
    def verdict(self) -> str:
        """Whether the paired test tells the two apart."""
        if self.pair is None or not self.pair.differs:
            return "not told apart"
        return "better" if self.pair.difference > 0 else "worse"


def has_starts(comparison: Comparison) -> bool:
    """Whether there is anything to show: towers, or several shares of the demonstrations."""
    arms = strategies(comparison)
    return any(a.init != NO_INIT for a in arms) or len({a.train_fraction for a in arms}) > 1


def with_most_data(comparison: Comparison) -> list[ArmSummary]:
    """Return the strategies that learned from the largest share: those that are ranked."""
    arms = strategies(comparison)
    most = max((arm.train_fraction for arm in arms), default=1.0)
    return [arm for arm in arms if arm.train_fraction == most]


def starts(comparison: Comparison) -> list[Start]:
    """Pair every policy that starts from towers with the same one that does not."""
    arms = strategies(comparison)
    without = {(trained(a), a.train_fraction): a for a in arms if a.init == NO_INIT}
    found = []
    for arm in sorted(arms, key=lambda a: (trained(a), a.init, a.train_fraction)):
        other = without.get((trained(arm), arm.train_fraction))
        if arm.init != NO_INIT and other is not None:
            pair = find_pair(comparison, arm.arm, other.arm)
            start = Start(
                fusion=trained(arm),
                train_fraction=arm.train_fraction,
                without=other,
                aligned=arm,
                pair=pair,
            )
            found.append(start)
    return found


def trained(arm: ArmSummary) -> str:
    """Name what is trained, whatever it starts and learns from: `film`, `film, robust`."""
    return f"{arm.fusion}, robust" if arm.robust else arm.fusion


def conclude_starts(comparison: Comparison) -> list[str]:
    """Say whether towers helped, at every share, and how far they get by themselves."""
    sentences = []
    found = starts(comparison)
    for fusion, init in dict.fromkeys((start.fusion, start.aligned.init) for start in found):
        group = [s for s in found if (s.fusion, s.aligned.init) == (fusion, init)]
        listed = "; ".join(_gain(start) for start in group)
        sentences.append(f"{_verdict(fusion, init, group)}: {listed}.")
    return sentences + _retrieval(strategies(comparison))


def share_of_data(fraction: float) -> str:
    """Write a share of the demonstrations: `10% of the demonstrations`, `all demonstrations`."""
    return "all demonstrations" if fraction == 1 else f"{100 * fraction:g}% of the demonstrations"


def _verdict(fusion: str, init: str, group: Sequence[Start]) -> str:
    where = {
        verdict: [share_of_data(s.train_fraction) for s in group if s.verdict == verdict]
        for verdict in ("better", "worse")
    }
    towers = f"Starting {fusion} from towers ({init})"
    said = [
        f"{verb} with {text.listing(where[verdict])}"
        for verdict, verb in (("better", "helps"), ("worse", "harms"))
        if where[verdict]
    ]
    return f"{towers} {text.listing(said)}" if said else f"{towers} is not shown to matter"


def _gain(start: Start) -> str:
    rates = f"{text.percent(start.aligned.success.rate)} against"
    rates += f" {text.percent(start.without.success.rate)} without"
    test = "" if start.pair is None else f", {text.p_value(start.pair.p_value)}"
    return f"{share_of_data(start.train_fraction)}, {rates} ({start.difference} points{test})"


def _retrieval(arms: Sequence[ArmSummary]) -> list[str]:
    found = [arm for arm in arms if arm.fusion == RETRIEVAL]
    if not found:
        return []
    best = max(found, key=lambda arm: arm.success.rate)
    return [
        "Without any training for control, looking up the action chunk that the towers place "
        f"nearest to what is seen and said succeeds in {text.rate_with_interval(best.success)} "
        f"({best.init}, {share_of_data(best.train_fraction)})"
        + (f"; chance is {text.percent(best.chance)}." if best.chance else ".")
    ]
