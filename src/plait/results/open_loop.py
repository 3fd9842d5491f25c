"""What a comparison on held-out demonstrations writes. Standard library only.

Errors are in standard deviations of the training actions, so that metres, radians and grippers
can be averaged; 1 is about what always predicting the mean action gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.results import (
    NO_INIT,
    SCHEMA_VERSION,
    Cost,
    CurvePoint,
    DatasetSummary,
    Estimate,
    Machine,
)

STRATEGY, CONTROL, BASELINE = KINDS = ("strategy", "control", "baseline")
# Predictions that need no network; every strategy has to be better than these.
MEAN_ACTION = "mean action"
COPY_STATE = "copy the state"
LINEAR_STATE = "linear in the state"


@dataclass(frozen=True, kw_only=True)
class EpisodeError:
    """How far the predictions in one held-out episode are from what was recorded.

    Attributes:
        episode: Its index in the dataset.
        error: Mean over its steps and the recorded part of their chunks.
        per_step: For each step of the horizon; None where the episode is too short for it.
    """

    episode: int
    error: float
    per_step: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class OpenLoopRun:
    """One training of one arm, judged on held-out episodes."""

    arm: str
    fusion: str
    control: str | None
    seed: int
    cost: Cost
    curve: tuple[CurvePoint, ...]
    episodes: tuple[EpisodeError, ...]
    machine: Machine
    init: str = NO_INIT
    train_fraction: float = 1.0
    robust: bool = False
    schema_version: int = field(default=SCHEMA_VERSION)


@dataclass(frozen=True, kw_only=True)
class OpenLoopArm:
    """All trainings of one arm together, or a baseline.

    Attributes:
        arm: Its name.
        kind: `strategy`, `control` or `baseline`.
        fusion: Its strategy; empty for a baseline.
        control: Which modality was hidden, for a control.
        error: Mean over episodes and training seeds.
        per_step: The same for each step of the horizon that some episode reaches.
        seed_errors: Mean over episodes of each training seed.
        cost: None for a baseline.
    """

    arm: str
    kind: str
    fusion: str = ""
    control: str | None = None
    error: Estimate
    per_step: tuple[Estimate, ...]
    seed_errors: tuple[float, ...] = ()
    cost: Cost | None = None
    init: str = NO_INIT
    train_fraction: float = 1.0
    robust: bool = False


@dataclass(frozen=True, kw_only=True)
class ErrorPair:
    """Two arms on the same held-out episodes.

    Attributes:
        first: The arm with the smaller error.
        second: The other.
        difference: Error of `second` minus that of `first`, paired by episode.
    """

    first: str
    second: str
    difference: Estimate

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True, kw_only=True)
class OpenLoopComparison:
    """The whole of a comparison on demonstrations: what its `results.json` holds.

    Attributes:
        num_held_out: Held-out episodes.
        num_steps: Held-out steps that were predicted from.
        fps: Steps a second.
        arms: Smallest error first.
        pairs: Every strategy with every other, with the baselines and with its own controls.
        notes: What could not be measured, and why.
    """

    title: str
    command: str
    preset: str
    is_meaningful: bool
    dataset: DatasetSummary
    num_held_out: int
    num_steps: int
    fps: float
    arms: tuple[OpenLoopArm, ...]
    pairs: tuple[ErrorPair, ...]
    notes: tuple[str, ...]
    runs: tuple[str, ...]
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    schema_version: int = field(default=SCHEMA_VERSION)
