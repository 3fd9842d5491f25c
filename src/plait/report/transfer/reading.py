"""How the scores of a transfer test are read, the same for page, terminal and sentences."""

from plait.report import text
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    FAMILIAR,
    NEVER_SEEN,
    PARAPHRASES,
    TRAINED,
    VERBS,
    ArmTransfer,
    Challenge,
    Difference,
    TransferResult,
    TransferScore,
)

# Below the name of a suite, and in prose.
LABELS = {
    TRAINED: "trained",
    FAMILIAR: "familiar",
    BESIDE: "control",
    COMBINATIONS: "unseen",
    PARAPHRASES: "reworded",
    VERBS: "new verb",
}
PHRASES = {
    COMBINATIONS: "combinations never seen",
    PARAPHRASES: "paraphrases never seen",
    VERBS: "verbs never seen",
}


def suite(challenge: Challenge) -> str:
    """Return the name of its suite without that of the environment's family."""
    return challenge.env.rpartition("/")[2]


def strategies(result: TransferResult) -> list[ArmTransfer]:
    """Return the arms that see everything, best first."""
    return [arm for arm in result.arms if arm.control is None]


def score_of(arm: ArmTransfer, challenge: Challenge) -> TransferScore:
    """Return the score of an arm in a challenge."""
    return next(score for score in arm.scores if score.challenge == challenge)


def trained(arm: ArmTransfer) -> TransferScore:
    """Return the score of an arm on what it was trained for."""
    return next(score for score in arm.scores if score.challenge.relation == TRAINED)


def never_seen(result: TransferResult, *relations: str) -> list[Challenge]:
    """Return the challenges that training never showed; those of some relations alone if named."""
    wanted = relations or NEVER_SEEN
    return [challenge for challenge in result.challenges if challenge.relation in wanted]


def judged(result: TransferResult, challenge: Challenge) -> list[ArmTransfer]:
    """Return the arms that did not refuse a challenge, controls last."""
    return [arm for arm in result.arms if score_of(arm, challenge).success is not None]


def is_above_chance(score: TransferScore) -> bool:
    """Say whether the interval of the success lies above what guessing gives."""
    return score.success is not None and score.success.low > score.chance


def is_above_known_words(score: TransferScore) -> bool:
    """Say whether the success lies above guessing among what the shown words leave open."""
    if score.success is None or score.chance_by_words is None:
        return is_above_chance(score)
    return score.success.low > score.chance_by_words


def is_told_from_nothing(difference: Difference) -> bool:
    """Say whether the interval of a loss leaves out zero."""
    return difference.low > 0 or difference.high < 0


def loss_text(lost: Difference) -> str:
    """Write `a loss of 6.0 points (−3.2 to +15.0)`, or a gain."""
    kind, sign = ("loss", 1) if lost.value >= 0 else ("gain", -1)
    ends = sorted((sign * lost.low, sign * lost.high))
    size = f"{100 * abs(lost.value):.1f}"
    return f"a {kind} of {size} points ({ends_text(*ends)})"


def ends_text(low: float, high: float) -> str:
    """Write the ends of an interval of a difference: `−3.2 to +15.0`."""
    return f"{text.points(low)} to {text.points(high)}"
