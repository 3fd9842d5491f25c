"""How much of its clean performance a policy keeps, averaged over a modality's corruptions."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from plait.evaluation.stress.summary import area_under_curve
from plait.results.stress import CLEAN, CORRUPTION, LOSES_THE_TASK, Cell, Kept

NUM_DRAWS = 2000
PERCENTILES = (2.5, 97.5)


def kept_by_modality(cells: Sequence[Cell], trivial: float | None, seed: int = 0) -> list[Kept]:
    """Return the mean relative robustness of each modality, with its 95 % bootstrap interval.

    Scenes or episodes are drawn again, each with all that was measured on it: the interval covers
    the choice of scenes, not that of corruptions. Draws without any clean performance are left
    out, for there is nothing to keep.

    Args:
        cells: All of a loop.
        trivial: Error of always predicting the mean action, in open loop.
        seed: Of the draws.

    Returns:
        One a modality with a corruption that nothing was refused under; none where there is no
        clean performance, or a single unit, of whose spread nothing can be said.
    """
    undisturbed = next(cell for cell in cells if cell.condition.kind == CLEAN)
    clean = performance_by_unit(undisturbed, trivial)
    if len(clean) < 2 or clean.mean() <= 0:
        return []
    areas: dict[str, list[Float[np.ndarray, " units"]]] = {}
    for curve in _curves(cells):
        if all(cell.units == undisturbed.units for cell in curve):
            modality = curve[0].condition.modality
            areas.setdefault(modality, []).append(_areas(curve, clean, trivial))
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(clean), np.full(len(clean), 1 / len(clean)), size=NUM_DRAWS)
    weights = weights[weights @ clean > 0]
    kept = []
    for modality, found in areas.items():
        mean = np.mean(found, axis=0)
        low, high = np.percentile((weights @ mean) / (weights @ clean), PERCENTILES)
        value = float(mean.mean() / clean.mean())
        kept.append(Kept(modality=modality, value=value, low=float(low), high=float(high)))
    return kept


def _curves(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells of each corruption that leaves the task to be known; none was refused."""
    curves: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.condition.kind == CORRUPTION and cell.condition.name not in LOSES_THE_TASK:
            curves.setdefault(cell.condition.name, []).append(cell)
    return [curve for curve in curves.values() if not any(cell.refusal for cell in curve)]


def _areas(
    curve: Sequence[Cell], clean: Float[np.ndarray, " units"], trivial: float | None
) -> Float[np.ndarray, " units"]:
    """Return the area under the severity curve of every unit; their mean is that of the whole."""
    by_severity = {cell.condition.severity: performance_by_unit(cell, trivial) for cell in curve}
    units = ({s: values[unit] for s, values in by_severity.items()} for unit in range(len(clean)))
    return np.array(
        [area_under_curve({0: start} | unit) for start, unit in zip(clean, units, strict=True)]
    )


def performance_by_unit(cell: Cell, trivial: float | None) -> Float[np.ndarray, " units"]:
    """Return success, or skill, of every scene or episode of a cell; higher is better."""
    values = np.array(cell.values, dtype=np.float64)
    return values if trivial is None else 1 - values / trivial
