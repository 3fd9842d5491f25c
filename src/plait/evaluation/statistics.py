"""What can be concluded from counts of successes: intervals, paired tests, summaries of arms.

Episodes are paired: every arm plays the same scenes, so two arms are compared on the scenes where
they disagree, which is far more telling than two intervals side by side. The intervals speak of
the policies that were trained; what another training seed would give is in the spread of
`ArmSummary.seed_rates`, and in `crossed_bootstrap` where there are seeds enough.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean, median

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import optimize, stats

from plait.errors import OptionError, PlaitError
from plait.results import ArmSummary, Cost, EpisodeResult, PairedComparison, Rate, RunResult

SIGNIFICANCE = 0.05
MIN_BOOTSTRAP_SEEDS = 3


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Rate:
    """Return a success rate with its Wilson score interval; [0, 1] where there were no trials.

    Reference: Wilson, 1927; recommended by Brown, Cai & DasGupta, 2001.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials cannot be")
    if trials == 0:
        return Rate(successes=0, trials=0, rate=0.0, low=0.0, high=1.0)
    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Rate(
        successes=successes,
        trials=trials,
        rate=successes / trials,
        low=float(interval.low),
        high=float(interval.high),
    )


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Return the two-sided p-value that both arms are equally good, from the scenes they split.

    Under the hypothesis each scene that only one arm solved is a fair coin: the exact binomial
    test; 1 where there is no such scene.

    Reference: McNemar, 1947; exact form as in Fagerland, Lydersen & Laake, 2014.
    """
    num_split = first_only + second_only
    if num_split == 0:
        return 1.0
    return float(stats.binomtest(first_only, num_split, 0.5).pvalue)


def paired_difference_interval(
    first_only: int, second_only: int, trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the score interval of the difference of two paired rates.

    All Δ with `(b - c - nΔ)² ≤ z² n (2 q(Δ) + Δ(1 - Δ))`, where q(Δ) is the probability of a
    second-only pair that is most likely given the difference Δ: the positive root of
    `2n q² + ((2n - b + c)Δ - b - c) q - cΔ(1 - Δ) = 0`.

    Args:
        first_only: b, scenes that only the first arm solved.
        second_only: c, scenes that only the second arm solved.
        trials: n, all scenes.
        confidence: Coverage, in (0, 1).

    Returns:
        Lower and upper limit of rate(first) - rate(second).

    Reference: Tango, 1998, Statistics in Medicine 17, eq. (10)-(14).
    """
    b, c, n = first_only, second_only, trials
    if n < 1 or b < 0 or c < 0 or b + c > n:
        raise ValueError(f"{b} and {c} split scenes among {n} cannot be")
    z = float(stats.norm.ppf(0.5 + confidence / 2))

    def excess(delta: float) -> float:
        """Negative inside the interval, positive outside."""
        linear = (2 * n - b + c) * delta - b - c
        root = math.sqrt(max(linear**2 + 8 * n * c * delta * (1 - delta), 0.0))
        second_only_probability = (root - linear) / (4 * n)
        variance = n * (2 * second_only_probability + delta * (1 - delta))
        return float((b - c - n * delta) ** 2 - z**2 * variance)

    estimate = (b - c) / n
    # At the estimate itself the variance may vanish; a hair beside it the sign is clear.
    low = -1.0 if b - c == -n else optimize.brentq(excess, -1.0, estimate - 1e-12)
    high = 1.0 if b - c == n else optimize.brentq(excess, estimate + 1e-12, 1.0)
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being several: the chance of any false finding stays below the level.

    `p̃_(i) = max_{j ≤ i} min(1, (m - j + 1) p_(j))` over the sorted p-values.

    Reference: Holm, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def crossed_bootstrap(
    values: Float[ndarray, "seeds scenes"],
    generator: np.random.Generator,
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
) -> tuple[float, float]:
    """Return a percentile interval of the mean that covers other training seeds and other scenes.

    Both axes are drawn anew with replacement, independently: the same scenes are played by every
    training seed, so they are crossed, not nested.

    Args:
        values: Success (0 or 1), or a paired difference of successes (-1, 0 or 1).
        generator: Draws the resamples.
        confidence: Coverage, in (0, 1).
        num_resamples: Bootstrap samples.

    Raises:
        ValueError: With fewer than three training seeds, where the spread cannot be resampled.

    Reference: Owen, 2007 (the pigeonhole bootstrap).
    """
    num_seeds, num_scenes = values.shape
    if num_seeds < MIN_BOOTSTRAP_SEEDS:
        raise ValueError(f"{num_seeds} training seeds are too few to resample; 3 are needed")
    seed_counts = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), num_resamples)
    scene_counts = generator.multinomial(
        num_scenes, np.full(num_scenes, 1 / num_scenes), num_resamples
    )
    means = ((seed_counts @ values) * scene_counts).sum(axis=1) / values.size
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def summarise_arms(runs: Sequence[RunResult]) -> tuple[ArmSummary, ...]:
    """Put the training seeds of every arm together, best arm first.

    Raises:
        OptionError: If an arm has two runs with the same training seed.
    """
    summaries = [_summarise(arm_runs) for arm_runs in _by_arm(runs).values()]
    return tuple(sorted(summaries, key=lambda arm: (-arm.success.rate, arm.arm)))


