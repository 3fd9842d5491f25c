"""What the numbers allow to be said, in plain sentences, and what they do not.

A strategy is called better only where the paired test differs after Holm's adjustment. What is not
told apart is called that, never equal.
"""

from collections.abc import Sequence
from math import ceil, log10, sqrt
from statistics import NormalDist

from plait.report import text
from plait.report.robust import conclude_robust
from plait.report.starts import conclude_starts, with_most_data
from plait.report.style import controls, strategies
from plait.report.views import find_pair
from plait.results import ArmSummary, Comparison, Rate

SIGNIFICANCE = 0.05
POWER = 0.8
MOST_NAMES = 4
NOTHING_LEARNED = "learned nothing about fusion that these episodes can show"


def conclude(comparison: Comparison) -> tuple[str, ...]:
    """Say what a comparison found: who is best, at what price, and what to doubt.

    Args:
        comparison: With its arms best first.

    Returns:
        Sentences, the most important first; a warning alone where the numbers mean nothing.
    """
    if not comparison.is_meaningful:
        return (_warning(comparison),)
    ranked = with_most_data(comparison)
    if not ranked:
        return ("No strategy was evaluated, only controls.",)
    tied = _tied_with_best(comparison, ranked)
    sentences = _winner(comparison, ranked, tied)
    sentences += conclude_starts(comparison)
    sentences += conclude_robust(comparison)
    sentences += _groups(comparison, ranked[0])
    for control in controls(comparison):
        sentences += _control(comparison, control)
    sentences += _not_above_controls(comparison, ranked)
    sentences += _at_chance(ranked)
    sentences += _holdout(ranked[0])
    sentences += _cost(ranked[0], ranked, tied)
    sentences.append(_training_noise(ranked))
    return tuple(sentences)


def episodes_to_separate(first_only: float, second_only: float, num_tests: int) -> int | None:
    """Return how many episodes a paired test needs to find a difference between two arms.

    `n = (z_α √(p₁₀ + p₀₁) + z_β √(p₁₀ + p₀₁ - (p₁₀ - p₀₁)²))² / (p₁₀ - p₀₁)²` for McNemar's test
    at 80% power, with the level 5% divided by the number of tests. Rough: it takes the shares seen
    for the true ones.

    Args:
        first_only: Share of the episodes that only the first arm solves.
        second_only: Share that only the second solves.
        num_tests: Tests among which the level is divided.

    Returns:
        Episodes in all; None where both shares are the same, which no number would tell apart.

    Reference: Connor, 1987, Biometrics 43 (sample size of the paired test of proportions).
    """
    difference, split = first_only - second_only, first_only + second_only
    if difference == 0:
        return None
    z_level = NormalDist().inv_cdf(1 - SIGNIFICANCE / (2 * num_tests))
    z_power = NormalDist().inv_cdf(POWER)
    root = z_level * sqrt(split) + z_power * sqrt(max(split - difference**2, 0.0))
    return ceil((root / difference) ** 2)


def _warning(comparison: Comparison) -> str:
    trials = strategies(comparison)[0].success.trials if strategies(comparison) else 0
    return (
        f"These numbers are too small to mean anything: the preset {comparison.preset} trains "
        f"briefly and plays {text.counted(trials, 'episode')} per strategy, to show that "
        "everything runs. Nothing is concluded from them."
    )


def _tied_with_best(comparison: Comparison, ranked: Sequence[ArmSummary]) -> list[ArmSummary]:
    """Return the strategies that no test tells from the best, without the best itself."""
    tied = []
    for arm in ranked[1:]:
        pair = find_pair(comparison, ranked[0].arm, arm.arm)
        if pair is None or not pair.differs:
            tied.append(arm)
    return tied


