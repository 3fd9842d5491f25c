"""Arms and pairs of arms from the errors of episodes, with intervals by episode bootstrap.

Episodes are drawn again, each with all that was measured on it: the intervals cover the choice of
held-out episodes, not that of the training episodes or of the training seed.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from plait.evaluation.statistics import typical_cost
from plait.results import Estimate
from plait.results.open_loop import (
    BASELINE,
    CONTROL,
    STRATEGY,
    EpisodeError,
    ErrorPair,
    OpenLoopArm,
    OpenLoopRun,
)

NUM_DRAWS = 5000
PERCENTILES = (2.5, 97.5)


def estimate(values: Float[ndarray, " episodes"], seed: int = 0) -> Estimate:
    """Return the mean over episodes with its bootstrap interval; those that are NaN are left out.

    Args:
        values: One an episode; at least one is a number.
        seed: Of the draws.
    """
    values = values[~np.isnan(values)]
    rng = np.random.default_rng(seed)
    draws = values[rng.integers(0, len(values), size=(NUM_DRAWS, len(values)))].mean(axis=1)
    low, high = np.percentile(draws, PERCENTILES)
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))


def summarise_open_loop(
    runs: Sequence[OpenLoopRun], baselines: Mapping[str, tuple[EpisodeError, ...]]
) -> tuple[tuple[OpenLoopArm, ...], tuple[ErrorPair, ...]]:
    """Put training seeds together and compare arms, smallest error first.

    Args:
        runs: Every training of every arm.
        baselines: The same episodes by name of baseline.

    Returns:
        Arms, and the pairs that mean something: strategies with each other and with the baselines
        where they learned from equally much, and controls with their own strategy.
    """
    groups: dict[str, list[OpenLoopRun]] = {}
    for run in runs:
        groups.setdefault(run.arm, []).append(run)
    arms = [_arm(group) for group in groups.values()]
    arms += [_baseline(name, episodes) for name, episodes in baselines.items()]
    arms.sort(key=lambda arm: (arm.error.value, arm.arm))
    errors = {name: _over_seeds(group) for name, group in groups.items()}
    errors |= {name: _errors(episodes) for name, episodes in baselines.items()}
    pairs = [
        ErrorPair(
            first=first.arm,
            second=second.arm,
            difference=estimate(errors[second.arm] - errors[first.arm]),
        )
        for first, second in combinations(arms, 2)
        if _are_comparable(first, second)
    ]
    return tuple(arms), tuple(pairs)


def _are_comparable(first: OpenLoopArm, second: OpenLoopArm) -> bool:
    kinds = {first.kind, second.kind}
    if kinds == {STRATEGY}:
        return first.train_fraction == second.train_fraction
    if kinds == {STRATEGY, BASELINE}:
        return True
    return kinds == {STRATEGY, CONTROL} and _training(first) == _training(second)


def _training(arm: OpenLoopArm) -> tuple[str, str, float, bool]:
    return arm.fusion, arm.init, arm.train_fraction, arm.robust


def _arm(runs: Sequence[OpenLoopRun]) -> OpenLoopArm:
    first = runs[0]
    return OpenLoopArm(
        arm=first.arm,
        kind=STRATEGY if first.control is None else CONTROL,
        fusion=first.fusion,
        control=first.control,
        error=estimate(_over_seeds(runs)),
        per_step=_per_step(np.mean([_steps(run.episodes) for run in runs], axis=0)),
        seed_errors=tuple(fmean(e.error for e in run.episodes) for run in runs),
        cost=typical_cost([run.cost for run in runs]),
        init=first.init,
        train_fraction=first.train_fraction,
        robust=first.robust,
    )


def _baseline(name: str, episodes: Sequence[EpisodeError]) -> OpenLoopArm:
    return OpenLoopArm(
        arm=name,
        kind=BASELINE,
        error=estimate(_errors(episodes)),
        per_step=_per_step(_steps(episodes)),
    )


def _over_seeds(runs: Sequence[OpenLoopRun]) -> Float[ndarray, " episodes"]:
    """Average over the training seeds, episode by episode."""
    return np.asarray(np.mean([_errors(run.episodes) for run in runs], axis=0))


def _errors(episodes: Sequence[EpisodeError]) -> Float[ndarray, " episodes"]:
    return np.array([episode.error for episode in episodes])


def _steps(episodes: Sequence[EpisodeError]) -> Float[ndarray, "episodes horizon"]:
    return np.array([episode.per_step for episode in episodes], dtype=np.float64)


def _per_step(errors: Float[ndarray, "episodes horizon"]) -> tuple[Estimate, ...]:
    """Estimate every step of the horizon, up to the first that no episode reaches."""
    reached = ~np.isnan(errors).all(axis=0)
    return tuple(estimate(column) for column in errors[:, reached].T)
