"""What each modality contributes: Shapley values over subsets, perceptual scores by permutation.

    φ_m = Σ_{S ∌ m} |S|! (M - |S| - 1)! / M! · (v(S ∪ m) - v(S))

v(S) is the performance with the modalities S alone. The values add up to v(all) - v(none), are
equal for modalities that are interchangeable, and zero for one that never changes anything.
A subset a policy was never trained for may surprise it, so the values speak of this policy as it
is, not of what the modality could tell.

References: Shapley, 1953; Hu et al., 2022 (SHAPE), for modalities. Gat et al., 2021, for the
perceptual score.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
import torch
from jaxtyping import Float

from plait.errors import OptionError
from plait.evaluation.intervals import clustered_interval
from plait.results.stress import CLOSED, MISSING, PERMUTED, Cell, Contribution

MAX_MODALITIES = 6
SUBSET = frozenset[str]
Measure = Callable[[Cell], Float[np.ndarray, " units"]]


def subsets(modalities: Sequence[str]) -> list[SUBSET]:
    """Return all subsets, the smallest first."""
    sizes = range(len(modalities) + 1)
    return [frozenset(chosen) for size in sizes for chosen in combinations(modalities, size)]


def by_subset(cells: Sequence[Cell]) -> dict[SUBSET, Cell]:
    """Return the cell of each subset of the modalities that were there.

    Args:
        cells: All of a loop, the clean one first.

    Returns:
        Nothing where a subset was not played or was refused.
    """
    played = {each.condition.missing: each for each in cells if each.condition.kind == MISSING}
    modalities = frozenset(name for subset in played for name in subset)
    found = {modalities - set(subset): cell for subset, cell in played.items()}
    found[modalities] = cells[0]
    is_whole = len(found) == 2 ** len(modalities) and bool(modalities)
    is_paired = all(cell.units == cells[0].units for cell in found.values())
    return found if is_whole and is_paired else {}


def gain(cell: Cell) -> Float[np.ndarray, " units"]:
    """Return success, or less error: what grows with what a modality gives."""
    values = np.array(cell.values, dtype=np.float64)
    return values if cell.loop == CLOSED else -values


def shapley_values(
    values: Mapping[SUBSET, Float[np.ndarray, " units"]],
) -> dict[str, Float[np.ndarray, " units"]]:
    """Return the exact Shapley value of every modality, scene by scene.

    Args:
        values: Performance with each subset of the modalities, in the same scenes.

    Raises:
        OptionError: If a subset is absent, or there are more than 6 modalities.
    """
    modalities = sorted(frozenset().union(*values))
    if len(modalities) > MAX_MODALITIES:
        raise OptionError(
            f"exact Shapley values are for at most {MAX_MODALITIES} modalities, "
            f"but there are {len(modalities)}"
        )
    absent = [sorted(subset) for subset in subsets(modalities) if subset not in values]
    if absent:
        raise OptionError(f"Shapley values need every subset, but these are absent: {absent}")
    return {modality: _shapley(values, modality, modalities) for modality in modalities}


def _shapley(
    values: Mapping[SUBSET, Float[np.ndarray, " units"]], modality: str, modalities: Sequence[str]
) -> Float[np.ndarray, " units"]:
    """Average what the modality adds, over all orders in which modalities could be added."""
    count = len(modalities)
    others = [name for name in modalities if name != modality]
    total = np.zeros_like(values[frozenset()], dtype=np.float64)
    for subset in subsets(others):
        orders = factorial(len(subset)) * factorial(count - len(subset) - 1)
        gain = values[subset | {modality}] - values[subset]
        total += orders / factorial(count) * gain
    return total


def perceptual_score(error: float, permuted: float, trivial: float) -> float | None:
    """Return which share of what a policy knows is lost when a modality is another episode's.

    With the skill `1 - error / trivial` in place of an accuracy:
    `(skill - skill permuted) / skill = (permuted - error) / (trivial - error)`.

    Args:
        error: Action error of the policy.
        permuted: The same with the modality taken from other episodes.
        trivial: Error of always predicting the mean action.

    Returns:
        0 for a modality that is not used, 1 where without it nothing is left, more where the
        wrong one misleads; None where the policy is no better than the mean action.
    """
    return (permuted - error) / (trivial - error) if trivial > error else None


def perceptual_by_unit(
    cells: Sequence[Cell], trivial: Cell, error: Measure
) -> dict[str, Float[np.ndarray, " units"]]:
    """Return the perceptual score of every modality in values of episodes that average to it.

    Args:
        cells: All of the open loop, the clean one first.
        trivial: Errors of always predicting the mean action.
        error: What is measured in a cell, episode by episode.

    Returns:
        Nothing where the policy is no better than the mean action.
    """
    clean, permuted = error(cells[0]), dict[str, list[Float[np.ndarray, " units"]]]()
    for cell in cells:
        if cell.condition.kind == PERMUTED and cell.units == cells[0].units:
            permuted.setdefault(cell.condition.name, []).append(error(cell))
    mean = float(clean.mean())
    # The score is linear in the permuted error: episodes can be scaled one by one.
    whole = perceptual_score(mean, mean + 1, float(error(trivial).mean()))
    if whole is None:
        return {}
    return {name: (np.mean(each, axis=0) - clean) * whole for name, each in permuted.items()}


def contribution(modality: str, values: Iterable[float], seed: int = 0) -> Contribution:
    """Sum up values of scenes or episodes in a mean with its bootstrap interval."""
    tensor = torch.tensor([float(value) for value in values])
    everything = (float(tensor.min()), float(tensor.max()))
    low, high = clustered_interval(tensor, torch.arange(len(tensor)), seed, everything)
    return Contribution(modality=modality, value=float(tensor.mean()), low=low, high=high)
