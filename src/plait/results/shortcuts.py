"""What `plait inspect` writes of shortcuts, and all its sentences read. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plait.results import SCHEMA_VERSION, DatasetSummary, Estimate, Machine

# What a probe reads, and what kind of model it is.
FIRST_IMAGE, FIRST_STATE = "first image", "first state"
RIDGE, NETWORK, MEANS = "ridge", "network", "means"
# Which steps of the held-out episodes actions are explained at.
EVERY_STEP, FIRST_STEP = "every step", "first step"
# What a set of episodes was divided by.
BY_SCENE, BY_EPISODE = "scene", "episode"
# What is concluded.
CAN_IGNORE, CANNOT_IGNORE, NOT_JUDGED = "can_ignore", "cannot_ignore", "not_judged"


@dataclass(frozen=True, kw_only=True)
class InstructionProbe:
    """How often a small model names the instruction of a held-out episode.

    Attributes:
        source: `first image` or `first state`.
        model: `ridge` or `network`.
        accuracy: Share of the held-out episodes.
    """

    source: str
    model: str
    accuracy: Estimate


@dataclass(frozen=True, kw_only=True)
class InstructionPrediction:
    """Whether the instruction can be told before anything is done.

    Attributes:
        reason: Why it is not judged; empty where it is. The rest is then empty, too.
        probes: One a source and model.
        majority: Share of the held-out episodes that have the commonest instruction of the rest.
        uniform: One over the number of instructions.
        num_instructions: Instructions with enough episodes, among which the probes choose.
        num_train_episodes: Episodes learned from.
        num_test_episodes: Episodes measured on.
    """

    reason: str = ""
    probes: tuple[InstructionProbe, ...] = ()
    majority: float = 0.0
    uniform: float = 0.0
    num_instructions: int = 0
    num_train_episodes: int = 0
    num_test_episodes: int = 0


@dataclass(frozen=True, kw_only=True)
class SceneSharing:
    """How many instructions are given in the same scene.

    Attributes:
        tolerance: Grey levels of 255 by which no cell of two first frames of one scene differs.
        num_scenes: Distinct scenes.
        num_repeated: Scenes of more than one episode; only they can show several instructions.
        scenes_by_instructions: How many scenes have 1, 2, 3 ... instructions, by that number.
        shared_episodes: Share of the episodes that lie in a scene with several instructions.
        num_neighbours: How many other first frames, the nearest ones, are looked at beside each.
        neighbour_instructions: Mean number of distinct instructions among a frame and those.
        neighbours_alike: Share of those neighbours with the same instruction.
        neighbours_chance: The same for neighbours drawn at random.
    """

    tolerance: float
    num_scenes: int
    num_repeated: int
    scenes_by_instructions: Mapping[str, int]
    shared_episodes: float
    num_neighbours: int
    neighbour_instructions: float
    neighbours_alike: float
    neighbours_chance: float


@dataclass(frozen=True, kw_only=True)
class ExplainedActions:
    """Share of the variance of held-out action chunks that a model explains (R²).

    Attributes:
        inputs: What the model reads, e.g. `images + state`.
        model: `means`, `ridge` or `network`.
        every_step: Over steps spread over whole episodes.
        first_step: At the first step of every episode, where there is no motion to go on with.
    """

    inputs: str
    model: str
    every_step: Estimate
    first_step: Estimate


@dataclass(frozen=True, kw_only=True)
class LanguageGain:
    """What the instruction adds to R² over images and state, with the same model.

    Attributes:
        model: `ridge` (adds up what each modality tells) or `network` (looks for what is named).
        every_step: Over steps spread over whole episodes.
        first_step: At the first step of every episode.
    """

    model: str
    every_step: Estimate
    first_step: Estimate


@dataclass(frozen=True, kw_only=True)
class ShortcutMeasures:
    """All that is measured.

    Attributes:
        num_episodes: Episodes looked at.
        episodes_by_instruction: How many of them each instruction has, most first.
        split_by: `scene` where episodes of one scene are all learned from or all measured,
            `episode` where instructions have too few scenes for that.
        actions: Empty where no action ever changes.
        gains: Empty where there are not two instructions.
    """

    num_episodes: int
    episodes_by_instruction: Mapping[str, int]
    split_by: str
    prediction: InstructionPrediction
    scenes: SceneSharing
    actions: tuple[ExplainedActions, ...]
    gains: tuple[LanguageGain, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a policy trained on this data can ignore its instruction.

    Attributes:
        kind: `can_ignore`, `cannot_ignore` or `not_judged`.
        sentence: The same in words, with the reason.
    """

    kind: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ShortcutsResult:
    """The whole of `plait inspect --shortcuts`: what its `results.json` holds.

    Attributes:
        command: The command that made it.
        dataset: The demonstrations.
        findings: Plain sentences beside the verdict.
        settings: How it was measured, for the record.
        total_seconds: Wall time of everything.
    """

    command: str
    dataset: DatasetSummary
    measures: ShortcutMeasures
    verdict: Verdict
    findings: tuple[str, ...]
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    schema_version: int = SCHEMA_VERSION
