"""Which conditions a stress test plays."""

from collections.abc import Sequence

from plait.data.corrupt import SEVERITIES, corruption_class
from plait.errors import OptionError
from plait.evaluation.stress.contributions import subsets
from plait.results.stress import (
    CAMERA,
    CLEAN,
    CORRUPTION,
    LISTENING,
    MISSING,
    PARAPHRASED,
    PERMUTED,
    SWAPPED,
    Condition,
)
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION

CLEAN_CONDITION = Condition(kind=CLEAN, name=CLEAN)
NUM_PERMUTATIONS = 3


def corrupted(names: Sequence[str], severities: Sequence[int]) -> list[Condition]:
    """Return a condition a corruption and severity.

    Raises:
        OptionError: If a severity is not 1 to 5.
    """
    for severity in severities:
        if severity not in SEVERITIES:
            raise OptionError(f"a severity is {severity}, but must be 1, 2, 3, 4 or 5")
    return [
        Condition(
            kind=CORRUPTION,
            name=name,
            severity=severity,
            modality=corruption_class(name).modality,
        )
        for name in names
        for severity in sorted(set(severities))
    ]


def missing(cameras: Sequence[str], modalities: Sequence[str] = MODALITIES) -> list[Condition]:
    """Return every way in which modalities can be missing, and each camera where there are more.

    Args:
        cameras: Of the policy.
        modalities: Those that may be missing.
    """
    conditions = [
        Condition(
            kind=MISSING,
            name="+".join(sorted(subset, key=MODALITIES.index)),
            missing=tuple(sorted(subset, key=MODALITIES.index)),
        )
        for subset in subsets(modalities)
        if subset
    ]
    if len(cameras) > 1:
        conditions += [Condition(kind=CAMERA, name=camera, modality=VISION) for camera in cameras]
    return conditions


def closed_grid(
    names: Sequence[str], severities: Sequence[int], cameras: Sequence[str], *, can_listen: bool
) -> list[Condition]:
    """Return what is played in closed loop, the clean condition first."""
    listening = [Condition(kind=LISTENING, name=LISTENING)] if can_listen else []
    return [CLEAN_CONDITION, *missing(cameras), *listening, *corrupted(names, severities)]


def open_grid(
    names: Sequence[str],
    severities: Sequence[int],
    cameras: Sequence[str],
    *,
    judges_language: bool,
    has_grammar: bool,
) -> list[Condition]:
    """Return what is asked of demonstrations, the clean condition first.

    Where all have the same instruction, nothing is asked about language.
    """
    modalities = MODALITIES if judges_language else (VISION, PROPRIO)
    permuted = [
        Condition(kind=PERMUTED, name=modality, severity=draw, modality=modality)
        for modality in modalities
        for draw in range(1, NUM_PERMUTATIONS + 1)
    ]
    reactions = [Condition(kind=SWAPPED, name=SWAPPED, modality=LANGUAGE)]
    if has_grammar:
        reactions.append(Condition(kind=PARAPHRASED, name="paraphrase", modality=LANGUAGE))
    return [
        CLEAN_CONDITION,
        *missing(cameras, modalities),
        *permuted,
        *(reactions if judges_language else []),
        *corrupted(names, severities),
    ]
