"""`plait compare`."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plait.cli.options import Parts, names, print_json, shares

if TYPE_CHECKING:
    from rich.table import Table

    from plait.compare.settings import CompareSettings
    from plait.results import Comparison
    from plait.results.open_loop import OpenLoopComparison

EVERY_FUSION = "all"


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Train every fusion strategy on the same data, evaluate all alike, write one report.

    In closed loop in an environment; with --data and no --env by the actions of held-out episodes.
    """

    preset: str = "default"
    """default (minutes), smoke (the whole path in a minute), or full (hours)."""
    env: str | None = None
    """Environment to evaluate in, and to record in where no data is given, e.g. tabletop/pick."""
    data: Path | None = None
    """Folder of a LeRobot dataset to train on; recorded from the scripted expert if absent. Where
    no --env is named, held-out episodes of it are what strategies are judged on."""
    fusion: str | None = None
    """Strategies, separated by commas, or all; module:Class is one of your own."""
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
    """Cameras the policies see, separated by commas; the environment's usual ones by default."""
    image_size: int | None = None
    """Height and width of their pictures in pixels; 64, or what other simulators are usually
    recorded in, by default."""
    frame_storage: str | None = None
    """How decoded frames are kept: raw, jpeg, direct (not at all), or auto for what fits."""
    cache_gib: float | None = None
    """What decoded frames may take on the disk in GiB; half of what is free by default."""
    seeds: int | None = None
    """Trainings per strategy."""
    episodes: int | None = None
    """Evaluation scenes per strategy and seed."""
    demonstrations: int | None = None
    """Episodes to record where no data is given."""
    held_out: float | None = None
    """Share of the episodes that no policy is trained on; 0.2 where they are judged on."""
    horizon: int | None = None
    """Steps per action chunk."""
    execution_horizon: int | None = None
    """Steps of a chunk executed before the next look."""
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
        settings = self._settings()
        if settings.env is None:
            self._run_open_loop(settings)
        else:
            self._run_closed_loop(settings)

    def _settings(self) -> "CompareSettings":
        """Return the preset with what was given."""
        from plait.compare import preset
        from plait.compare.family_defaults import in_environment
        from plait.compare.open_loop import on_demonstrations
        from plait.compare.settings import FUSIONS

        settings = preset(self.preset)
        if self.data is not None and self.env is None:
            settings = on_demonstrations(settings)
        if self.env is not None:
            settings = in_environment(settings, self.env, self.data)
        given = {
            "data": None if self.data is None else str(self.data),
            "fusions": FUSIONS if self.fusion == EVERY_FUSION else names(self.fusion),
            "inits": names(self.init),
            "fractions": shares(self.fractions),
            "has_robust": self.robust,
            "cameras": names(self.cameras),
            "image_size": self.image_size,
            "execution_horizon": self.execution_horizon,
            "num_seeds": self.seeds,
            "num_evaluation_episodes": self.episodes,
            "num_demonstrations": self.demonstrations,
            "validation_fraction": self.held_out,
            "seed": self.seed,
            "has_controls": self.controls,
            "feature_cache": self.parts.feature_cache,
            "frame_storage": self.frame_storage,
            "cache_gib": self.cache_gib,
        }
        settings = replace(settings, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
        parts = self.parts.given()
        if self.horizon is not None:
            parts["action_horizon"] = self.horizon
        settings = replace(settings, policy=replace(settings.policy, **parts))
        if self.steps is not None:
            settings = replace(settings, training=replace(settings.training, num_steps=self.steps))
        if self.align_steps is not None:
            training = replace(settings.alignment.training, num_steps=self.align_steps)
            settings = replace(settings, alignment=replace(settings.alignment, training=training))
        return settings

    def _run_closed_loop(self, settings: "CompareSettings") -> None:
        from plait.compare import compare
        from plait.report.conclusions import conclude
        from plait.report.tables import ranking_table

        results = compare(settings, self.out, **self._how())
        self._show(results, ranking_table(results), conclude(results))

    def _run_open_loop(self, settings: "CompareSettings") -> None:
        from plait.compare.open_loop import compare_open_loop
        from plait.report.open_loop import conclude_open_loop, error_table

        results = compare_open_loop(settings, self.out, **self._how())
        self._show(results, error_table(results), conclude_open_loop(results))

    def _how(self) -> dict[str, Any]:
        from plait.compare.settings import parse_duration

        return {
            "preset": self.preset,
            "num_workers": self.workers,
            "budget_seconds": None if self.budget is None else parse_duration(self.budget),
            "command": "plait " + " ".join(sys.argv[1:]),
        }

    def _show(
        self,
        results: "Comparison | OpenLoopComparison",
        table: "Table",
        sentences: Sequence[str],
    ) -> None:
        from plait.compare.console import console
        from plait.compare.sweep import REPORT_FILE

        if self.json:
            print_json(asdict(results))
        else:
            console.print(table)
            for sentence in sentences:
                console.print(f"• {sentence}")
        report = self.out / REPORT_FILE
        console.print(f"report: {report}  ({results.total_seconds / 60:.1f} minutes)")
