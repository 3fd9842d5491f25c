"""What is found where policies that were trained otherwise are put under the same stress."""

from dataclasses import dataclass

UNDISTURBED = "undisturbed"
CORRUPTED = "corrupted"
LESS_LOST = "lost to corruption"
ONE_MISSING = "one sense missing"
WORST = "worst condition"
KEPT = "kept"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A number of a policy, and by how much it differs from that of the policy under stress.

    Attributes:
        name: `undisturbed`, `corrupted` ..., or the condition.
        group: The modality of a condition; empty for averages.
        value: Of this policy.
        change: Value less that of the policy under stress, on the same scenes or episodes; 0 for
            that policy itself.
        low: Lower end of the paired 95 % bootstrap interval of the change.
        high: Upper end.
        detail: Which condition it is, of the worst one.
    """

    name: str
    group: str = ""
    value: float
    change: float
    low: float
    high: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Option:
    """A way of training, and what it does.

    Attributes:
        name: What differs from the training of the policy under stress, in short; of that policy
            itself, and of one whose training is not known, its own name.
        changes: The same in full, one a difference; empty where there is none or none is known.
        policies: Folders, one a training seed.
        measures: Averages over conditions.
        conditions: The clean one, one a corruption over all severities, one a missing sense.
    """

    name: str
    changes: tuple[str, ...]
    policies: tuple[str, ...]
    measures: tuple[Effect, ...] = ()
    conditions: tuple[Effect, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which option helps most by one measure, as far as the scenes tell.

    Attributes:
        measure: Which one.
        best: The option with the highest value.
        is_better: Whether it is told from the policy under stress.
        rivals: Options that it is not told from.
    """

    measure: str
    best: str
    is_better: bool
    rivals: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OptionComparison:
    """Several trainings on the same scenes or episodes under the same conditions.

    Attributes:
        loop: `closed` (success) or `open` (skill).
        num_units: Scenes or held-out episodes.
        corruptions: Those that count for the averages.
        severities: That were played.
        confidence: Of the intervals by which options are told apart: 95 % of all together.
        options: The policy under stress first, the others by how they do under corruption.
        verdicts: One a measure that options are ranked by.
        notes: Plain sentences on what could not be compared.
    """

    loop: str
    num_units: int
    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    confidence: float
    options: tuple[Option, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
