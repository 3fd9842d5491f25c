"""The sweep: demonstrations → towers → every arm × seed → controls → pictures → results and report.

Everything can be resumed: the recording, each training, and every finished run.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from plait.compare.arm import RESULT_FILE, ArmJob, PlayedJob, RetrievalJob
from plait.compare.console import job_progress, progress_bar
from plait.compare.demonstrations import describe_dataset, record_once
from plait.compare.gallery import add_pictures
from plait.compare.plan import Plan, check_environment, make_plan
from plait.compare.settings import (
    CONTROLS,
    Arm,
    CompareSettings,
    align_config,
    objective_of,
    run_config,
)
from plait.compare.towers import TowersJob
from plait.compare.workers import JobUpdate, Report, run_jobs, worker_count
from plait.data.dataset import Demonstrations
from plait.envs import make_env
from plait.evaluation.statistics import compare_pairs, summarise_arms
from plait.policy import check_parts
from plait.report import write_report
from plait.results import (
    NO_INIT,
    RETRIEVAL,
    Comparison,
    RunResult,
    describe_machine,
    load_result,
    save_result,
)
from plait.training.align import check_align
from plait.training.run import check_numbers

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
DATA_FOLDER = "data"
RUNS_FOLDER = "runs"
TOWERS_FOLDER = "towers"


def compare(
    settings: CompareSettings,
    out: Path,
    *,
    preset: str = "default",
    num_workers: int | None = None,
    budget_seconds: float | None = None,
    command: str = "plait.compare(...)",
) -> Comparison:
    """Train every strategy on the same data, evaluate all on the same scenes, write one report.

    Args:
        settings: What is compared, and how.
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
    plan = _plan(settings, out, num_workers, budget_seconds)
    seeds = range(settings.seed, settings.seed + settings.num_seeds)
    _run(_towers_jobs(plan, out, seeds), num_workers)
    arms = settings.arms()
    jobs = [_job(plan, out, arm, seed) for seed in seeds for arm in arms]
    _run(jobs, num_workers)
    if settings.has_controls:
        # The controls are the best strategy's own network: a control of a poor one shows nothing.
        best = _best(arms, _results(jobs))
        masked = [replace(best, control=control) for control in CONTROLS]
        controls = [_job(plan, out, arm, seed) for seed in seeds for arm in masked]
        _run(controls, num_workers)
        jobs += controls
    results = add_pictures(jobs)
    comparison = Comparison(
        title=f"Plait: {_strategies(len(settings.fusions))} on {settings.env}",
        command=command,
        env=settings.env,
        preset=preset,
        is_meaningful=settings.is_meaningful,
        dataset=describe_dataset(
            str(plan.data_path), plan.data, is_recorded_here=settings.data is None
        ),
        arms=summarise_arms(results),
        comparisons=compare_pairs(results),
        runs=tuple(str(job.folder.relative_to(out)) for job in jobs),
        settings=asdict(plan.settings),
        total_seconds=time.monotonic() - start,
        machine=describe_machine(),
    )
    save_result(out / RESULTS_FILE, comparison)
    write_report(out / RESULTS_FILE, out / REPORT_FILE)
    return comparison


def _strategies(count: int) -> str:
    return "one fusion strategy" if count == 1 else f"{count} fusion strategies"


def _plan(
    settings: CompareSettings, out: Path, num_workers: int, budget_seconds: float | None
) -> Plan:
    """Get the demonstrations, and settle everything that can go wrong before training."""
    for is_robust in (False, True) if settings.has_robust else (False,):
        arm = Arm(fusion="", robust=is_robust)
        check_numbers(run_config(settings, arm, settings.seed, "", settings.policy))
    check_parts(settings.policy, settings.fusions)
    for init in settings.inits:
        if objective_of(init):
            check_align(align_config(settings, init, 1.0, settings.seed, ""))
    make_env(settings.env).close()
    if settings.holdout_env is not None:
        make_env(settings.holdout_env).close()
    data_path = out / DATA_FOLDER
    if settings.data is not None:
        data_path = Path(settings.data)
    else:
        record_once(settings, data_path, num_workers)
    with progress_bar("decode images", 1) as show:
        data = Demonstrations.open(
            data_path,
            cameras=settings.cameras or None,
            image_size=settings.image_size,
            action_horizon=settings.policy.action_horizon,
            on_progress=show,
        )
    check_environment(settings.env, settings, data)
    return make_plan(
        settings, out, data_path, data, num_workers=num_workers, budget_seconds=budget_seconds
    )


def _job(plan: Plan, out: Path, arm: Arm, seed: int) -> PlayedJob:
    folder = out / RUNS_FOLDER / arm.folder / f"seed-{seed}"
    towers = _towers_folder(out, arm.init, arm.train_fraction, seed)
    where = (plan.settings, arm, seed, str(plan.data_path), folder, towers)
    if arm.fusion == RETRIEVAL:
        return RetrievalJob(*where)
    return ArmJob(*where, plan.policies[arm.fusion])


def _towers_jobs(plan: Plan, out: Path, seeds: Sequence[int]) -> list[TowersJob]:
    """Return the alignments that some arm starts from."""
    settings, jobs = plan.settings, []
    for seed in seeds:
        for init in settings.inits:
            for fraction in settings.fractions if objective_of(init) else ():
                folder = _towers_folder(out, init, fraction, seed)
                assert folder is not None
                data_path = str(plan.data_path)
                jobs.append(TowersJob(settings, init, fraction, seed, data_path, folder))
    return jobs


def _towers_folder(out: Path, init: str, train_fraction: float, seed: int) -> Path | None:
    """Return where the towers of an arm are; None where it starts from nothing."""
    if init == NO_INIT:
        return None
    objective = objective_of(init)
    if objective is None:
        return Path(init)
    name = re.sub(r"[^\w.-]+", "-", f"{objective}-{train_fraction:g}")
    return out / TOWERS_FOLDER / name / f"seed-{seed}"


def _best(arms: Sequence[Arm], results: Sequence[RunResult]) -> Arm:
    """Return the trained arm with the highest success among those with the most data."""
    most = max(arm.train_fraction for arm in arms)
    candidates = [a for a in arms if a.fusion != RETRIEVAL and a.train_fraction == most]
    by_name = {arm.name: arm for arm in candidates}
    return next(by_name[s.arm] for s in summarise_arms(results) if s.arm in by_name)


@runtime_checkable
class _Job(Protocol):
    """What can be run and shown on a bar."""

    @property
    def title(self) -> str: ...

    @property
    def is_done(self) -> bool: ...

    def __call__(self, report: Report) -> None: ...


def _run(jobs: Sequence[_Job], num_workers: int) -> None:
    """Run what is not done yet, one bar a run and one for all."""
    waiting = [job for job in jobs if not job.is_done]
    if not waiting:
        return
    with job_progress() as progress:
        overall = progress.add_task("all runs", total=len(waiting), stage="", note="")
        tasks = [progress.add_task(job.title, total=1, stage="waits", note="") for job in waiting]
        fractions = [0.0] * len(waiting)

        def on_update(update: JobUpdate) -> None:
            fractions[update.job] = update.fraction
            progress.update(
                tasks[update.job], completed=update.fraction, stage=update.stage, note=update.note
            )
            progress.update(overall, completed=sum(fractions))

        run_jobs(waiting, num_workers, on_update)


def _results(jobs: Sequence[PlayedJob]) -> list[RunResult]:
    return [load_result(job.folder / RESULT_FILE, RunResult) for job in jobs]
