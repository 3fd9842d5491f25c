"""A comparison on demonstrations alone: the same trainings, judged by held-out action error.

For data with no simulator. A small error is not success: it weighs every step alike, while a task
is lost at a few. What it does show is whether a policy knows more than the state already says.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from jaxtyping import Int64
from numpy import ndarray

from plait.compare.arm import RESULT_FILE, PlayedJob
from plait.compare.demonstrations import describe_dataset
from plait.compare.jobs import run_arms
from plait.compare.prepare import prepare
from plait.compare.settings import CompareSettings, data_config
from plait.compare.workers import Report, worker_count
from plait.config import DataConfig
from plait.data.dataset import Demonstrations
from plait.evaluation.open_loop.baselines import baseline_chunks
from plait.evaluation.open_loop.errors import (
    MAX_STEPS,
    Recorded,
    episode_errors,
    predict_chunks,
)
from plait.evaluation.open_loop.summary import summarise_open_loop
from plait.report.open_loop import write_open_loop_report
from plait.results import describe_machine, load_result, save_result
from plait.results.open_loop import COPY_STATE, EpisodeError, OpenLoopComparison, OpenLoopRun
from plait.training.batches import split_episodes, spread
from plait.training.run import open_demonstrations

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
VALIDATION_FRACTION = 0.2
# Below this an interval over episodes says little.
FEW_EPISODES = 5


def on_demonstrations(settings: CompareSettings) -> CompareSettings:
    """Return the same comparison without an environment; more episodes are held out."""
    return replace(
        settings,
        env=None,
        holdout_env=None,
        cameras=(),
        validation_fraction=VALIDATION_FRACTION,
    )


def compare_open_loop(
    settings: CompareSettings,
    out: Path,
    *,
    preset: str = "default",
    num_workers: int | None = None,
    budget_seconds: float | None = None,
    command: str = "plait.compare.open_loop.compare_open_loop(...)",
) -> OpenLoopComparison:
    """Train every strategy on the same episodes, and judge all on the same held-out ones.

    Args:
        settings: What is compared, and how; see `on_demonstrations`.
        out: Folder of everything; a call that finds work done there goes on from it.
        preset: Name of the preset, for the record.
        num_workers: Runs side by side, one thread each; one a core where None.
        budget_seconds: Wall time for all trainings together; sets the number of steps.
        command: What was typed, for the record.

    Returns:
        The comparison, as saved in `out/results.json`; the report is `out/report.html`.

    Raises:
        PlaitError: Of the options, the data or the output folder.
        KeyboardInterrupt: On Ctrl-C; the next call goes on.
    """
    start = time.monotonic()
    settings.validate()
    num_workers = worker_count(num_workers)
    plan = prepare(settings, out, num_workers, budget_seconds)
    recorded, training = _held_out(plan.data, data_config(settings, str(plan.data_path), 1.0))
    baselines = {
        name: episode_errors(chunks, recorded)
        for name, chunks in baseline_chunks(recorded, training, settings.seed).items()
    }
    jobs = run_arms(plan, out, num_workers, OpenLoopJob, _ranked)
    arms, pairs = summarise_open_loop(_results(jobs), baselines)
    comparison = OpenLoopComparison(
        title=f"Plait: held-out action error on {plan.data_path.name}",
        command=command,
        preset=preset,
        is_meaningful=settings.is_meaningful,
        dataset=describe_dataset(str(plan.data_path), plan.data, is_recorded_here=False),
        num_held_out=recorded.num_episodes,
        num_steps=len(recorded.steps),
        fps=float(plan.data.fps),
        arms=arms,
        pairs=pairs,
        notes=tuple(_notes(plan.data, recorded, baselines)),
        runs=tuple(str(job.folder.relative_to(out)) for job in jobs),
        settings=asdict(plan.settings),
        total_seconds=time.monotonic() - start,
        machine=describe_machine(),
    )
    save_result(out / RESULTS_FILE, comparison)
    write_open_loop_report(out / RESULTS_FILE, out / REPORT_FILE)
    return comparison


@dataclass(frozen=True)
class OpenLoopJob:
    """One run: gets the policy of an arm, and measures its errors on held-out episodes.

    Args:
        job: Trains the policy.
    """

    job: PlayedJob

    @property
    def folder(self) -> Path:
        """Where everything of this run goes."""
        return self.job.folder

    @property
    def title(self) -> str:
        """Name on the progress bar."""
        return self.job.title

    @property
    def is_done(self) -> bool:
        """Whether its result stands there."""
        return self.job.is_done

    def __call__(self, report: Report) -> None:
        """Get the policy, measure it, and write `result.json`."""
        job, arm = self.job, self.job.arm
        obtained = job.obtain(report)
        config = data_config(job.settings, job.data_path, 1.0)
        data = open_demonstrations(config, job.settings.policy.action_horizon)
        recorded, _ = _held_out(data, config)

        def on_progress(share: float) -> None:
            report("evaluating", 1 - (1 - share) / 10, "")

        predicted = predict_chunks(obtained.policy, recorded, job.masked, on_progress)
        result = OpenLoopRun(
            arm=arm.name,
            fusion=arm.fusion,
            control=arm.control,
            seed=job.seed,
            cost=obtained.cost(),
            curve=obtained.curve,
            episodes=episode_errors(predicted, recorded),
            machine=describe_machine(),
            init=arm.init,
            train_fraction=arm.train_fraction,
            robust=arm.robust,
        )
        save_result(job.folder / RESULT_FILE, result)


def _held_out(
    data: Demonstrations, config: DataConfig
) -> tuple[Recorded, Int64[ndarray, " steps"]]:
    """Return the held-out steps with their scale, and the steps of the training episodes."""
    training, held_out = split_episodes(data, config)
    scale = data.norm_stats(training).action.std
    steps = spread(data.steps_of(held_out), MAX_STEPS)
    return Recorded.of(data, steps, scale), data.steps_of(training)


def _ranked(jobs: Sequence[OpenLoopJob]) -> list[str]:
    summaries, _ = summarise_open_loop(_results(jobs), {})
    return [summary.arm for summary in summaries]


def _results(jobs: Sequence[OpenLoopJob]) -> list[OpenLoopRun]:
    return [load_result(job.folder / RESULT_FILE, OpenLoopRun) for job in jobs]


def _notes(
    data: Demonstrations, recorded: Recorded, baselines: Mapping[str, tuple[EpisodeError, ...]]
) -> list[str]:
    notes = []
    if recorded.num_episodes < FEW_EPISODES:
        notes.append(
            f"Only {recorded.num_episodes} episodes are held out: the intervals say little."
        )
    if COPY_STATE not in baselines:
        notes.append(
            f"The state has {data.proprio_dim} numbers and an action {data.action_dim}, so copying "
            "the state is no baseline here."
        )
    if len(data.instructions) < 2:
        notes.append(
            "All episodes have the same instruction, so whether language is used cannot be judged."
        )
    return notes
