"""Which scenes or episodes, or which parts of them, contributions are told apart by."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from plait.envs.tabletop.grammar import parse
from plait.evaluation.stress.contributions import (
    SUBSET,
    Measure,
    by_subset,
    gain,
    perceptual_by_unit,
)
from plait.evaluation.stress.ingredients import has_grammar
from plait.evaluation.stress.progress import AT_THE_OBJECT, DONE, IN_HAND, stage
from plait.results.stress import CLOSED, FINISHED, GRASPED, GRIPPER_PHASES, REACHED, Cell

FEWEST_UNITS = 10
MOST_TASKS = 12
# The task of episodes for which no instruction was recorded.
UNTOLD = "no instruction"
# Verbs of the tabletop whose scenes have the sub-goals.
GRASPING = ("pick", "place", "stack")


@dataclass(frozen=True)
class Group:
    """Scenes or episodes, and what was achieved on them with each subset of the modalities.

    Attributes:
        name: Of the task, phase or sub-goal.
        units: Places of its scenes or episodes among all.
        gains: Success, or error with a minus sign.
        perceptual: Perceptual score of each modality, in values that average to it; of errors.
    """

    name: str
    units: Int[np.ndarray, " units"]
    gains: Mapping[SUBSET, Float[np.ndarray, " units"]]
    perceptual: Mapping[str, Float[np.ndarray, " units"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Grouping:
    """Groups, and a sentence on what was left out; empty if nothing was."""

    groups: tuple[Group, ...] = ()
    note: str = ""


def tasks(cells: Sequence[Cell], trivial: Cell | None) -> Grouping:
    """Group scenes or episodes by their task.

    Args:
        cells: All of a loop, the clean one first.
        trivial: Errors of the mean action, and instructions of the held-out episodes.
    """
    clean, subsets = cells[0], by_subset(cells)
    if not subsets:
        return Grouping()
    if trivial is not None:
        told = dict(zip(trivial.units, trivial.instructions, strict=True))
        names = task_names([told[unit] for unit in clean.units])
    elif clean.instructions:
        names = task_names(clean.instructions, clean.tasks)
    else:
        return Grouping(note=_measure_anew(clean, "by task", "their tasks were kept"))
    counts = Counter(names)
    chosen = [name for name, count in counts.most_common(MOST_TASKS) if count >= FEWEST_UNITS]
    if len(counts) < 2:
        return Grouping()
    if len(chosen) < 2:
        return Grouping(
            note=f"There are {len(counts)} tasks in {len(names)} {_units(clean)}; contributions by "
            f"task need two with {FEWEST_UNITS} or more each."
        )
    places = {name: np.flatnonzero(np.array(names, dtype=object) == name) for name in chosen}
    groups = tuple(_group(name, places[name], cells, trivial, gain) for name in chosen)
    num_left = len(names) - sum(counts[name] for name in chosen)
    if not num_left:
        return Grouping(groups)
    return Grouping(
        groups,
        f"Not shown: {num_left} of {len(names)} {_units(clean)}, whose tasks have fewer than "
        f"{FEWEST_UNITS} or are not among the {MOST_TASKS} most frequent.",
    )


def task_names(instructions: Sequence[str], named: Sequence[str] = ()) -> list[str]:
    """Name the task of each scene or episode.

    On the tabletop a task is the verb, or, where all have the same, the verb and the shape of the
    object; elsewhere it is what the environment calls its task, or the instruction.

    Args:
        instructions: One each.
        named: What the environment calls the task of each, if there is one.
    """
    if has_grammar(tuple(instructions)):
        meanings = [parse(text) for text in instructions]
        verbs = [task.verb for task in meanings]
        if len(set(verbs)) > 1:
            return verbs
        return [f"{task.verb} a {task.thing.shape}" for task in meanings]
    return [each or UNTOLD for each in (named if len(set(named)) > 1 else instructions)]


def phases(cells: Sequence[Cell], trivial: Cell | None) -> Grouping:
    """Group the errors of held-out episodes by the phase of the step.

    Args:
        cells: All of the open loop, the clean one first.
        trivial: Errors of the mean action.
    """
    clean, subsets = cells[0], by_subset(cells)
    if not subsets:
        return Grouping()
    if not all(cell.phases for cell in subsets.values()):
        return Grouping(note=_measure_anew(clean, "by phase", "errors were kept by phase"))
    groups = []
    for name, errors in clean.phases.items():
        places = np.array([i for i, error in enumerate(errors) if error is not None])
        asked = [cell for cell in cells if name in cell.phases]
        groups.append(_group(name, places, asked, trivial, _gain_in(name)))
    shown = tuple(group for group in groups if len(group.units) >= FEWEST_UNITS)
    return Grouping(shown if len(shown) > 1 else (), _on_phases(clean, groups))


def _on_phases(clean: Cell, groups: Sequence[Group]) -> str:
    """Say in how many episodes nothing is gripped, and which phases were left out."""
    closes = _has_any(clean, GRIPPER_PHASES)
    sentences = []
    if not closes.all():
        sentences.append(
            f"No gripper is seen to close in {int((~closes).sum())} of {len(closes)} held-out "
            "episodes (or none is recognised); these are divided into thirds."
        )
    few = [group.name for group in groups if len(group.units) < FEWEST_UNITS]
    if few:
        sentences.append(
            f"Not shown, for fewer than {FEWEST_UNITS} held-out episodes were asked about in it: "
            f"{', '.join(few)}."
        )
    return " ".join(sentences)


def _has_any(cell: Cell, names: Sequence[str]) -> Bool[np.ndarray, " units"]:
    """Say which episodes were asked about a step of any of these phases."""
    found = [[error is not None for error in cell.phases.get(name, ())] for name in names]
    return np.any([each for each in found if each] or [[False] * len(cell.units)], axis=0)


def _gain_in(phase: str) -> Measure:
    return lambda cell: -np.array(cell.phases[phase], dtype=np.float64)


def subgoals(cells: Sequence[Cell]) -> Grouping:
    """Judge the scenes in which something is to be grasped by how far they got."""
    clean, subsets = cells[0], by_subset(cells)
    is_known = all(len(cell.furthest) == len(cell.units) for cell in subsets.values())
    if not subsets or not is_known or not has_grammar(clean.instructions):
        return Grouping()
    verbs = [parse(text).verb for text in clean.instructions]
    places = np.array([i for i, verb in enumerate(verbs) if verb in GRASPING], dtype=np.int64)
    if not len(places):
        return Grouping()
    if len(places) < FEWEST_UNITS:
        return Grouping(
            note=f"Something is to be grasped in {len(places)} scenes only; contributions by "
            f"sub-goal need {FEWEST_UNITS}."
        )
    groups = tuple(
        _group(name, places, cells, None, _has_got(needed))
        for name, needed in ((REACHED, AT_THE_OBJECT), (GRASPED, IN_HAND), (FINISHED, DONE))
    )
    others = len(verbs) - len(places)
    note = f"{others} of {len(verbs)} scenes ask for no grasp, and do not count here."
    return Grouping(groups, note if others else "")


def _has_got(needed: int) -> Measure:
    """Return whether scenes were finished, or got at least so far."""
    return lambda cell: np.array(
        [
            float(success > 0 or stage(phase) >= needed)
            for success, phase in zip(cell.values, cell.furthest, strict=True)
        ]
    )


def _group(
    name: str,
    places: Int[np.ndarray, " units"],
    cells: Sequence[Cell],
    trivial: Cell | None,
    measure: Measure,
) -> Group:
    gains = {subset: measure(cell)[places] for subset, cell in by_subset(cells).items()}
    if trivial is None or trivial.units != cells[0].units:
        return Group(name, places, gains)
    perceptual = perceptual_by_unit(cells, trivial, lambda cell: -measure(cell)[places])
    return Group(name, places, gains, perceptual)


def _units(cell: Cell) -> str:
    return "scenes" if cell.loop == CLOSED else "held-out episodes"


def _measure_anew(clean: Cell, what: str, before: str) -> str:
    kinds = "clean-*.json and missing-*.json"
    if clean.loop != CLOSED:
        kinds = "clean-*.json, missing-*.json and permuted-*.json"
    return (
        f"Contributions {what} are not known: the cells of the {_units(clean)} are from before "
        f"{before}. Delete {kinds} in cells/{clean.loop} and call plait stress again to measure "
        "them anew."
    )
