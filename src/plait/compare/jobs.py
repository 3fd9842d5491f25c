"""The runs of a comparison: which they are, where they go, and how they are shown while running."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from plait.compare.arm import ArmJob, PlayedJob, RetrievalJob
from plait.compare.console import job_progress
from plait.compare.plan import Plan
from plait.compare.settings import CONTROLS, Arm, objective_of
from plait.compare.towers import TowersJob
from plait.compare.workers import JobUpdate, Report, run_jobs
from plait.results import NO_INIT, RETRIEVAL

RUNS_FOLDER = "runs"
TOWERS_FOLDER = "towers"


@runtime_checkable
class _Job(Protocol):
    """What can be run and shown on a bar."""

    @property
    def title(self) -> str: ...

    @property
    def is_done(self) -> bool: ...

    def __call__(self, report: Report) -> None: ...


Run = TypeVar("Run", bound=_Job)


def run_arms(
    plan: Plan,
    out: Path,
    num_workers: int,
    judged: Callable[[PlayedJob], Run],
    ranked: Callable[[Sequence[Run]], Sequence[str]],
) -> list[Run]:
    """Run alignments, then every arm and training seed, then the controls of the best strategy.

    Args:
        plan: What is trained.
        out: Folder of everything.
        num_workers: Runs side by side.
        judged: Makes of a training a run that is also evaluated.
        ranked: Names the arms of finished runs, best first.

    Returns:
        All runs, the controls last.
    """
    settings = plan.settings
    seeds = range(settings.seed, settings.seed + settings.num_seeds)
    run_all(towers_jobs(plan, out, seeds), num_workers)
    arms = settings.arms()

    def run(chosen: Sequence[Arm]) -> list[Run]:
        jobs = [judged(make_job(plan, out, arm, seed)) for seed in seeds for arm in chosen]
        run_all(jobs, num_workers)
        return jobs

    jobs = run(arms)
    if settings.has_controls:
        # The controls are the best strategy's own network: a control of a poor one shows nothing.
        best = _best(arms, ranked(jobs))
        jobs += run([replace(best, control=control) for control in CONTROLS])
    return jobs


def _best(arms: Sequence[Arm], ranked: Sequence[str]) -> Arm:
    """Return the first trained arm of those with the most data."""
    most = max(arm.train_fraction for arm in arms)
    candidates = [a for a in arms if a.fusion != RETRIEVAL and a.train_fraction == most]
    by_name = {arm.name: arm for arm in candidates}
    return next(by_name[name] for name in ranked if name in by_name)


def make_job(plan: Plan, out: Path, arm: Arm, seed: int) -> PlayedJob:
    """Return the run of one arm and training seed."""
    folder = out / RUNS_FOLDER / arm.folder / f"seed-{seed}"
    towers = _towers_folder(out, arm.init, arm.train_fraction, seed)
    where = (plan.settings, arm, seed, str(plan.data_path), folder, towers)
    if arm.fusion == RETRIEVAL:
        return RetrievalJob(*where)
    return ArmJob(*where, plan.policies[arm.fusion])


def towers_jobs(plan: Plan, out: Path, seeds: Sequence[int]) -> list[TowersJob]:
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


def run_all(jobs: Sequence[_Job], num_workers: int) -> None:
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
