"""From cells, one a condition, to what a stress test found."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from plait.evaluation.statistics import paired_difference_interval, wilson
from plait.evaluation.stress.averages import kept_by_modality
from plait.evaluation.stress.breakdown import breakdowns
from plait.evaluation.stress.contributions import (
    by_subset,
    contribution,
    gain,
    perceptual_by_unit,
    shapley_values,
)
from plait.evaluation.stress.summary import (
    area_under_curve,
    effective_robustness,
    relative_robustness,
)
from plait.results import Rate
from plait.results.stress import (
    CLEAN,
    CLOSED,
    CORRUPTION,
    INSTRUCTED,
    NEITHER,
    ORIGINAL,
    PARAPHRASED,
    PERMUTED,
    SWAPPED,
    Cell,
    Contribution,
    Listening,
    Loop,
    Reaction,
    Robustness,
    Score,
)

# Not scores of robustness: they have sections of their own.
REPORTED_ELSEWHERE = (SWAPPED, PARAPHRASED, PERMUTED)


def summarise_loop(
    cells: Sequence[Cell], *, trivial: Cell | None = None, reference: Loop | None = None
) -> Loop:
    """Sum up all cells of one loop.

    Args:
        cells: The clean one first.
        trivial: Errors of always predicting the mean action, in open loop.
        reference: The same loop of the policy that effective robustness refers to.
    """
    clean, worst = cells[0], None if trivial is None else float(np.mean(trivial.values))
    shown = [cell for cell in cells if cell.condition.kind not in REPORTED_ELSEWHERE]
    scores = tuple(score(cell, clean) for cell in shown)
    return Loop(
        loop=clean.loop,
        num_units=len(clean.units),
        scores=scores,
        robustness=tuple(robustness(scores, worst, reference)),
        kept=tuple(kept_by_modality(cells, worst)),
        contributions=tuple(contributions(cells)),
        breakdowns=breakdowns(cells, trivial),
        perceptual=tuple(_perceptual(cells, trivial)),
        trivial=worst,
    )


def score(cell: Cell, clean: Cell) -> Score:
    """Sum up a cell, and how it differs from the clean one on the scenes both have."""
    if cell.refusal or not cell.values:
        return Score(condition=cell.condition, value=None, refusal=cell.refusal)
    rate = _interval(cell)
    change, low, high = _change(cell, clean)
    return Score(
        condition=cell.condition,
        value=rate[0],
        low=rate[1],
        high=rate[2],
        num_units=len(cell.values),
        change=change,
        change_low=low,
        change_high=high,
        outcomes=dict(Counter(cell.outcomes).most_common()),
    )


def _interval(cell: Cell) -> tuple[float, float, float]:
    if cell.loop == CLOSED:
        rate = wilson(round(sum(cell.values)), len(cell.values))
        return rate.rate, rate.low, rate.high
    return _bootstrap(cell.values)


def _bootstrap(values: Sequence[float]) -> tuple[float, float, float]:
    found = contribution("", values)
    return found.value, found.low, found.high


def _change(cell: Cell, clean: Cell) -> tuple[float, float, float]:
    before = dict(zip(clean.units, clean.values, strict=True))
    pairs = [
        (value, before[unit])
        for unit, value in zip(cell.units, cell.values, strict=True)
        if unit in before
    ]
    if cell.condition.kind == CLEAN or not pairs:
        return 0.0, 0.0, 0.0
    if cell.loop != CLOSED:
        return _bootstrap([now - then for now, then in pairs])
    gained = sum(now > then for now, then in pairs)
    lost = sum(now < then for now, then in pairs)
    low, high = paired_difference_interval(gained, lost, len(pairs))
    return (gained - lost) / len(pairs), low, high


def performance(value: float, trivial: float | None) -> float:
    """Return what robustness is measured in, higher is better.

    The success rate; or the skill `1 - error / trivial`, 0 for always predicting the mean action.
    """
    return value if trivial is None else 1 - value / trivial


def severity_curves(scores: Sequence[Score], trivial: float | None) -> dict[str, dict[int, float]]:
    """Return performance by severity, 0 for clean, of every corruption with nothing refused."""
    clean = next((each.value for each in scores if each.condition.kind == CLEAN), None)
    played: dict[str, list[Score]] = {}
    for each in scores:
        if each.condition.kind == CORRUPTION:
            played.setdefault(each.condition.name, []).append(each)
    curves = {}
    for name, found in played.items():
        values = {each.condition.severity: each.value for each in found} | {0: clean}
        known = {severity: value for severity, value in values.items() if value is not None}
        if len(known) == len(values):
            curves[name] = {s: performance(v, trivial) for s, v in known.items()}
    return curves


def robustness(
    scores: Sequence[Score], trivial: float | None, reference: Loop | None
) -> Iterable[Robustness]:
    """Yield the summary numbers of every corruption."""
    others = {} if reference is None else severity_curves(reference.scores, reference.trivial)
    modalities = {each.condition.name: each.condition.modality for each in scores}
    for name, curve in severity_curves(scores, trivial).items():
        other = others.get(name, {})
        is_comparable = len(set(curve) & set(other)) > 1
        yield Robustness(
            name=name,
            modality=modalities[name],
            highest=max(curve),
            area=area_under_curve(curve),
            relative=relative_robustness(curve),
            effective=effective_robustness(curve, other) if is_comparable else None,
        )


def contributions(cells: Sequence[Cell]) -> list[Contribution]:
    """Return the Shapley value of each modality; none where a subset was refused or not played."""
    values = {subset: gain(cell) for subset, cell in by_subset(cells).items()}
    if not values:
        return []
    return [contribution(name, each) for name, each in shapley_values(values).items()]


def _perceptual(cells: Sequence[Cell], trivial: Cell | None) -> list[Contribution]:
    """Average over the permutations of each modality; intervals are over episodes."""
    if trivial is None:
        return []
    found = perceptual_by_unit(cells, trivial, lambda cell: -gain(cell))
    return [contribution(modality, values) for modality, values in found.items()]


def listening(cell: Cell, clean: Cell) -> Listening:
    """Count what was done in scenes with another instruction."""
    count, own = Counter(cell.outcomes), dict(zip(clean.units, clean.values, strict=True))
    rates = {name: wilson(count[name], len(cell.units)) for name in (INSTRUCTED, ORIGINAL, NEITHER)}
    return Listening(
        instructed=rates[INSTRUCTED],
        original=rates[ORIGINAL],
        neither=rates[NEITHER],
        told_its_own=_told_its_own([own[unit] for unit in cell.units if unit in own]),
        chance=float(np.mean([1 / max(count, 1) for count in cell.num_candidates] or [0.0])),
    )


def _told_its_own(values: Sequence[float]) -> Rate:
    return wilson(round(sum(values)), len(values))


def reaction(cells: Sequence[Cell]) -> Reaction | None:
    """Compare a swapped instruction with a paraphrase; None where none was swapped."""
    by_kind = {cell.condition.kind: cell for cell in cells}
    swapped, paraphrased = by_kind.get(SWAPPED), by_kind.get(PARAPHRASED)
    if swapped is None or not swapped.moved:
        return None
    moved = _bootstrap(swapped.moved)
    if paraphrased is None or not paraphrased.moved:
        refusal = "" if paraphrased is None else paraphrased.refusal
        return Reaction(
            swapped=moved[0], swapped_low=moved[1], swapped_high=moved[2], refusal=refusal
        )
    reworded = _bootstrap(paraphrased.moved)
    return Reaction(
        swapped=moved[0],
        swapped_low=moved[1],
        swapped_high=moved[2],
        paraphrased=reworded[0],
        paraphrased_low=reworded[1],
        paraphrased_high=reworded[2],
    )
