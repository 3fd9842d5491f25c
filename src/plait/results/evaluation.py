"""What `plait evaluate` writes, and all that its report reads. Standard library only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plait.results import (
    SCHEMA_VERSION,
    EpisodeResult,
    Grouping,
    Machine,
    PairedComparison,
    Rate,
    RolloutPicture,
)


@dataclass(frozen=True, kw_only=True)
class EvaluationCell:
    """Some scenes under one condition, played in one go; a file of its own.

    Attributes:
        control: None, or what was hidden for comparison.
        episodes: One a scene.
        seconds: Wall time of playing them.
    """

    control: str | None
    episodes: tuple[EpisodeResult, ...]
    seconds: float
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class ConditionResult:
    """The policy as it is, or with a modality hidden, in all scenes.

    Attributes:
        control: None, or what was hidden for comparison: `instruction_masked`, `images_masked`.
        masked: Modalities hidden from the policy.
        success: Over all episodes.
        per_task: The same for each task.
        groups: The same for groups of tasks, by kind of group.
        task_mean: Mean over the tasks, each counted alike.
        outcomes: How often each outcome occurred.
        mean_steps: Control steps of an episode.
        mean_steps_to_success: The same of successful episodes; None where none was.
        seconds: Wall time, added up over processes.
        steps_per_second: Control steps of a process in a second of wall time, all told: physics,
            pictures and policy.
        episodes: One a scene.
    """

    control: str | None
    masked: tuple[str, ...]
    success: Rate
    per_task: Mapping[str, Rate]
    groups: tuple[Grouping, ...]
    task_mean: float
    outcomes: Mapping[str, int]
    mean_steps: float
    mean_steps_to_success: float | None
    seconds: float
    steps_per_second: float
    episodes: tuple[EpisodeResult, ...]

    @property
    def name(self) -> str:
        """Name in tables."""
        return "policy" if self.control is None else self.control.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class ControlComparison:
    """The policy beside itself with a modality hidden, in the same scenes.

    Attributes:
        control: What was hidden.
        kind: Which tasks: of every group of a kind; empty for all.
        pair: The better one first.
    """

    control: str
    kind: str
    pair: PairedComparison


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The whole of `plait evaluate`: what its `results.json` holds and its report shows.

    Attributes:
        command: The command that made it.
        policy: Folder, or `module:function`.
        env: Environment id.
        execution_horizon: Steps executed before a policy looks again.
        first_seed: Of the scenes.
        num_scenes: Seeds from there on, one a scene.
        conditions: The policy as it is, then the controls.
        comparisons: Of the policy with its controls.
        pictures: Films of the policy as it is.
        view: How pictures were taken; empty where the environment knows one way alone.
        is_view_of_training: Whether the policy was trained on pictures taken like that, as far as
            its record tells.
        settings: What identifies this evaluation.
        num_processes: That shared the work of the last call.
        total_seconds: Wall time of all cells, added up over processes.
    """

    command: str
    policy: str
    env: str
    execution_horizon: int
    first_seed: int
    num_scenes: int
    conditions: tuple[ConditionResult, ...]
    comparisons: tuple[ControlComparison, ...]
    pictures: tuple[RolloutPicture, ...]
    view: Mapping[str, Any]
    is_view_of_training: bool
    settings: Mapping[str, Any]
    num_processes: int
    total_seconds: float
    machine: Machine
    schema_version: int = SCHEMA_VERSION


def seeds_ending_otherwise(
    episodes: Iterable[EpisodeResult], films: Iterable[RolloutPicture]
) -> list[int]:
    """Return the scenes that do not end in their film as they did in the evaluation."""
    outcomes = {episode.seed: episode.success for episode in episodes}
    return [film.seed for film in films if film.success != outcomes.get(film.seed, film.success)]
