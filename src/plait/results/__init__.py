"""What an evaluation or a comparison writes, and all that a report reads. Standard library only.

Files are written to a temporary name and renamed, so a file that exists is whole. Every file
carries `schema_version`; a reader refuses a version it does not know.
"""

import dataclasses
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from plait.config import from_dict
from plait.errors import DataError, OutputError, PlaitError

SCHEMA_VERSION = 1
# What `init` of a run says where its encoders started from random weights.
NO_INIT = "none"
# What `fusion` of a run says where action chunks are looked up instead of predicted.
RETRIEVAL = "retrieval"
PACKAGES = ("plait", "torch", "numpy", "mujoco", "gymnasium", "accelerate", "pyarrow")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where and with what a result was made."""

    platform: str
    processor: str
    num_cores: int
    python: str
    packages: Mapping[str, str]
    git_commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """One closed-loop rollout.

    Attributes:
        seed: Seed of the scene; the same for every arm.
        task: The verb.
        instruction: What the policy was told.
        success: Whether the task was done.
        outcome: `success`, `wrong_object`, `wrong_place`, `timeout` ...: how the episode ended.
        num_steps: Control steps taken.
        num_candidates: Objects in the scene among which a policy without language must guess.
    """

    seed: int
    task: str
    instruction: str
    success: bool
    outcome: str
    num_steps: int
    num_candidates: int


@dataclass(frozen=True, kw_only=True)
class RolloutPicture:
    """An animated picture of one rollout; `file` is relative to the file that names it."""

    file: str
    seed: int
    task: str
    instruction: str
    success: bool
    outcome: str


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a learning curve.

    Attributes:
        step: Steps done.
        train_loss: Loss of the last batch.
        validation_loss: Mean loss over held-out batches, where there are any.
        seconds: Wall time so far.
        score: What early stopping watches, higher is better, where something is watched.
    """

    step: int
    train_loss: float
    validation_loss: float | None
    seconds: float
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a policy costs.

    Attributes:
        num_parameters: All parameters of the policy.
        flops_per_action_chunk: Floating-point operations of one prediction for one sample.
        latency_ms_median: Wall time of one prediction for one sample, one thread.
        latency_ms_p99: 99th percentile of the same.
        train_seconds: Wall time of the training, and of the alignment before it, if any.
        train_samples_per_second: Samples consumed a second in training.
    """

    num_parameters: int
    flops_per_action_chunk: int
    latency_ms_median: float
    latency_ms_p99: float
    train_seconds: float
    train_samples_per_second: float


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """What a strategy shows of itself.

    Attributes:
        name: E.g. `modality_usage` or `attention`.
        kind: `bars` (labels and values) or `heatmap` (a grid over an image).
        labels: Names of the bars, or the words of the instruction, one heat map each.
        values: Bars: one number a label. Heat maps: per label, rows of columns.
        image: File of the picture under a heat map, relative to the result's folder.
        note: One sentence that says what the numbers are.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    values: tuple[Any, ...]
    image: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One trained and evaluated policy: one arm, one seed.

    Attributes:
        arm: Name of the arm, e.g. `film` or `film, instruction masked`.
        fusion: Name of the strategy.
        control: None, `instruction_masked` or `images_masked`.
        seed: Training seed.
        episodes: Rollouts in the suite it was trained for.
        holdout_episodes: Rollouts on combinations never seen in training, where there are any.
        validation_action_error: Mean absolute error on held-out episodes, in action units.
        init: What its encoders started from; `none` for random weights.
        train_fraction: Share of the training episodes that were learned from.
        robust: Whether it was trained for missing and noisy modalities.
    """

    arm: str
    fusion: str
    control: str | None
    seed: int
    cost: Cost
    curve: tuple[CurvePoint, ...]
    episodes: tuple[EpisodeResult, ...]
    validation_action_error: float
    holdout_episodes: tuple[EpisodeResult, ...] = ()
    pictures: tuple[RolloutPicture, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    machine: Machine
    init: str = NO_INIT
    train_fraction: float = 1.0
    robust: bool = False
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A success rate with its Wilson interval."""

    successes: int
    trials: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class MeanRate:
    """An unweighted mean of success rates with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class GroupRate:
    """Success on some tasks together.

    Attributes:
        name: Of the group, such as `easy`.
        tasks: Of the suite, that belong to it.
        success: Over all their episodes.
    """

    name: str
    tasks: tuple[str, ...]
    success: Rate


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Success by groups of tasks of one kind.

    Attributes:
        kind: What groups are made by, such as `difficulty`.
        groups: In the order of the benchmark; those without an episode are left out.
        together: Over all episodes of tasks that are in some group.
        mean: Mean over the groups, each counted alike however many tasks it has.
    """

    kind: str
    groups: tuple[GroupRate, ...]
    together: Rate
    mean: MeanRate


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """All seeds of one arm together.

    Attributes:
        success: Over all episodes and seeds.
        per_task: The same for each task.
        outcomes: How often each outcome occurred.
        seed_rates: Success rate of each training seed, in order.
        chance: Mean of 1 / num_candidates over the episodes: what guessing among objects gives; 0
            where no scene says among how many.
        holdout: Success on combinations never seen in training; None where not measured.
        init: What the encoders started from; `none` for random weights.
        train_fraction: Share of the training episodes that were learned from.
        robust: Whether it was trained for missing and noisy modalities.
        groups: Success by groups of tasks, where the environment has any.
    """

    arm: str
    fusion: str
    control: str | None
    success: Rate
    per_task: Mapping[str, Rate]
    outcomes: Mapping[str, int]
    seed_rates: tuple[float, ...]
    chance: float
    cost: Cost
    validation_action_error: float
    holdout: Rate | None = None
    init: str = NO_INIT
    train_fraction: float = 1.0
    robust: bool = False
    groups: tuple[Grouping, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval, from held-out episodes drawn again."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two arms on the same scenes.

    Attributes:
        first: Name of the arm with the higher rate.
        second: Name of the other.
        first_only: Episodes that only `first` solved.
        second_only: Episodes that only `second` solved.
        difference: Difference of the success rates.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Exact McNemar test, Holm-adjusted over all pairs shown.
        differs: Whether the adjusted p-value is below 0.05.
    """

    first: str
    second: str
    first_only: int
    second_only: int
    difference: float
    low: float
    high: float
    p_value: float
    differs: bool


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """The demonstrations every arm was trained on."""

    path: str
    fingerprint: str
    num_episodes: int
    num_steps: int
    cameras: tuple[str, ...]
    tasks: tuple[str, ...]
    is_recorded_here: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The whole of `plait compare`: what its `results.json` holds and its report shows.

    Attributes:
        title: First line of the report.
        command: The command that made it.
        env: Environment id of the evaluation.
        is_meaningful: False for presets too small to mean anything; the report says so.
        arms: Best first, controls among them.
        comparisons: Paired comparisons between arms.
        runs: Folder of every run, relative to this file, in the order of arms and seeds.
        settings: The full configuration, for the record.
        total_seconds: Wall time of everything.
    """

    title: str
    command: str
    env: str
    preset: str
    is_meaningful: bool
    dataset: DatasetSummary
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[PairedComparison, ...]
    runs: tuple[str, ...]
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    schema_version: int = field(default=SCHEMA_VERSION)


def describe_machine() -> Machine:
    """Describe this machine and the packages a result depends on."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Machine(
        platform=platform.platform(),
        processor=_processor(),
        num_cores=os.cpu_count() or 1,
        python=platform.python_version(),
        packages=packages,
        git_commit=_git_commit(),
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Return the commit of the source tree Plait runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file under a temporary name beside it, then rename.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path}: {reason}. Choose another folder or free some space"
        ) from error
    finally:
        # Also on Ctrl-C: a half-written file is never left behind.
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def save_result(path: Path, result: object) -> None:
    """Write a result as JSON, whole or not at all."""
    data = dataclasses.asdict(result)  # type: ignore[call-overload]
    write_text_atomically(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def load_result(path: Path, kind: type[T]) -> T:
    """Read a result that `save_result` wrote.

    Raises:
        DataError: If the file is missing, is not JSON, or has another schema version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", f"a saved {kind.__name__}") from error
    except OSError as error:
        raise DataError(
            path, f"unreadable ({error.strerror})", f"a saved {kind.__name__}"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON ({error})", f"a saved {kind.__name__}") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(path, f"schema version {version}", f"version {SCHEMA_VERSION}")
    try:
        return from_dict(kind, data)
    except PlaitError as error:
        raise DataError(path, str(error), f"a saved {kind.__name__}") from error
