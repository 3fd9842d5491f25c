"""Towers of a comparison: aligned once per objective, share of the data and seed.

`results.json` is written last and whole: where it exists the alignment is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from plait.aligner import Aligner
from plait.alignment.base import ACTION
from plait.compare.align import MAX_LIBRARY_STEPS, RESULTS_FILE, align
from plait.compare.settings import CompareSettings, align_config
from plait.compare.workers import Report
from plait.config import AlignConfig
from plait.evaluation.embeddings import embed_steps
from plait.results import load_result
from plait.results.alignment import AlignmentResult
from plait.retrieval import RetrievalPolicy
from plait.training.align import ALIGNER_FOLDER
from plait.training.batches import split_episodes, spread, validation_batches
from plait.training.loop import Progress
from plait.training.run import open_demonstrations
from plait.types import Batch


@dataclass(frozen=True)
class Towers:
    """A finished alignment in a folder."""

    folder: Path

    @cached_property
    def result(self) -> AlignmentResult:
        """What it came out as."""
        return load_result(self.folder / RESULTS_FILE, AlignmentResult)

    @property
    def seconds(self) -> float:
        """Wall time of the training."""
        return self.result.curve[-1].seconds

    def retrieval_policy(self, config: AlignConfig) -> tuple[RetrievalPolicy, Sequence[Batch]]:
        """Return a policy that looks up training chunks, and held-out batches to try it on."""
        aligner = Aligner.load(self.folder / ALIGNER_FOLDER)
        data = open_demonstrations(config.data, config.aligner.action_horizon)
        training, held_out = split_episodes(data, config.data)
        library = embed_steps(aligner, data, spread(data.steps_of(training), MAX_LIBRARY_STEPS))
        shape = (-1, config.aligner.action_horizon, data.action_dim)
        actions = aligner.normalizer.unnormalize_actions(library.chunks.view(shape))
        # Beyond an episode's end the last action repeats: it can be played like any other.
        mask = torch.ones(actions.shape[:2], dtype=torch.bool)
        policy = RetrievalPolicy(aligner, library.values[ACTION], actions, mask)
        return policy, validation_batches(data, held_out, config.training.batch_size)


@dataclass(frozen=True)
class TowersJob:
    """A picklable alignment: call it with a progress report in any process.

    Args:
        settings: The comparison.
        init: `aligned`, or with the name of an objective.
        train_fraction: Share of the training episodes.
        seed: Training seed.
        data_path: Folder of the demonstrations.
        folder: Where towers, results and report go.
    """

    settings: CompareSettings
    init: str
    train_fraction: float
    seed: int
    data_path: str
    folder: Path

    @property
    def title(self) -> str:
        """Name on the progress bar."""
        return f"{self.init}, {100 * self.train_fraction:g}% of the data, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether its result stands there."""
        return (self.folder / RESULTS_FILE).exists()

    def __call__(self, report: Report) -> None:
        """Align, measure, and write the result."""

        def on_progress(progress: Progress) -> None:
            report("aligning", progress.step / progress.num_steps, f"loss {progress.loss:.3f}")

        config = align_config(
            self.settings, self.init, self.train_fraction, self.seed, self.data_path
        )
        align(config, self.folder, command="plait compare", on_progress=on_progress)
