"""What the numbers of a transfer test say, in sentences, and what they do not.

A strategy is said to lose less than another only where the interval of the difference of their
losses leaves out zero, with the level divided among all pairs.
"""

from plait.report import text
from plait.report.transfer.reading import (
    PHRASES,
    ends_text,
    is_above_chance,
    is_above_known_words,
    is_told_from_nothing,
    judged,
    loss_text,
    never_seen,
    score_of,
    strategies,
    suite,
    trained,
)
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    PARAPHRASES,
    VERBS,
    ArmTransfer,
    Challenge,
    LossComparison,
    TransferResult,
    TransferScore,
)

MOST_NAMES = 4


def conclude_transfer(result: TransferResult) -> list[str]:
    """Return the findings, the most important first, and what could not be judged last."""
    sentences = []
    for challenge in never_seen(result, COMBINATIONS, PARAPHRASES):
        arms = [arm for arm in judged(result, challenge) if arm.control is None]
        if len(arms) == 1:
            sentences += [_single(arms[0], challenge), *_beside(arms[0], challenge)]
        elif arms:
            sentences += [_least(result, challenge), *_losses(arms, challenge)]
            sentences += _combination_itself(arms, challenge)
        sentences += [*_at_chance(arms, challenge), *_known_words(arms, challenge)]
    sentences += _new_verbs(result)
    sentences += _nothing_to_lose(result)
    return [*sentences, *result.notes]


def _single(arm: ArmTransfer, challenge: Challenge) -> str:
    here, before = score_of(arm, challenge), trained(arm)
    assert here.success is not None
    assert before.success is not None
    sentence = (
        f"On {PHRASES[challenge.relation]} ({challenge.env}) {arm.arm} succeeds in "
        f"{text.rate_with_interval(here.success)}, from {text.percent(before.success.rate)} on "
        "what it was trained for"
    )
    if here.lost is None:
        return f"{sentence}."
    if not is_told_from_nothing(here.lost):
        return f"{sentence}: {loss_text(here.lost)}, which is not told from nothing."
    return f"{sentence}: {loss_text(here.lost)}."


def _beside(arm: ArmTransfer, challenge: Challenge) -> list[str]:
    """Say what is left of a loss when the scenes are the same."""
    here = score_of(arm, challenge)
    control = next((s for s in arm.scores if _is_beside(s, challenge)), None)
    if control is None or control.success is None or here.lost_beside is None:
        return []
    return [
        f"In these very scenes, asked for a combination that was shown, {arm.arm} succeeds in "
        f"{text.percent(control.success.rate)}: the combination itself makes {_cost(here)}."
    ]


def _is_beside(score: TransferScore, challenge: Challenge) -> bool:
    return (score.challenge.env, score.challenge.relation) == (challenge.env, BESIDE)


def _cost(here: TransferScore) -> str:
    assert here.lost_beside is not None
    doubt = "" if is_told_from_nothing(here.lost_beside) else ", not told from nothing"
    return f"{loss_text(here.lost_beside)}{doubt}"


def _least(result: TransferResult, challenge: Challenge) -> str:
    """Say which strategies lose less than others, as far as intervals support it."""
    start = f"On {PHRASES[challenge.relation]} ({challenge.env}) "
    pairs = [pair for pair in result.comparisons if pair.challenge == challenge]
    if not pairs:
        return f"{start}no two strategies can be compared: all but one had nothing to lose."
    told = [pair for pair in pairs if pair.differs]
    if not told:
        return (
            f"{start}no strategy is shown to lose less than another "
            f"({text.counted(len(pairs), 'pair')} compared)."
        )
    beaten = {pair.second for pair in told}
    least = list(dict.fromkeys(pair.first for pair in told if pair.first not in beaten))
    return start + "; ".join(_loses_less(name, told) for name in least) + "."


def _loses_less(name: str, told: list[LossComparison]) -> str:
    pairs = sorted((p for p in told if p.first == name), key=lambda pair: -pair.low)
    others = [pair.second for pair in pairs]
    if len(others) > MOST_NAMES:
        others = [*others[:MOST_NAMES], f"{len(others) - MOST_NAMES} more"]
    clearest = pairs[0]
    return (
        f"{name} loses less than {text.listing(others)} ({100 * clearest.difference:.1f} points "
        f"less than {clearest.second}, {ends_text(clearest.low, clearest.high)})"
    )


