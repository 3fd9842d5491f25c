"""Which failures teach most: the mildest conditions that cost success, and scenes they cost.

Every condition is played in the same scenes, so a scene that succeeds undisturbed and is lost
under a condition shows what the condition does. Chosen are, at most one of each:

- of every modality, the corruption that loses most at the mildest severity at which any of its
  corruptions is told from the undisturbed policy by the paired interval of the change;
- of the senses that can be missing one at a time, the camera that costs most; where no camera is
  told from the undisturbed policy, the modality, other than language: without an instruction there
  is nothing to be done right;
- of the scenes with another instruction, those in which the scene's own task was done all the same,
  or neither where there are none.

Of the scenes lost, those with the most common outcome come first, in the order of their seeds.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plait.data.corrupt import ACTION
from plait.evaluation.stress.scores import score
from plait.results.stress import (
    CAMERA,
    CLEAN,
    CORRUPTION,
    LISTENING,
    LOSES_THE_TASK,
    MISSING,
    NEITHER,
    ORIGINAL,
    Cell,
    Condition,
    Score,
)
from plait.types import LANGUAGE, MODALITIES


@dataclass(frozen=True)
class Lost:
    """A condition and the scenes that it costs.

    Attributes:
        condition: What is done to the policy.
        outcomes: How each of the scenes ends, by seed; the best to show first.
        num_solved: Scenes of the condition that succeed undisturbed.
    """

    condition: Condition
    outcomes: dict[int, str]
    num_solved: int

    @property
    def num_alike(self) -> int:
        """Scenes that end like the first."""
        return Counter(self.outcomes.values())[next(iter(self.outcomes.values()))]


def choose_failures(cells: Sequence[Cell]) -> list[Lost]:
    """Choose the conditions to show, and the scenes they cost, by the rule of this module.

    Args:
        cells: Of the closed loop, the clean one among them.
    """
    clean = next(cell for cell in cells if cell.condition.kind == CLEAN)
    chosen = [*_corrupted(cells, clean), *_missing(cells, clean), *_not_listened(cells, clean)]
    return [lost for lost in chosen if lost.outcomes]


def _corrupted(cells: Sequence[Cell], clean: Cell) -> Iterable[Lost]:
    known = [
        cell
        for cell in cells
        if cell.condition.kind == CORRUPTION and cell.condition.name not in LOSES_THE_TASK
    ]
    for modality in (*MODALITIES, ACTION):
        worse = _worse([cell for cell in known if cell.condition.modality == modality], clean)
        mildest = min((each.condition.severity for each, _ in worse), default=0)
        found = [(each, cell) for each, cell in worse if each.condition.severity == mildest]
        if found:
            yield _lost(_dearest(found), clean)


def _missing(cells: Sequence[Cell], clean: Cell) -> Iterable[Lost]:
    cameras = [cell for cell in cells if cell.condition.kind == CAMERA]
    modalities = [
        cell
        for cell in cells
        if cell.condition.kind == MISSING
        and len(cell.condition.missing) == 1
        and cell.condition.missing != (LANGUAGE,)
    ]
    found = _worse(cameras, clean) or _worse(modalities, clean)
    if found:
        yield _lost(_dearest(found), clean)


def _not_listened(cells: Sequence[Cell], clean: Cell) -> Iterable[Lost]:
    for cell in cells:
        if cell.condition.kind == LISTENING and cell.units:
            own, neither = (_lost(cell, clean, outcome) for outcome in (ORIGINAL, NEITHER))
            yield own if own.outcomes else neither


def _worse(cells: Iterable[Cell], clean: Cell) -> list[tuple[Score, Cell]]:
    """Keep the cells that are told from the clean one, with their scores."""
    scored = [(score(cell, clean), cell) for cell in cells]
    return [
        (each, cell) for each, cell in scored if each.value is not None and each.change_high < 0
    ]


def _dearest(found: Sequence[tuple[Score, Cell]]) -> Cell:
    return min(found, key=lambda each: each[0].change)[1]


def _lost(cell: Cell, clean: Cell, outcome: str = "") -> Lost:
    """Collect the scenes that a condition costs; with an outcome, only those that end so."""
    solved = {unit for unit, value in zip(clean.units, clean.values, strict=True) if value}
    ends = {
        unit: end
        for unit, value, end in zip(cell.units, cell.values, cell.outcomes, strict=True)
        if unit in solved and not value and outcome in ("", end)
    }
    common = Counter(ends.values())
    order = sorted(ends, key=lambda unit: (-common[ends[unit]], ends[unit], unit))
    return Lost(
        condition=cell.condition,
        outcomes={unit: ends[unit] for unit in order},
        num_solved=len(solved & set(cell.units)),
    )
