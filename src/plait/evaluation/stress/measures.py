"""Averages over conditions, as functions of each condition's mean: for a policy and its resamples.

A function takes means, `[draws conditions]` of performance where higher is better, and returns one
number a draw.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from plait.evaluation.stress.summary import CLEAN_SEVERITY, area_under_curve
from plait.results.options import CORRUPTED, KEPT, LESS_LOST, ONE_MISSING, UNDISTURBED, WORST
from plait.results.stress import CAMERA, CLEAN, CORRUPTION, LOSES_THE_TASK, MISSING, Condition
from plait.types import LANGUAGE

Means = Float[ndarray, "draws conditions"]
Numbers = Float[ndarray, " draws"]


@dataclass(frozen=True)
class Measure:
    """A number of a policy.

    Attributes:
        name: See `plait.results.options.Effect`.
        group: The modality of a single condition; else empty.
        of: Computes it from the means of all conditions.
        detail: Which condition it is, of the worst one.
        index: Of the condition, where it is a single one.
    """

    name: str
    group: str
    of: Callable[[Means], Numbers]
    detail: str = ""
    index: int | None = None


def averages(
    conditions: Sequence[Condition], means: Float[ndarray, " conditions"]
) -> list[Measure]:
    """Return the averages that a policy is judged by.

    Args:
        conditions: The clean one among them.
        means: Of the policy, which tell its worst condition; it stays that one in all resamples.
    """
    clean, groups = _clean(conditions), list(_by_corruption(conditions).values())
    found = [_single(UNDISTURBED, "", clean)]
    if groups:
        corrupted = _weights(conditions, groups)
        lost = corrupted - np.eye(len(conditions))[clean]
        worst = min((index for group in groups for index in group), key=means.__getitem__)
        name = f"{conditions[worst].name} {conditions[worst].severity}"
        found += [
            Measure(CORRUPTED, "", partial(_weighted, weights=corrupted)),
            Measure(LESS_LOST, "", partial(_weighted, weights=lost)),
            _single(WORST, "", worst, name),
        ]
    senses = [index for index, each in enumerate(conditions) if _is_one_sense(each)]
    if senses:
        weights = _weights(conditions, [senses])
        found.append(Measure(ONE_MISSING, "", partial(_weighted, weights=weights)))
    return [*found, *_kept(conditions)]


def single_conditions(conditions: Sequence[Condition]) -> list[Measure]:
    """Return the clean condition, every corruption over its severities, everything missing."""
    found = [_single(UNDISTURBED, "", _clean(conditions))]
    for name, group in _by_corruption(conditions, LOSES_THE_TASK).items():
        weights = _weights(conditions, [group])
        modality = conditions[group[0]].modality
        is_single = len(group) == 1
        averaged = Measure(name, modality, partial(_weighted, weights=weights))
        found.append(_single(name, modality, group[0]) if is_single else averaged)
    for index, each in enumerate(conditions):
        if each.kind in (CAMERA, MISSING) and len(each.missing) < 2:
            name = f"without {'camera ' if each.kind == CAMERA else ''}{each.name}"
            found.append(_single(name, MISSING, index))
    return found


def _single(name: str, group: str, index: int, detail: str = "") -> Measure:
    return Measure(name, group, partial(_one, index=index), detail, index)


def _kept(conditions: Sequence[Condition]) -> list[Measure]:
    """Return the mean relative robustness of each modality."""
    clean = _clean(conditions)
    areas: dict[str, list[Float[ndarray, " conditions"]]] = {}
    for group in _by_corruption(conditions).values():
        modality = conditions[group[0]].modality
        areas.setdefault(modality, []).append(_area(conditions, group, clean))
    return [
        Measure(f"{KEPT} {name}", name, partial(_share, weights=np.mean(each, axis=0), of=clean))
        for name, each in areas.items()
    ]


def _area(
    conditions: Sequence[Condition], group: Sequence[int], clean: int
) -> Float[ndarray, " conditions"]:
    """Return the weights of the area under a severity curve, which is linear in its points."""
    severities = {CLEAN_SEVERITY: clean} | {conditions[index].severity: index for index in group}
    weights = np.zeros(len(conditions))
    for severity, index in severities.items():
        weights[index] = area_under_curve({each: float(each == severity) for each in severities})
    return weights


def _by_corruption(
    conditions: Sequence[Condition], without: Sequence[str] = LOSES_THE_TASK
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, each in enumerate(conditions):
        if each.kind == CORRUPTION and each.name not in without:
            found.setdefault(each.name, []).append(index)
    return found


def _weights(
    conditions: Sequence[Condition], groups: Sequence[Sequence[int]]
) -> Float[ndarray, " conditions"]:
    """Weigh every group alike, and every condition in it."""
    weights = np.zeros(len(conditions))
    for group in groups:
        weights[list(group)] += 1 / (len(groups) * len(group))
    return weights


def _is_one_sense(condition: Condition) -> bool:
    """Say whether a camera or a modality is missing; without an instruction nothing is right."""
    is_alone = condition.kind == MISSING and len(condition.missing) == 1
    return condition.kind == CAMERA or (is_alone and condition.missing != (LANGUAGE,))


def _clean(conditions: Sequence[Condition]) -> int:
    return next(index for index, each in enumerate(conditions) if each.kind == CLEAN)


def _one(means: Means, index: int) -> Numbers:
    return means[:, index]


def _weighted(means: Means, weights: Float[ndarray, " conditions"]) -> Numbers:
    return means @ weights


def _share(means: Means, weights: Float[ndarray, " conditions"], of: int) -> Numbers:
    """Return a weighted mean over a condition; not a number where that is not above zero."""
    whole = means[:, of]
    return np.where(whole > 0, means @ weights / np.where(whole > 0, whole, 1.0), np.nan)