def _winner(
    comparison: Comparison, ranked: Sequence[ArmSummary], tied: Sequence[ArmSummary]
) -> list[str]:
    best = ranked[0]
    success = f"{text.rate_with_interval(best.success)} of {_episodes(best.success)}"
    if len(ranked) == 1:
        return [f"{best.arm} succeeds in {success}; there is no other strategy to compare it with."]
    if not tied:
        second = ranked[1]
        pair = find_pair(comparison, best.arm, second.arm)
        assert pair is not None  # an arm without a comparison counts as tied
        others = "the other strategy" if len(ranked) == 2 else "every other strategy"
        return [
            f"{best.arm} is better than {others}: it succeeds in {success}, the next, "
            f"{second.arm}, in {text.percent(second.success.rate)} ({text.points(pair.difference)} "
            f"points, 95% interval {text.points_interval(pair)}, {text.p_value(pair.p_value)})."
        ]
    names = [arm.arm for arm in tied]
    worse = [arm.arm for arm in ranked[1:] if arm.arm not in names]
    sentence = (
        f"There is no single winner: {best.arm} has the highest success, {success}, but that many "
        f"episodes do not tell it from {text.listing(names)}."
    )
    if worse:
        names = worse if len(worse) <= MOST_NAMES else [f"The {len(worse)} others"]
        sentence += f" {text.listing(names)} {_is(worse)} worse than {best.arm}."
    return [sentence, *_more_episodes(comparison, best, tied[0])]


def _more_episodes(comparison: Comparison, best: ArmSummary, other: ArmSummary) -> list[str]:
    pair = find_pair(comparison, best.arm, other.arm)
    trials = min(best.success.trials, other.success.trials)
    if pair is None or trials == 0:
        return []
    needed = episodes_to_separate(
        pair.first_only / trials, pair.second_only / trials, len(comparison.comparisons)
    )
    if needed is None:
        return [
            f"{best.arm} and {other.arm} solved equally many episodes: more episodes would be "
            "needed to see any difference at all."
        ]
    return [
        f"To tell {best.arm} from {other.arm} would take roughly {_rounded(needed - trials)} more "
        f"episodes each, if the difference is the {100 * abs(pair.difference):.1f} points seen "
        f"here (paired test, {POWER:.0%} power, corrected for "
        f"{text.counted(len(comparison.comparisons), 'comparison')})."
    ]


def _groups(comparison: Comparison, best: ArmSummary) -> list[str]:
    """Say how the best does by groups of tasks, and its controls where only some tasks are in any.

    Such are the tasks that share a scene, so that the instruction alone tells them apart.
    """
    sentences = []
    for index, grouping in enumerate(best.groups):
        shown = [f"{text.words(g.name)} {text.percent(g.success.rate)}" for g in grouping.groups]
        if grouping.together.trials == best.success.trials:
            if len(shown) > 1:
                sentences.append(
                    f"By {grouping.kind}, {best.arm} succeeds in: {text.listing(shown)}. The mean "
                    f"of these {len(shown)} groups, each counted alike, is "
                    f"{text.percent(grouping.mean.value)}."
                )
            continue
        beside = [
            f"{control.arm} in {text.rate_with_interval(control.groups[index].together)}"
            for control in controls(comparison)
            if control.fusion == best.fusion
        ]
        sentences.append(
            f"On tasks with a {grouping.kind} {best.arm} succeeds in "
            f"{text.rate_with_interval(grouping.together)} of {_episodes(grouping.together)}"
            + (f"; {text.listing(beside)}." if beside else ".")
        )
    return sentences


def _control(comparison: Comparison, control: ArmSummary) -> list[str]:
    pairs = [find_pair(comparison, arm.arm, control.arm) for arm in strategies(comparison)]
    pair = next((pair for pair in pairs if pair is not None), None)
    if pair is None:
        return []
    hidden, them = _hidden(control)
    level = text.rate_with_interval(control.success)
    if control.chance:
        level += f", {_position(control)}"
    if pair.differs and pair.difference > 0:
        return [
            f"{pair.first} uses {hidden}: without {them} in training and test, its success falls "
            f"by {100 * pair.difference:.1f} points ({text.p_value(pair.p_value)}) to {level}."
        ]
    if pair.differs:
        return [
            f"{pair.first} does better without {hidden}, at {level}: something is wrong with "
            "that modality, or with how it is woven in."
        ]
    return [
        f"{pair.first} is not shown to use {hidden}: without {them} it reaches {level}, and the "
        f"test does not tell the two apart ({text.p_value(pair.p_value)})."
    ]


def _not_above_controls(comparison: Comparison, ranked: Sequence[ArmSummary]) -> list[str]:
    hidden = controls(comparison)
    failed = [
        arm.arm for arm in ranked if any(not _is_above(comparison, arm, other) for other in hidden)
    ]
    if not failed:
        return []
    return [
        f"{text.listing(failed)} {_is(failed)} not shown to beat a control that was denied a "
        f"modality, and so {'has' if len(failed) == 1 else 'have'} {NOTHING_LEARNED}."
    ]


