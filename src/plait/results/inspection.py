"""What `plait inspect` writes, and all its page reads. Standard library only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plait.results import SCHEMA_VERSION, Estimate, Machine
from plait.results.shortcuts import ShortcutsResult

# How bad a finding is: a training would fail or learn what is wrong; it may suffer; good to know.
ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
# What a baseline predicts, by a linear map of the state or by the state itself.
COPY, LINEAR = "copy", "linear map"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: `error`, `warning` or `note`.
        where: File, feature, camera or episodes.
        found: What is there, in a sentence.
        todo: What to do about it, in a sentence.
    """

    severity: str
    where: str
    found: str
    todo: str


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How a dimension of the state or the action is distributed, over all steps.

    Attributes:
        feature: `action` or `observation.state`.
        dim: Which dimension, from 0.
        name: What the dataset calls it; empty where it does not say.
        minimum: Smallest finite value; the counts begin there.
        maximum: Largest finite value; the counts end there.
        q01: Exact 1 % quantile.
        q99: Exact 99 % quantile.
        counts: Steps in each of equal bins; one bin where the value never changes.
        stored_q01: The same as the dataset's statistics have it, where they do.
        stored_q99: The same.
    """

    feature: str
    dim: int
    name: str
    minimum: float
    maximum: float
    q01: float
    q99: float
    counts: tuple[int, ...]
    stored_q01: float | None = None
    stored_q99: float | None = None


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long the episodes are.

    Attributes:
        shortest: Steps of the shortest one.
        median: Half are shorter.
        longest: Steps of the longest one.
        counts: Episodes in each of equal bins from the shortest to the longest.
    """

    shortest: int
    median: float
    longest: int
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames of one episode side by side; `file` is relative to the file that names it."""

    episode: int
    file: str


@dataclass(frozen=True, kw_only=True)
class CameraSummary:
    """One camera, by the frames that were looked at.

    Attributes:
        camera: Its name.
        storage: `image` or `video`.
        height: Of the frames in pixels; 0 where none could be decoded.
        width: The same.
        num_frames: Frames looked at.
        num_episodes: Episodes they are of.
        brightness: Mean level of all channels, 0 to 255.
        contrast: Mean over the frames of the standard deviation within one, of the channel where
            it is largest.
        strips: The contact sheet.
    """

    camera: str
    storage: str
    height: int
    width: int
    num_frames: int
    num_episodes: int
    brightness: float
    contrast: float
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InstructionCount:
    """How often an instruction is given."""

    text: str
    num_episodes: int
    num_steps: int


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How long nothing moves, and how long actions rest on their limits.

    Attributes:
        idle_s: Shortest stretch without motion that counts, in seconds.
        idle: Share of all steps that lie in one.
        saturated_s: Shortest stretch on a limit that counts, in seconds.
        saturated: Per action dimension, share of the steps that lie in one.
    """

    idle_s: float
    idle: float
    saturated_s: float
    saturated: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Variance of held-out actions that the state at the same step explains.

    Attributes:
        model: `copy` (the state is taken for the action) or `linear map` (ridge).
        target: What is predicted, in words.
        explained: R² over all dimensions, each scaled by its spread.
    """

    model: str
    target: str
    explained: Estimate


@dataclass(frozen=True, kw_only=True)
class Copying:
    """How well actions are predicted without looking.

    Attributes:
        reason: Why nothing was measured; empty where something was.
        num_test_episodes: Episodes held out.
        baselines: One a model and target.
    """

    reason: str = ""
    num_test_episodes: int = 0
    baselines: tuple[Baseline, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InspectionResult:
    """The whole of `plait inspect`: what its `results.json` holds and its page shows.

    Attributes:
        command: The command that made it.
        path: Folder of the dataset.
        version: Of the LeRobot format.
        robot: What the dataset calls its robot; empty where it does not say.
        fps: Steps a second, as declared.
        num_episodes: Episodes found.
        num_steps: Rows found.
        findings: The most severe first.
        copying: How well the state alone predicts the actions.
        shortcuts: Whether language can be ignored, where that was asked for.
        settings: How it was looked at, for the record.
        total_seconds: Wall time of everything.
    """

    command: str
    path: str
    version: str
    robot: str
    fps: float
    num_episodes: int
    num_steps: int
    findings: tuple[Finding, ...]
    lengths: Lengths
    cameras: tuple[CameraSummary, ...]
    instructions: tuple[InstructionCount, ...]
    histograms: tuple[Histogram, ...]
    motion: Motion
    copying: Copying
    shortcuts: ShortcutsResult | None
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    schema_version: int = SCHEMA_VERSION


def count_of(findings: Sequence[Finding], severity: str) -> int:
    """Return how many findings are of a severity."""
    return sum(finding.severity == severity for finding in findings)