def compare_pairs(runs: Sequence[RunResult]) -> tuple[PairedComparison, ...]:
    """Compare arms on the episodes they share: same training seed, same scene.

    Every two strategies that learned from the same share of the demonstrations are compared, and
    every control with its own strategy; the p-values are adjusted over all of these together. Pairs
    come in the order of the arms, best first.

    Raises:
        OptionError: If an arm has two runs with the same training seed.
        PlaitError: If two arms share no episode.
    """
    groups = _by_arm(runs)
    names = [summary.arm for summary in summarise_arms(runs)]
    pairs = [
        _compare(name, groups[name], other, groups[other])
        for name, other in combinations(names, 2)
        if _are_comparable(groups[name][0], groups[other][0])
    ]
    adjusted = holm([mcnemar_exact(pair.first_only, pair.second_only) for pair in pairs])
    return tuple(
        replace(pair, p_value=p_value, differs=p_value < SIGNIFICANCE)
        for pair, p_value in zip(pairs, adjusted, strict=True)
    )


def _by_arm(runs: Sequence[RunResult]) -> dict[str, list[RunResult]]:
    """Group runs by arm, sorted by training seed."""
    groups: dict[str, list[RunResult]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        group = groups.setdefault(run.arm, [])
        if group and group[-1].seed == run.seed:
            raise OptionError(f"the arm {run.arm!r} has two runs with training seed {run.seed}")
        group.append(run)
    return groups


def _summarise(runs: Sequence[RunResult]) -> ArmSummary:
    episodes = [episode for run in runs for episode in run.episodes]
    held_out = [episode for run in runs for episode in run.holdout_episodes]
    tasks = sorted({episode.task for episode in episodes})
    outcomes = Counter(episode.outcome for episode in episodes)
    return ArmSummary(
        arm=runs[0].arm,
        fusion=runs[0].fusion,
        control=runs[0].control,
        success=_rate(episodes),
        per_task={task: _rate([e for e in episodes if e.task == task]) for task in tasks},
        outcomes=dict(outcomes.most_common()),
        seed_rates=tuple(_rate(run.episodes).rate for run in runs),
        chance=guessing(episodes),
        cost=typical_cost([run.cost for run in runs]),
        validation_action_error=fmean(run.validation_action_error for run in runs),
        holdout=_rate(held_out) if held_out else None,
        init=runs[0].init,
        train_fraction=runs[0].train_fraction,
        robust=runs[0].robust,
    )


def guessing(episodes: Sequence[EpisodeResult]) -> float:
    """Return how often guessing among the objects succeeds; 0 where no scene has several."""
    if all(episode.num_candidates == 1 for episode in episodes):
        return 0.0
    return fmean(1 / episode.num_candidates for episode in episodes)


def _rate(episodes: Sequence[EpisodeResult]) -> Rate:
    return wilson(sum(episode.success for episode in episodes), len(episodes))


def typical_cost(costs: Sequence[Cost]) -> Cost:
    """Sizes are the same for every seed; of the times, the median over the seeds."""
    return Cost(
        num_parameters=costs[0].num_parameters,
        flops_per_action_chunk=costs[0].flops_per_action_chunk,
        latency_ms_median=median(cost.latency_ms_median for cost in costs),
        latency_ms_p99=median(cost.latency_ms_p99 for cost in costs),
        train_seconds=median(cost.train_seconds for cost in costs),
        train_samples_per_second=median(cost.train_samples_per_second for cost in costs),
    )


def _are_comparable(first: RunResult, second: RunResult) -> bool:
    if first.train_fraction != second.train_fraction:
        return False
    controls = [run.control for run in (first, second) if run.control is not None]
    kinds = [(run.fusion, run.init, run.robust) for run in (first, second)]
    is_same_arm = kinds[0] == kinds[1]
    return not controls or (len(controls) == 1 and is_same_arm)


def _compare(
    name: str, runs: Sequence[RunResult], other: str, other_runs: Sequence[RunResult]
) -> PairedComparison:
    """Count where two arms differ; the p-value is filled in once all pairs are known."""
    solved, other_solved = _solved(runs), _solved(other_runs)
    shared = solved.keys() & other_solved.keys()
    if not shared:
        raise PlaitError(
            f"the arms {name!r} and {other!r} share no episode (training seed and scene), so they "
            "cannot be compared; evaluate both on the same seeds"
        )
    only = sum(solved[key] and not other_solved[key] for key in shared)
    other_only = sum(other_solved[key] and not solved[key] for key in shared)
    if other_only > only:
        name, other, only, other_only = other, name, other_only, only
    low, high = paired_difference_interval(only, other_only, len(shared))
    return PairedComparison(
        first=name,
        second=other,
        first_only=only,
        second_only=other_only,
        difference=(only - other_only) / len(shared),
        low=low,
        high=high,
        p_value=1.0,
        differs=False,
    )


def _solved(runs: Sequence[RunResult]) -> Mapping[tuple[int, int], bool]:
    return {(run.seed, episode.seed): episode.success for run in runs for episode in run.episodes}
