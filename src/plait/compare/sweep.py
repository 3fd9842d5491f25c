"""The sweep: demonstrations → towers → every arm × seed → controls → pictures → results and report.

Everything can be resumed: the recording, each training, and every finished run.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from plait.compare.arm import RESULT_FILE, PlayedJob
from plait.compare.demonstrations import describe_dataset
from plait.compare.gallery import add_pictures
from plait.compare.jobs import run_arms
from plait.compare.prepare import prepare
from plait.compare.settings import CompareSettings
from plait.compare.workers import worker_count
from plait.envs import groups_of
from plait.evaluation.rates import with_groups
from plait.evaluation.statistics import compare_pairs, summarise_arms
from plait.report import write_report
from plait.results import (
    Comparison,
    RunResult,
    describe_machine,
    load_result,
    save_result,
)

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"


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
    env = settings.required_env
    num_workers = worker_count(num_workers)
    plan = prepare(settings, out, num_workers, budget_seconds)
    jobs = run_arms(plan, out, num_workers, lambda job: job, _ranked)
    results = add_pictures(jobs)
    comparison = Comparison(
        title=f"Plait: {_strategies(len(settings.fusions))} on {env}",
        command=command,
        env=env,
        preset=preset,
        is_meaningful=settings.is_meaningful,
        dataset=describe_dataset(
            str(plan.data_path), plan.data, is_recorded_here=settings.data is None
        ),
        arms=with_groups(summarise_arms(results), results, groups_of(env)),
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


def _ranked(jobs: Sequence[PlayedJob]) -> list[str]:
    return [summary.arm for summary in summarise_arms(_results(jobs))]


def _results(jobs: Sequence[PlayedJob]) -> list[RunResult]:
    return [load_result(job.folder / RESULT_FILE, RunResult) for job in jobs]
