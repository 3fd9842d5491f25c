"""`plait compare`."""

import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from plait.cli.options import Parts, names, print_json, shares


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Train every fusion strategy on the same data, evaluate in closed loop, write one report."""

    preset: str = "default"
    """default (minutes), smoke (the whole path in a minute), or full (hours)."""
    env: str | None = None
    """Environment to evaluate in, and to record in where no data is given, e.g. tabletop/pick."""
    data: Path | None = None
    """Folder of a LeRobot dataset to train on; recorded from the scripted expert if absent."""
    fusion: str | None = None
    """Strategies, separated by commas; module:Class is one of your own."""
    init: str | None = None
    """What encoders start from, separated by commas: none, aligned (towers aligned on the same
    data, with a retrieval baseline beside them), aligned:OBJECTIVE, or a folder of plait align."""
    fractions: str | None = None
    """Shares of the demonstrations to learn from, separated by commas, e.g. 0.1,0.3,1."""
    align_steps: int | None = None
    """Optimiser steps of every alignment."""
    robust: bool = False
    """Train every strategy a second time, with dropout of modalities and cameras, learned tokens
    for what is missing, and mildly corrupted images."""
    parts: Parts = field(default_factory=Parts)
    cameras: str | None = None
    """Cameras the policies see, separated by commas."""
    seeds: int | None = None
    """Trainings per strategy."""
    episodes: int | None = None
    """Evaluation scenes per strategy and seed."""
    demonstrations: int | None = None
    """Episodes to record where no data is given."""
    steps: int | None = None
    """Optimiser steps of every training."""
    budget: str | None = None
    """Wall time for all trainings together, e.g. 10m; sets the steps by timing a few of them."""
    controls: bool = True
    """Train the best strategy again with the instruction, and with the images, masked."""
    seed: int = 0
    """First seed; the same seed gives the same numbers on the same machine."""
    workers: int | None = None
    """Runs trained side by side; one a core by default."""
    out: Path = Path("outputs/compare")
    """Folder of everything; a call that finds work done there goes on from it."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> None:
        """Run the comparison and print its ranking."""
        from plait.compare import compare, preset
        from plait.compare.console import console
        from plait.compare.settings import parse_duration
        from plait.compare.sweep import REPORT_FILE
        from plait.report.conclusions import conclude
        from plait.report.tables import ranking_table

        settings = preset(self.preset)
        given = {
            "env": self.env,
            "data": None if self.data is None else str(self.data),
            "fusions": names(self.fusion),
            "inits": names(self.init),
            "fractions": shares(self.fractions),
            "has_robust": self.robust,
            "cameras": names(self.cameras),
            "num_seeds": self.seeds,
            "num_evaluation_episodes": self.episodes,
            "num_demonstrations": self.demonstrations,
            "seed": self.seed,
            "has_controls": self.controls,
            "feature_cache": self.parts.feature_cache,
        }
        settings = replace(settings, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
        settings = replace(settings, policy=replace(settings.policy, **self.parts.given()))
        if self.steps is not None:
            settings = replace(settings, training=replace(settings.training, num_steps=self.steps))
        if self.align_steps is not None:
            training = replace(settings.alignment.training, num_steps=self.align_steps)
            settings = replace(settings, alignment=replace(settings.alignment, training=training))
        results = compare(
            settings,
            self.out,
            preset=self.preset,
            num_workers=self.workers,
            budget_seconds=None if self.budget is None else parse_duration(self.budget),
            command="plait " + " ".join(sys.argv[1:]),
        )
        report = self.out / REPORT_FILE
        if self.json:
            print_json(asdict(results))
        else:
            console.print(ranking_table(results))
            for sentence in conclude(results):
                console.print(f"• {sentence}")
        console.print(f"report: {report}  ({results.total_seconds / 60:.1f} minutes)")