def _losses(arms: list[ArmTransfer], challenge: Challenge) -> list[str]:
    """List the losses that are told from nothing, largest first; or what became of all."""
    found = [(arm, score_of(arm, challenge).lost) for arm in arms]
    known = [(arm, lost) for arm, lost in found if lost is not None]
    told = sorted(
        ((arm, lost) for arm, lost in known if is_told_from_nothing(lost)),
        key=lambda item: -item[1].value,
    )
    start = f"{len(told) or 'None'} of {text.counted(len(known), 'change')} there "
    start += f"{'are' if len(told) > 1 else 'is'} told from nothing"
    listed = [f"{arm.arm} {loss_text(lost)}" for arm, lost in told]
    if not told:
        listed = [f"{arm.arm} {_levels(arm, challenge)}" for arm, _ in known]
    more = [f"{len(listed) - MOST_NAMES} more, in the table"] if len(listed) > MOST_NAMES else []
    return [f"{start}: {'; '.join([*listed[:MOST_NAMES], *more])}."]


def _levels(arm: ArmTransfer, challenge: Challenge) -> str:
    before, here = trained(arm).success, score_of(arm, challenge).success
    assert before is not None
    assert here is not None
    return f"{text.percent(here.rate)}, from {text.percent(before.rate)}"


def _combination_itself(arms: list[ArmTransfer], challenge: Challenge) -> list[str]:
    """Say for how many a loss is left in the same scenes."""
    scores = [(arm.arm, score_of(arm, challenge)) for arm in arms]
    known = [(name, s.lost_beside) for name, s in scores if s.lost_beside is not None]
    if not known:
        return []
    told = [f"{name} {loss_text(lost)}" for name, lost in known if is_told_from_nothing(lost)]
    start = "Against the very same scenes, asked for a combination that was shown, "
    if not told:
        return [f"{start}none of the {len(known)} strategies is shown to lose anything."]
    return [f"{start}the combination itself makes: {'; '.join(told)}."]


def _at_chance(arms: list[ArmTransfer], challenge: Challenge) -> list[str]:
    found = [arm for arm in arms if not is_above_chance(score_of(arm, challenge))]
    if not found:
        return []
    verb = "is" if len(found) == 1 else "are"
    chance = text.percent(score_of(found[0], challenge).chance)
    return [
        f"{text.listing([arm.arm for arm in found])} {verb} not shown to be above chance in "
        f"{challenge.env}: guessing among the scene's tasks gives {chance}."
    ]


def _known_words(arms: list[ArmTransfer], challenge: Challenge) -> list[str]:
    """Say who understands more of a paraphrase than the words that training showed."""
    if challenge.relation != PARAPHRASES or not arms:
        return []
    above = [arm.arm for arm in arms if is_above_known_words(score_of(arm, challenge))]
    chance = score_of(arms[0], challenge).chance_by_words or 0.0
    start = (
        "Paraphrases keep some words that training showed, such as colours: reading these alone "
        f"and guessing the rest gives {text.percent(chance)}"
    )
    if not above:
        return [f"{start}, and no strategy is shown to be above that."]
    return [f"{start}; above that {'is' if len(above) == 1 else 'are'} {text.listing(above)}."]


def _new_verbs(result: TransferResult) -> list[str]:
    """Say whether anything at all is done where the verb was never shown."""
    asked = [
        (arm, score_of(arm, challenge))
        for challenge in never_seen(result, VERBS)
        for arm in strategies(result)
        if score_of(arm, challenge).success is not None
    ]
    if not asked:
        return []
    verbs = text.listing(list(dict.fromkeys(suite(score.challenge) for _, score in asked)))
    found = [(arm, score) for arm, score in asked if is_above_chance(score)]
    start = f"Suites whose verb no demonstration shows ({verbs}): "
    if not found:
        return [
            f"{start}no strategy is shown to be above chance, as is to be expected of actions that "
            "were never taught."
        ]
    parts = [_above(result, arm, score) for arm, score in found]
    return [
        f"{start}above chance {'is' if len(parts) == 1 else 'are'} {'; '.join(parts)}. What the "
        "trained movement does by itself succeeds without any verb being understood."
    ]


def _above(result: TransferResult, arm: ArmTransfer, score: TransferScore) -> str:
    assert score.success is not None
    told = (
        f"{arm.arm} in {score.challenge.env}, {text.rate_with_interval(score.success)} over "
        f"{text.percent(score.chance)}"
    )
    for control in result.arms:
        if control.control == "instruction_masked" and control.arm.startswith(arm.arm):
            without = score_of(control, score.challenge).success
            if without is not None and without.high >= score.success.low:
                return f"{told}, but not told from {text.percent(without.rate)} without instruction"
    return told


def _nothing_to_lose(result: TransferResult) -> list[str]:
    found = [arm.arm for arm in strategies(result) if not is_above_chance(trained(arm))]
    if not found:
        return []
    verb, own = ("is", "it was") if len(found) == 1 else ("are", "they were")
    return [
        f"{text.listing(found)} {verb} not shown to be above chance even on what {own} trained "
        "for: nothing can be lost there, and no loss is compared."
    ]
