"""From cells, one a policy and challenge, to what was lost on the way, and by which strategy less.

Every training seed of an arm plays scenes of its own, so the rollouts of an arm are of different
scenes throughout; arms with as many seeds play the same ones, and are paired.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from plait.evaluation.differences import Estimate, independent_difference
from plait.evaluation.statistics import SIGNIFICANCE, paired_difference_interval, wilson
from plait.evaluation.transfer.challenges import are_paired
from plait.results import Rate
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    NEVER_SEEN,
    TRAINED,
    ArmTransfer,
    Challenge,
    Difference,
    LossComparison,
    TransferCell,
    TransferScore,
)

Successes = Mapping[int, bool]


@dataclass(frozen=True)
class ArmCells:
    """All that was played of one arm.

    Attributes:
        arm: Its name.
        fusion: Name of the strategy.
        control: None, or the key of a control.
        cells: Of every challenge, one a training seed, in order.
    """

    arm: str
    fusion: str
    control: str | None
    cells: Mapping[Challenge, Sequence[TransferCell]]

    def successes(self, challenge: Challenge) -> Successes:
        """Return success by the seed of the scene; empty where the policy refused."""
        cells = self.cells.get(challenge, ())
        if any(cell.refusal for cell in cells):
            return {}
        return {episode.seed: episode.success for cell in cells for episode in cell.episodes}


def summarise_arm(arm: ArmCells) -> ArmTransfer:
    """Sum up all challenges of an arm."""
    return ArmTransfer(
        arm=arm.arm,
        fusion=arm.fusion,
        control=arm.control,
        scores=tuple(_score(arm, challenge) for challenge in arm.cells),
    )


def _score(arm: ArmCells, challenge: Challenge) -> TransferScore:
    cells = arm.cells[challenge]
    refusal = next((cell.refusal for cell in cells if cell.refusal), "")
    episodes = [episode for cell in cells for episode in cell.episodes]
    if refusal or not episodes:
        return TransferScore(challenge=challenge, success=None, refusal=refusal)
    outcomes = Counter(episode.outcome for episode in episodes)
    found = TransferScore(
        challenge=challenge,
        success=_rate([episode.success for episode in episodes]),
        chance=fmean(1 / episode.num_candidates for episode in episodes),
        chance_by_words=_chance_by_words(cells),
        outcomes=dict(outcomes.most_common()),
        seed_rates=tuple(
            _rate([e.success for e in cell.episodes]).rate for cell in cells if cell.episodes
        ),
    )
    if challenge.relation == TRAINED:
        return found
    trained = next(each for each in arm.cells if each.relation == TRAINED)
    lost = _lost(arm, trained, challenge, is_paired=are_paired(trained, challenge))
    beside = Challenge(env=challenge.env, relation=BESIDE)
    if challenge.relation == COMBINATIONS and beside in arm.cells:
        return replace(found, lost=lost, lost_beside=_lost(arm, beside, challenge, is_paired=True))
    return replace(found, lost=lost)


def _chance_by_words(cells: Sequence[TransferCell]) -> float | None:
    shares = [1 / count for cell in cells for count in cell.num_fitting]
    return fmean(shares) if shares else None


def _lost(
    arm: ArmCells, before: Challenge, after: Challenge, *, is_paired: bool
) -> Difference | None:
    """Return success before less success after; None where either was refused."""
    known, found = arm.successes(before), arm.successes(after)
    if not known or not found:
        return None
    if not is_paired:
        rates = _rate(list(known.values())), _rate(list(found.values()))
        return _difference(independent_difference(*map(Estimate.of, rates)), is_paired=False)
    if not known.keys() & found.keys():
        return None
    return _difference(paired(known, found), is_paired=True)


def paired(first: Successes, second: Successes, confidence: float = 1 - SIGNIFICANCE) -> Estimate:
    """Return the difference of success on the scenes that both have, with Tango's interval."""
    shared = first.keys() & second.keys()
    gained = sum(first[seed] and not second[seed] for seed in shared)
    lost = sum(second[seed] and not first[seed] for seed in shared)
    low, high = paired_difference_interval(gained, lost, len(shared), confidence)
    return Estimate((gained - lost) / len(shared), low, high)


def compare_losses(arms: Sequence[ArmCells], challenge: Challenge) -> list[LossComparison]:
    """Compare how much every two strategies lose in a challenge.

    Left out are controls, and strategies that are not above chance on what they were trained for:
    they have nothing to lose. The level of 5 % is divided by the number of pairs.

    Args:
        arms: All arms.
        challenge: One that training never showed.
    """
    judged = [arm for arm in arms if arm.successes(challenge) and _has_something_to_lose(arm)]
    pairs = list(combinations(judged, 2))
    confidence = 1 - SIGNIFICANCE / max(len(pairs), 1)
    return [_compare(*pair, challenge, confidence) for pair in pairs]


def compare_all_losses(arms: Sequence[ArmCells]) -> tuple[LossComparison, ...]:
    """Compare losses in every challenge that training never showed."""
    challenges = [each for each in arms[0].cells if each.relation in NEVER_SEEN]
    return tuple(pair for challenge in challenges for pair in compare_losses(arms, challenge))


def _has_something_to_lose(arm: ArmCells) -> bool:
    score = _score(arm, next(each for each in arm.cells if each.relation == TRAINED))
    is_above_chance = score.success is not None and score.success.low > score.chance
    return arm.control is None and is_above_chance


def _compare(
    arm: ArmCells, other: ArmCells, challenge: Challenge, confidence: float
) -> LossComparison:
    """Take how much better one does on what was trained from how much better it does here."""
    trained = next(each for each in arm.cells if each.relation == TRAINED)
    before = paired(arm.successes(trained), other.successes(trained), confidence)
    after = paired(arm.successes(challenge), other.successes(challenge), confidence)
    more = independent_difference(before, after)
    if more.value > 0:
        arm, other = other, arm
        more = Estimate(-more.value, -more.high, -more.low)
    return LossComparison(
        challenge=challenge,
        first=arm.arm,
        second=other.arm,
        difference=-more.value,
        low=-more.high,
        high=-more.low,
        differs=more.high < 0,
    )


def _rate(successes: Sequence[bool]) -> Rate:
    return wilson(sum(successes), len(successes))


def _difference(found: Estimate, *, is_paired: bool) -> Difference:
    return Difference(value=found.value, low=found.low, high=found.high, is_paired=is_paired)
