"""What `plait stress` writes, and all that its report reads. Standard library only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.results import SCHEMA_VERSION, DatasetSummary, Machine, Rate
from plait.results.options import OptionComparison

CLOSED, OPEN = LOOPS = ("closed", "open")
CLEAN = "clean"
CORRUPTION = "corruption"
MISSING = "missing"
CAMERA = "camera"
LISTENING = "listening"
PERMUTED = "permuted"
SWAPPED = "swapped"
PARAPHRASED = "paraphrased"
# Always the mean training action; what it errs by is computed, never played.
TRIVIAL = "trivial"
# How an episode ends in which the policy was given another instruction than the scene's own.
INSTRUCTED, ORIGINAL, NEITHER = "instructed", "original", "neither"
# Corruptions that take the task away: success under them is no robustness.
LOSES_THE_TASK = ("empty", "other_instruction")
# Phases of an episode in which the gripper closes, and of one in which it does not.
APPROACH, GRASP, PLACE = GRIPPER_PHASES = ("approach", "grasp", "place")
EARLY, MIDDLE, LATE = THIRDS = ("early third", "middle third", "last third")
# How far a scene got in which something is to be grasped.
REACHED, GRASPED, FINISHED = SUBGOALS = ("reached", "grasped", "finished")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is done to the policy in one cell of a stress test.

    Attributes:
        kind: `clean`; `corruption`; `missing` modalities; a missing `camera`; `listening`: told
            another instruction; and, on demonstrations, a modality `permuted` between episodes,
            the instruction `swapped` for another episode's or `paraphrased`.
        name: The corruption, the camera, the modality, or the missing modalities with `+`.
        severity: 1 to 5 of a corruption; the draw of a permutation; else 0.
        modality: What a corruption changes.
        missing: Modalities that are withheld.
    """

    kind: str
    name: str
    severity: int = 0
    modality: str = ""
    missing: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A name for its file: one for each condition."""
        name = re.sub(r"[^\w+.]", "~", self.name)
        return f"{self.kind}-{name}-{self.severity}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one condition gave, scene by scene or episode by episode; a file of its own.

    Attributes:
        condition: What was done.
        loop: `closed` or `open`.
        units: Seeds of the scenes; or the held-out episodes.
        values: Success, 0 or 1, of each scene; or the mean absolute action error of each episode.
        outcomes: How each scene ended; closed loop only.
        num_candidates: Tasks that each scene allows; closed loop only.
        tasks: Task of each scene; closed loop only.
        instructions: What the policy was told in each scene; closed loop only.
        furthest: The furthest that each scene got, as the tabletop names it (`approach`, `push`,
            `grasp`, `lift`, `carry`); closed loop of the tabletop only.
        phases: Error of each episode in each phase of it, by phase; None where it was asked about
            no step of that phase. Open loop only.
        moved: How far each episode's predictions are from those of the clean condition, in
            standard deviations of the recorded actions; open loop only.
        refusal: Why the policy would not act, if it refused; then there are no values.
        seconds: Wall time.
    """

    condition: Condition
    loop: str
    units: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    outcomes: tuple[str, ...] = ()
    num_candidates: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    furthest: tuple[str, ...] = ()
    phases: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    moved: tuple[float, ...] = ()
    refusal: str = ""
    seconds: float = 0.0
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class Score:
    """A condition in one number with its 95 % interval, and how it differs from the clean one.

    Attributes:
        condition: What was done.
        value: Success rate (Wilson interval), or mean action error (bootstrap over episodes);
            None where the policy refused.
        low: Lower end of the interval.
        high: Upper end.
        num_units: Scenes or held-out episodes.
        change: Value less the clean one's, on the same scenes or episodes.
        change_low: Lower end of the paired interval of the change.
        change_high: Upper end.
        outcomes: How often each outcome occurred; closed loop only.
        refusal: Why the policy refused.
    """

    condition: Condition
    value: float | None
    low: float = 0.0
    high: float = 0.0
    num_units: int = 0
    change: float = 0.0
    change_low: float = 0.0
    change_high: float = 0.0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """A corruption over all severities that were played.

    Attributes:
        name: The corruption.
        modality: What it changes.
        highest: The highest severity played: the areas reach from the clean condition to there.
        area: Mean performance under the severity curve, by the trapezoid rule.
        relative: `area` over the clean performance; None where that is not above zero.
        effective: Sum over severities of performance less that of a reference policy, shifted so
            that both are alike without corruption; None where there is no reference.
    """

    name: str
    modality: str
    highest: int
    area: float
    relative: float | None
    effective: float | None = None


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What a modality contributes, with a 95 % bootstrap interval over scenes or episodes."""

    modality: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ContributionGroup:
    """What each modality contributes to one task, one phase or one sub-goal.

    Attributes:
        name: Of the group.
        num_units: Its scenes or episodes.
        everything: Success or action error with all modalities.
        nothing: The same with none.
        contributions: Shapley value of each modality; they add up to what lies between
            `everything` and `nothing`.
        perceptual: Perceptual score of each modality; open loop only.
        leader: The modality that contributes most; empty where intervals do not tell.
        departures: Value of each modality less its mean over the other groups, with intervals
            that hold for all groups and modalities at once (Bonferroni).
    """

    name: str
    num_units: int
    everything: float
    nothing: float
    contributions: tuple[Contribution, ...]
    perceptual: tuple[Contribution, ...] = ()
    leader: str = ""
    departures: tuple[Contribution, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Contributions group by group.

    Attributes:
        by: What makes a group: `task`, `phase` or `sub-goal`.
        groups: In the order to be shown; none where there is nothing to tell apart.
        note: A sentence on what was left out and why; empty if nothing was.
    """

    by: str
    groups: tuple[ContributionGroup, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Mean relative robustness over a modality's corruptions that leave the task to be known.

    Its 95 % bootstrap interval is over scenes or episodes, for these corruptions.
    """

    modality: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Loop:
    """All that was found in closed loop, or on demonstrations.

    Attributes:
        loop: `closed` (success rates, higher is better) or `open` (action errors, lower is better).
        num_units: Scenes or held-out episodes.
        scores: One a condition, the clean one first.
        robustness: One a corruption.
        kept: One a modality; empty where no average can be given an interval.
        contributions: Shapley values of the modalities over all subsets: shares of the success
            rate, or by how much the modality lowers the action error; empty where not all subsets
            could be judged.
        breakdowns: The same by task, and by phase or sub-goal.
        perceptual: Perceptual score of each modality; open loop only.
        trivial: Error of always predicting the mean training action; open loop only.
    """

    loop: str
    num_units: int
    scores: tuple[Score, ...]
    robustness: tuple[Robustness, ...] = ()
    kept: tuple[Kept, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    perceptual: tuple[Contribution, ...] = ()
    trivial: float | None = None


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What the policy did in scenes where it was given another feasible instruction.

    Attributes:
        instructed: How often it did what it was told.
        original: How often it did what the scene would have asked for.
        neither: How often it did neither.
        told_its_own: Success in the same scenes with their own instructions.
        chance: What a policy that guesses among the scene's tasks would reach.
    """

    instructed: Rate
    original: Rate
    neither: Rate
    told_its_own: Rate
    chance: float


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """How far the actions move when the instruction changes, on held-out demonstrations.

    In standard deviations of the recorded actions, with bootstrap intervals over episodes.

    Attributes:
        swapped: Instruction of another task.
        swapped_low: Lower end of its interval.
        swapped_high: Upper end.
        paraphrased: The same task in other words; None where there is no paraphrase or the policy
            refuses it.
        paraphrased_low: Lower end of its interval.
        paraphrased_high: Upper end.
        refusal: Why there is no number for the paraphrase.
    """

    swapped: float
    swapped_low: float
    swapped_high: float
    paraphrased: float | None = None
    paraphrased_low: float = 0.0
    paraphrased_high: float = 0.0
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A scene that succeeds undisturbed and is lost under a condition, filmed both ways.

    Attributes:
        condition: What was done to the policy.
        seed: Of the scene.
        file: The picture, undisturbed on the left; relative to the folder of the stress test.
        instruction: What the policy read under the condition.
        own_instruction: What it read undisturbed.
        outcome: How the episode ended under the condition.
        acted_on: Which object decided that; empty where none did, or the environment tells none.
        num_steps: Control steps until then.
        num_own_steps: Control steps to the success.
        num_alike: Scenes that end so under the condition and succeed undisturbed.
        num_solved: Scenes of the condition that succeed undisturbed.
    """

    condition: Condition
    seed: int
    file: str
    instruction: str
    own_instruction: str
    outcome: str
    acted_on: str
    num_steps: int
    num_own_steps: int
    num_alike: int
    num_solved: int
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class StressResult:
    """The whole of `plait stress`: what its `results.json` holds and its report shows.

    Attributes:
        command: The command that made it.
        policy: Folder, or `module:function`.
        env: Environment id; None where only demonstrations were used.
        closed: Closed loop, if played.
        open: Open loop, if there were demonstrations.
        listening: In scenes with two feasible instructions; None where not played.
        reaction: On demonstrations; None where language cannot be judged on them.
        failures: Rollouts of the most instructive failures; closed loop only.
        options: Comparison with policies trained otherwise, one a loop, if any.
        dataset: The demonstrations, if any.
        reference: The stress test that effective robustness refers to, if any.
        notes: Plain sentences on what could not be judged, and why.
        settings: What identifies this stress test, and its grid.
        total_seconds: Wall time of all cells, added up over processes.
    """

    command: str
    policy: str
    env: str | None
    closed: Loop | None
    open: Loop | None
    listening: Listening | None
    reaction: Reaction | None
    dataset: DatasetSummary | None
    reference: str | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    failures: tuple[Failure, ...] = ()
    options: tuple[OptionComparison, ...] = ()
    schema_version: int = SCHEMA_VERSION
