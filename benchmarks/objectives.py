"""Which alignment objective is best at what: retrieval, modality gap, success after fine-tuning.

    plait record --env tabletop/touch --episodes 8000 --cameras base --noise 0.1 --out demos
    python benchmarks/objectives.py --data demos --env tabletop/touch --out outputs/objectives

Every variant is aligned on all training episodes with every seed; a FiLM policy then starts from
the towers and learns from three tenths of them. The first row starts from nothing. Numbers are
means over the seeds with Student's 95 % interval. An interrupted call goes on in its folder; one
process a core, one thread each.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from plait.compare.align import align
from plait.compare.arm import EVALUATION_SEED
from plait.compare.console import job_progress
from plait.compare.environment import EnvFactory
from plait.compare.workers import JobUpdate, Report, run_jobs, worker_count
from plait.config import (
    AlignConfig,
    AlignerConfig,
    Component,
    DataConfig,
    PolicyConfig,
    RunConfig,
    TrainingConfig,
)
from plait.evaluation.rollout import evaluate_policy
from plait.results import describe_machine, write_text_atomically
from plait.results.alignment import AlignmentMeasures
from plait.training.run import train

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    # Name: objective, its options, and what else differs in the towers.
    "info_nce, fused query": ("info_nce", {"repeats": "mask", "fused_weight": 1.0}, {}),
    "… repeats kept": ("info_nce", {"repeats": "keep", "fused_weight": 1.0}, {}),
    "info_nce (default)": ("info_nce", {"repeats": "mask", "fused_weight": 0.0}, {}),
    "… repeats kept (textbook)": ("info_nce", {"repeats": "keep", "fused_weight": 0.0}, {}),
    "sigmoid": ("sigmoid", {}, {}),
    "gram, with pairs": ("gram", {}, {}),
    "symile": ("symile", {}, {}),
    "fused query, shared projection": (
        "info_nce",
        {"fused_weight": 1.0},
        {"shares_projection": True},
    ),
    "fused query, temperature ramp": ("info_nce", {"fused_weight": 1.0, "ramp_steps": 400}, {}),
}
NOTHING = "no towers"
COLUMNS = (
    "text → vision @1",
    "vision → text @1",
    "… last fifth",
    "vision → action @10",
    "action → text @1",
    "retrieved action error",
    "gap vision-text",
    "gap vision-action",
    "success",
)


@dataclass(frozen=True)
class Job:
    """One variant with one seed, in any process."""

    variant: str
    seed: int
    options: argparse.Namespace

    @property
    def folder(self) -> Path:
        """Where everything of it goes."""
        name = "".join(c if c.isalnum() else "-" for c in self.variant)
        return Path(self.options.out) / name / f"seed-{self.seed}"

    @property
    def result_file(self) -> Path:
        """What is written last."""
        return self.folder / "figures.json"

    def __call__(self, report: Report) -> None:
        """Align, fine-tune, evaluate."""
        figures: dict[str, float] = {}
        if self.variant != NOTHING:
            result = align(
                self._align_config(),
                self.folder / "towers",
                command="benchmarks/objectives.py",
                on_progress=lambda p: report("aligning", 0.6 * p.step / p.num_steps),
            )
            figures = figures_of(result.after)
        trained = train(
            self._run_config(),
            self.folder / "policy",
            on_progress=lambda p: report("training", 0.6 + 0.3 * p.step / p.num_steps),
        )
        report("evaluating", 0.9)
        episodes = evaluate_policy(
            trained.policy,
            EnvFactory(self.options.env, ("base",), 64),
            range(EVALUATION_SEED, EVALUATION_SEED + self.options.scenes),
            execution_horizon=2,
        )
        figures["success"] = statistics.fmean(episode.success for episode in episodes)
        write_text_atomically(self.result_file, json.dumps(figures) + "\n")

    def _align_config(self) -> AlignConfig:
        name, options, towers = VARIANTS[self.variant]
        return AlignConfig(
            data=DataConfig(path=self.options.data, cameras=("base",), validation_fraction=0.1),
            aligner=AlignerConfig(objective=Component(name=name, options=options), **towers),
            training=TrainingConfig(
                num_steps=self.options.align_steps,
                batch_size=self.options.batch_size,
                seed=self.seed,
                validation_interval=max(self.options.align_steps // 4, 1),
            ),
        )

    def _run_config(self) -> RunConfig:
        towers = "" if self.variant == NOTHING else str(self.folder / "towers")
        return RunConfig(
            data=DataConfig(
                path=self.options.data,
                cameras=("base",),
                validation_fraction=0.1,
                train_fraction=self.options.fraction,
            ),
            policy=PolicyConfig(fusion=Component(name="film")),
            training=TrainingConfig(num_steps=self.options.steps, seed=self.seed),
            init=towers,
        )


def figures_of(after: AlignmentMeasures) -> dict[str, float]:
    """Pick what the table shows."""
    recall = {(score.query, score.target): score.recall for score in after.retrieval}
    gap = {(pair.first, pair.second): pair.centroid_distance for pair in after.pairs}
    errors = {found.query: found.error for found in after.retrieved_action}
    return {
        "text → vision @1": recall["language", "vision"]["1"],
        "vision → text @1": recall["vision", "language"]["1"],
        "… last fifth": after.progress[-1].recall,
        "vision → action @10": recall["vision", "action"]["10"],
        "action → text @1": recall["action", "language"]["1"],
        "retrieved action error": errors["vision + language"],
        "gap vision-text": gap["vision", "language"],
        "gap vision-action": gap["vision", "action"],
    }


def mean_with_interval(values: Sequence[float]) -> str:
    """Write a mean and Student's 95 % interval over the seeds."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.3f} ±{half:.3f}"


def run(jobs: Sequence[Job], num_workers: int) -> None:
    """Run what is not done yet, with one bar for all."""
    waiting = [job for job in jobs if not job.result_file.exists()]
    with job_progress() as progress:
        task = progress.add_task("all runs", total=max(len(waiting), 1), stage="", note="")
        fractions = [0.0] * len(waiting)

        def on_update(update: JobUpdate) -> None:
            fractions[update.job] = update.fraction
            progress.update(task, completed=sum(fractions))

        run_jobs(waiting, num_workers, on_update)


def main() -> None:
    """Run every variant and seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--env", default="tabletop/touch")
    parser.add_argument("--out", default="outputs/objectives")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--align-steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--fraction", type=float, default=0.3)
    parser.add_argument("--scenes", type=int, default=80)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    names = [NOTHING, *VARIANTS]
    # Variants in order, so that a call that is stopped has the first ones whole.
    jobs = [Job(name, seed, options) for name in names for seed in range(options.seeds)]
    run(jobs, worker_count(options.workers))
    found = {
        name: [json.loads(j.result_file.read_text()) for j in jobs if j.variant == name]
        for name in names
    }
    print("| objective | " + " | ".join(COLUMNS) + " |")
    print("| --- |" + " ---: |" * len(COLUMNS))
    for name, figures in found.items():
        cells = [
            mean_with_interval([f[column] for f in figures]) if column in figures[0] else ""
            for column in COLUMNS
        ]
        print(f"| `{name}` | " + " | ".join(cells) + " |")
    machine = describe_machine()
    record = {"options": vars(options), "figures": found, "machine": asdict(machine)}
    path = Path(options.out) / "figures.json"
    write_text_atomically(path, json.dumps(record, indent=1) + "\n")
    print(f"\n{machine.processor}, {machine.num_cores} cores; figures in {path}")


if __name__ == "__main__":
    main()
