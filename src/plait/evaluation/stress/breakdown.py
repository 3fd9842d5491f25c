"""Contributions group by group, and which of them intervals tell from the others.

Within a group the Shapley values add up to what lies between everything and nothing on its scenes
or episodes. Two claims are made, each only where intervals allow it:

    leader      a modality gives more than any other does; paired by scene, for all groups at once
    departure   a modality gives more, or less, than on average in the other groups; for all
                groups and modalities at once

Scenes or episodes are drawn again with all that was measured on them, for groups may share them.
The standard deviation over the draws times a quantile of Student's t, with as many degrees of
freedom as the smallest group leaves, is the half-width: quantiles of the draws themselves are too
narrow that far out, and found something in 17 of 150 families without differences.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student_t

from plait.evaluation.stress.contributions import contribution, shapley_values
from plait.evaluation.stress.groups import Group, Grouping, phases, subgoals, tasks
from plait.results.stress import (
    CLOSED,
    Breakdown,
    Cell,
    Contribution,
    ContributionGroup,
)

NUM_DRAWS = 2000
ERROR_RATE = 0.05
TASK, PHASE, SUBGOAL = "task", "phase", "sub-goal"


def breakdowns(cells: Sequence[Cell], trivial: Cell | None) -> tuple[Breakdown, ...]:
    """Return contributions by task, and by phase of the episode or sub-goal of the scene.

    Args:
        cells: All of a loop, the clean one first.
        trivial: Errors of the mean action and instructions of the episodes, in open loop.
    """
    is_closed = cells[0].loop == CLOSED
    found = {
        TASK: tasks(cells, trivial),
        SUBGOAL if is_closed else PHASE: subgoals(cells) if is_closed else phases(cells, trivial),
    }
    return tuple(
        Breakdown(by=by, groups=break_down(each.groups, is_error=not is_closed), note=each.note)
        for by, each in found.items()
        if each != Grouping()
    )


def break_down(
    groups: Sequence[Group], *, is_error: bool, seed: int = 0
) -> tuple[ContributionGroup, ...]:
    """Return the contributions in each group.

    Args:
        groups: At least two; they may share scenes.
        is_error: Whether gains are errors with a minus sign.
        seed: Of the draws.
    """
    if len(groups) < 2:
        return ()
    values = [shapley_values(group.gains) for group in groups]
    modalities = list(values[0])
    drawn = _drawn_means(groups, values, seed)
    means = np.array([[each[name].mean() for name in modalities] for each in values])
    sign = -1 if is_error else 1
    found = []
    for index, group in enumerate(groups):
        all_of_them, none = group.gains[frozenset(modalities)], group.gains[frozenset()]
        found.append(
            ContributionGroup(
                name=group.name,
                num_units=len(group.units),
                everything=sign * float(all_of_them.mean()),
                nothing=sign * float(none.mean()),
                contributions=tuple(contribution(m, v) for m, v in values[index].items()),
                perceptual=tuple(contribution(m, v) for m, v in group.perceptual.items()),
                leader=_leader(
                    modalities, means[index], drawn[:, index], _half_width(groups, len(groups))
                ),
                departures=_departures(
                    modalities, means, drawn, index, _half_width(groups, means.size)
                ),
            )
        )
    return tuple(found)


def _drawn_means(
    groups: Sequence[Group],
    values: Sequence[Mapping[str, Float[np.ndarray, " _"]]],
    seed: int,
) -> Float[np.ndarray, "draws groups modalities"]:
    """Return the mean values of every group in scenes that are drawn again for all of them."""
    everyone = np.unique(np.concatenate([group.units for group in groups]))
    rng = np.random.default_rng(seed)
    count = len(everyone)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=NUM_DRAWS)
    means = []
    for group, each in zip(groups, values, strict=True):
        drawn = weights[:, np.searchsorted(everyone, group.units)]
        total = np.stack([drawn @ column for column in each.values()], axis=1)
        # A group that no draw hits has no mean in it.
        means.append(total / np.maximum(drawn.sum(axis=1, keepdims=True), 1))
    return np.stack(means, axis=1)


def _half_width(groups: Sequence[Group], num_comparisons: int) -> float:
    """Return the half-width of intervals that hold for all comparisons, in standard deviations."""
    smallest = min(len(group.units) for group in groups)
    return float(student_t.ppf(1 - ERROR_RATE / 2 / num_comparisons, smallest - 1))


def _leader(
    modalities: Sequence[str],
    means: Float[np.ndarray, " modalities"],
    drawn: Float[np.ndarray, "draws modalities"],
    half_width: float,
) -> str:
    """Name the modality whose lead over every other is above zero by its interval."""
    first = int(means.argmax())
    leads = np.delete(means[first] - means, first)
    spread = np.delete(drawn[:, first : first + 1] - drawn, first, axis=1).std(axis=0)
    is_told = bool((leads > half_width * spread).all())
    return modalities[first] if is_told and means[first] > 0 else ""


def _departures(
    modalities: Sequence[str],
    means: Float[np.ndarray, "groups modalities"],
    drawn: Float[np.ndarray, "draws groups modalities"],
    index: int,
    half_width: float,
) -> tuple[Contribution, ...]:
    """Return how far the values of a group are from their means over the others."""
    departures = means[index] - np.delete(means, index, axis=0).mean(axis=0)
    spread = (drawn[:, index] - np.delete(drawn, index, axis=1).mean(axis=1)).std(axis=0)
    return tuple(
        Contribution(
            modality=name,
            value=float(value),
            low=float(value - half_width * each),
            high=float(value + half_width * each),
        )
        for name, value, each in zip(modalities, departures, spread, strict=True)
    )
