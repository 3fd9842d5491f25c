"""Do other ways of training help? Paired differences between policies under the same stress.

All policies meet the same scenes (or held-out episodes) under the same conditions, so a scene is
drawn again with all that every policy did in it. Where a way of training has several seeds, those
are drawn again as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from plait.errors import OptionError
from plait.evaluation.statistics import paired_difference_interval
from plait.evaluation.stress.averages import performance_by_unit
from plait.evaluation.stress.measures import Measure, averages, single_conditions
from plait.results.options import (
    CORRUPTED,
    KEPT,
    ONE_MISSING,
    Effect,
    Option,
    OptionComparison,
    Verdict,
)
from plait.results.stress import (
    CAMERA,
    CLEAN,
    CORRUPTION,
    LOSES_THE_TASK,
    MISSING,
    Cell,
    Condition,
)

NUM_DRAWS = 10_000
CONFIDENCE = 0.95
RANKED_BY = (CORRUPTED, ONE_MISSING)
COMPARED = (CLEAN, CORRUPTION, MISSING, CAMERA)


@dataclass(frozen=True)
class Trained:
    """A way of training, and all that was played with its policies.

    Attributes:
        option: With its name, changes and policies; no effects yet.
        cells: Of every policy, by the key of the condition.
    """

    option: Option
    cells: tuple[Mapping[str, Cell], ...]


@dataclass(frozen=True)
class _Judged:
    """A way of training in numbers: means of all conditions, and the same of every resample.

    Of a single training in closed loop there is also which scenes it solved.
    """

    name: str
    solved: Float[ndarray, "units conditions"] | None
    means: Float[ndarray, " conditions"]
    draws: Float[ndarray, "draws conditions"]
    averages: Sequence[Measure]
    conditions: Sequence[Measure]


def compare_options(
    trained: Sequence[Trained],
    conditions: Sequence[Condition],
    loop: str,
    *,
    trivial: float | None = None,
    seed: int = 0,
) -> OptionComparison:
    """Compare ways of training with the first of them.

    Args:
        trained: That of the policy under stress first, and at least one other.
        conditions: What to compare; a corruption that a policy was not played with, or refused, is
            left out.
        loop: `closed` or `open`.
        trivial: Error of always predicting the mean action, in open loop.
        seed: Of the draws.

    Raises:
        OptionError: If there are fewer than two policies or scenes, or the scenes differ.
    """
    units = _units(trained)
    common = _in_common(trained, conditions)
    judged = _judge(trained, common, trivial, np.random.default_rng(seed))
    confidence = 1 - (1 - CONFIDENCE) / (len(trained) - 1)
    options = [
        replace(
            each.option,
            measures=_effects(found.averages, found, judged[0].averages, judged[0]),
            conditions=_effects(found.conditions, found, judged[0].conditions, judged[0]),
        )
        for each, found in zip(trained, judged, strict=True)
    ]
    known = [c for c in common if c.kind == CORRUPTION and c.name not in LOSES_THE_TASK]
    return OptionComparison(
        loop=loop,
        num_units=len(units),
        corruptions=tuple(dict.fromkeys(each.name for each in known)),
        severities=tuple(sorted({each.severity for each in known})),
        confidence=confidence,
        options=(options[0], *sorted(options[1:], key=_rank)),
        verdicts=tuple(
            _verdict(name, judged, confidence) for name in RANKED_BY if _has(judged[0], name)
        ),
        notes=tuple(_left_out(conditions, common)),
    )


def _units(trained: Sequence[Trained]) -> tuple[int, ...]:
    """Return the scenes or episodes, the same for all.

    Raises:
        OptionError: If they differ or are too few, or there is nothing to compare with.
    """
    clean = [
        cell.units
        for each in trained
        for cells in each.cells
        for cell in cells.values()
        if cell.condition.kind == CLEAN
    ]
    if len(set(clean)) > 1:
        raise OptionError("policies are compared on the same scenes or episodes, but theirs differ")
    if len(trained) < 2 or len(clean[0]) < 2:
        raise OptionError(
            f"trainings are compared from two policies and two scenes or episodes on, but there "
            f"are {len(trained)} and {len(clean[0])}"
        )
    return clean[0]


def _in_common(trained: Sequence[Trained], conditions: Sequence[Condition]) -> list[Condition]:
    """Keep what all policies were played with; a corruption with all of its severities."""
    played = [cells for each in trained for cells in each.cells]
    wanted = [each for each in conditions if each.kind in COMPARED]
    lacking = {
        (each.kind, each.name)
        for each in wanted
        if not all(each.key in cells and not cells[each.key].refusal for cells in played)
    }
    return [each for each in wanted if (each.kind, each.name) not in lacking]


def _left_out(conditions: Sequence[Condition], common: Sequence[Condition]) -> list[str]:
    wanted = dict.fromkeys(each.name for each in conditions if each.kind in COMPARED)
    gone = [name for name in wanted if name not in {each.name for each in common}]
    if not gone:
        return []
    return [f"Not every policy was played with these, so they are not compared: {', '.join(gone)}."]


def _judge(
    trained: Sequence[Trained],
    conditions: Sequence[Condition],
    trivial: float | None,
    rng: np.random.Generator,
) -> list[_Judged]:
    """Average over trainings and units, and draw both again."""
    values = [_values(each, conditions, trivial) for each in trained]
    num_units = values[0].shape[1]
    weights = rng.multinomial(num_units, np.full(num_units, 1 / num_units), size=NUM_DRAWS)
    means = [value.mean(axis=(0, 1)) for value in values]
    clean = next(index for index, each in enumerate(conditions) if each.kind == CLEAN)
    found = []
    for each, value, mean in zip(trained, values, means, strict=True):
        chosen = averages(conditions, mean)
        if min(mean[clean] for mean in means) <= 0:
            # Nothing is kept where there was nothing.
            chosen = [measure for measure in chosen if not measure.name.startswith(KEPT)]
        draws = _drawn(value, weights / num_units, rng)
        rows = single_conditions(conditions)
        solved = value[0] if trivial is None and len(value) == 1 else None
        found.append(_Judged(each.option.name, solved, mean, draws, chosen, rows))
    return found


def _values(
    trained: Trained, conditions: Sequence[Condition], trivial: float | None
) -> Float[ndarray, "trainings units conditions"]:
    return np.array(
        [
            np.stack([performance_by_unit(cells[c.key], trivial) for c in conditions], axis=-1)
            for cells in trained.cells
        ]
    )


def _drawn(
    values: Float[ndarray, "trainings units conditions"],
    unit_weights: Float[ndarray, "draws units"],
    rng: np.random.Generator,
) -> Float[ndarray, "draws conditions"]:
    """Return the mean of every condition in every resample."""
    count = len(values)
    chosen = rng.multinomial(count, np.full(count, 1 / count), size=len(unit_weights)) / count
    drawn = np.zeros((len(unit_weights), values.shape[2]))
    for index, value in enumerate(values):
        drawn += chosen[:, index, None] * (unit_weights @ value)
    return drawn


def _effects(
    measures: Sequence[Measure], found: _Judged, own: Sequence[Measure], base: _Judged
) -> tuple[Effect, ...]:
    return tuple(
        _effect(measure, found, first, base) for measure, first in zip(measures, own, strict=True)
    )


def _effect(measure: Measure, found: _Judged, own: Measure, base: _Judged) -> Effect:
    low, high = 0.0, 0.0
    if found is not base:
        low, high = _paired(measure, found, own, base)
    value = _value(measure, found)
    return Effect(
        name=measure.name,
        group=measure.group,
        value=value,
        change=value - _value(own, base),
        low=low,
        high=high,
        detail=measure.detail,
    )


def _paired(measure: Measure, found: _Judged, own: Measure, base: _Judged) -> tuple[float, float]:
    """Return the interval of a difference: of two paired rates the score interval.

    Draws of scenes that both policies end alike know of no spread; the score interval does.
    """
    are_rates = measure.index is not None and own.index is not None
    if not are_rates or found.solved is None or base.solved is None:
        return _interval(measure.of(found.draws) - own.of(base.draws), CONFIDENCE)
    change = found.solved[:, measure.index] - base.solved[:, own.index]
    gained, lost = int((change > 0).sum()), int((change < 0).sum())
    return paired_difference_interval(gained, lost, len(change), CONFIDENCE)


def _value(measure: Measure, found: _Judged) -> float:
    return float(measure.of(found.means[None])[0])


def _interval(differences: Float[ndarray, " draws"], confidence: float) -> tuple[float, float]:
    low, high = np.nanquantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _verdict(name: str, judged: Sequence[_Judged], confidence: float) -> Verdict:
    """Say which option helps most, and from which it is not told."""
    measure = next(measure for measure in judged[0].averages if measure.name == name)
    of = measure.of
    base, *others = judged
    best = max(others, key=lambda each: _value(measure, each))
    beats = [
        each.name
        for each in judged
        if each is not best and _interval(of(best.draws) - of(each.draws), confidence)[0] > 0
    ]
    rivals = [each.name for each in others if each is not best and each.name not in beats]
    return Verdict(measure=name, best=best.name, is_better=base.name in beats, rivals=tuple(rivals))


def _has(judged: _Judged, name: str) -> bool:
    return any(measure.name == name for measure in judged.averages)


def _rank(option: Option) -> float:
    """Sort by performance under corruption, undisturbed where there is none."""
    values = {each.name: each.value for each in option.measures}
    return -values.get(CORRUPTED, option.measures[0].value)