def _is_above(comparison: Comparison, arm: ArmSummary, control: ArmSummary) -> bool:
    """Whether the paired test says so; where there is none, whether the intervals are apart."""
    pair = find_pair(comparison, arm.arm, control.arm)
    if pair is not None:
        return pair.differs and pair.difference > 0
    return arm.success.low > control.success.high


def _at_chance(ranked: Sequence[ArmSummary]) -> list[str]:
    found = [arm for arm in ranked if arm.chance and arm.success.low <= arm.chance]
    if not found:
        return []
    names = [arm.arm for arm in found]
    return [
        f"{text.listing(names)} {_is(names)} not shown to be above chance: guessing among the "
        f"objects gives {text.percent(found[0].chance)}."
    ]


def _holdout(best: ArmSummary) -> list[str]:
    if best.holdout is None:
        return []
    seen, unseen = best.success, best.holdout
    if unseen.high < seen.low:
        verb = "falls to"
    elif unseen.low > seen.high:
        verb = "rises to"
    else:
        verb = "stays within the uncertainty, at"
    return [
        f"On combinations of words never seen in training {best.arm} {verb} "
        f"{text.rate_with_interval(unseen)}, from {text.percent(seen.rate)}."
    ]


def _cost(best: ArmSummary, ranked: Sequence[ArmSummary], tied: Sequence[ArmSummary]) -> list[str]:
    if len(ranked) < 2:
        return []
    group = [best, *tied]
    cheapest = min(group, key=lambda arm: arm.cost.latency_ms_median)
    fast, slow = cheapest.cost.latency_ms_median, best.cost.latency_ms_median
    if tied and cheapest is not best:
        return [
            f"Of the strategies not told from the best, {cheapest.arm} is the cheapest to run: "
            f"{text.milliseconds(fast)} a prediction against {text.milliseconds(slow)} for "
            f"{best.arm}, {text.duration(cheapest.cost.train_seconds)} of training against "
            f"{text.duration(best.cost.train_seconds)}."
        ]
    if tied:
        return [
            f"{best.arm} is also the cheapest to run of those not told from it: "
            f"{text.milliseconds(slow)} a prediction."
        ]
    fastest = min(ranked, key=lambda arm: arm.cost.latency_ms_median)
    if fastest is best:
        return [f"{best.arm} is also the fastest: {text.milliseconds(slow)} a prediction."]
    return [
        f"{best.arm} takes {text.milliseconds(slow)} a prediction; the fastest, {fastest.arm}, "
        f"takes {text.milliseconds(fastest.cost.latency_ms_median)} and succeeds in "
        f"{text.percent(fastest.success.rate)}."
    ]


def _training_noise(ranked: Sequence[ArmSummary]) -> str:
    if min(len(arm.seed_rates) for arm in ranked) < 2:
        return (
            "Every strategy was trained with one seed: how far another training would move these "
            "numbers is unknown, and the intervals do not cover it."
        )
    spreads = {arm.arm: max(arm.seed_rates) - min(arm.seed_rates) for arm in ranked}
    widest = max(spreads, key=lambda name: spreads[name])
    return (
        f"Training noise: between training seeds, success moves by up to "
        f"{100 * spreads[widest]:.1f} points ({widest}); the intervals speak of the policies that "
        "were trained, not of those that other seeds would give."
    )


def _position(control: ArmSummary) -> str:
    """Say where a control stands to chance."""
    chance = text.percent(control.chance)
    if control.success.low > control.chance:
        return f"above chance ({chance}), so part of the task can be done without it"
    if control.success.high < control.chance:
        return f"below chance ({chance})"
    return f"which cannot be told from chance ({chance})"


def _hidden(control: ArmSummary) -> tuple[str, str]:
    """Return what a control hides, and its pronoun."""
    known = {
        "instruction_masked": ("the instruction", "it"),
        "images_masked": ("the images", "them"),
    }
    return known.get(str(control.control), ("what the control hides", "it"))


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _episodes(rate: Rate) -> str:
    return text.counted(rate.trials, "episode")


def _rounded(number: int) -> str:
    """Round to two significant digits: more would pretend to know."""
    if number < 10:
        return str(max(number, 1))
    step = 10 ** (int(log10(number)) - 1)
    return f"{ceil(number / step) * step:,}"
