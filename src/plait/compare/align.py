"""What `plait align` does: train three towers, measure them on held-out episodes, write a report.

Everything goes to one folder; a call that finds work done there goes on from it.
"""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from plait.aligner import Aligner
from plait.compare.console import progress_bar
from plait.compare.demonstrations import describe_dataset
from plait.compare.features import bar_when_needed
from plait.compare.training_bar import training_bar
from plait.config import AlignConfig
from plait.data.dataset import Demonstrations
from plait.errors import OptionError
from plait.evaluation.alignment import mean_recall, measure_alignment
from plait.evaluation.alignment_pictures import (
    embedding_map,
    retrieval_examples,
    similarity_matrices,
)
from plait.evaluation.embeddings import EmbeddedSteps, embed_steps
from plait.report.alignment import write_alignment_report
from plait.results import describe_machine, save_result
from plait.results.alignment import AlignmentResult
from plait.training.align import (
    TrainedAligner,
    check_align_numbers,
    make_aligner,
    train_aligner,
)
from plait.training.batches import gather, split_episodes, spread
from plait.training.early_stopping import Watch, best_step
from plait.training.feature_cache import FeatureCache
from plait.training.run import open_demonstrations, prepare_features

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
# Held-out steps measured at the end, learned ones to retrieve from, and steps watched on the way.
MAX_TEST_STEPS = 4096
MAX_LIBRARY_STEPS = 16384
MAX_WATCHED_STEPS = 1024
# Fewer held-out episodes than this leave intervals too wide to tell much.
FEW_EPISODES = 20


@dataclass(frozen=True)
class Split:
    """Which episodes are learned from, and which steps are measured."""

    training: np.ndarray
    test: np.ndarray
    test_steps: np.ndarray
    library_steps: np.ndarray
    watched_steps: np.ndarray

    @classmethod
    def of(cls, config: AlignConfig, data: Demonstrations) -> "Split":
        """Divide the episodes of a dataset."""
        training, test = split_episodes(data, config.data)
        test_steps = data.steps_of(test)
        return cls(
            training,
            test,
            spread(test_steps, MAX_TEST_STEPS),
            spread(data.steps_of(training), MAX_LIBRARY_STEPS),
            spread(test_steps, MAX_WATCHED_STEPS),
        )


def align(
    config: AlignConfig,
    out: Path,
    *,
    command: str = "plait.align(...)",
    tensorboard: bool = False,
) -> AlignmentResult:
    """Align vision, text and action on a dataset.

    Args:
        config: Data, towers and training.
        out: Folder of everything; a call that finds work done there goes on from it.
        command: What was typed, for the record.
        tensorboard: Also write TensorBoard event files.

    Returns:
        The result, as saved in `out/results.json`; the report is `out/report.html`, the towers
        are in `out/aligner`.

    Raises:
        PlaitError: Of the dataset, the options or the output folder.
        KeyboardInterrupt: On Ctrl-C, after the checkpoint is written.
    """
    start = time.monotonic()
    check_align_numbers(config)
    with progress_bar("decode images", 1) as show:
        data = open_demonstrations(config.data, config.aligner.action_horizon, show)
    if not data.instructions:
        raise OptionError(
            f"{config.data.path} has no instructions, so there is no text to align with"
        )
    split = Split.of(config, data)
    aligner = make_aligner(config, data, split.training)
    with bar_when_needed("encode frames") as show_frames:
        features = prepare_features(aligner, data, config, show_frames)
    embed = partial(_embed, aligner, data, features)
    before = embed(split.test_steps), embed(split.library_steps)
    trained = train_towers(config, out, aligner, data, split, features, tensorboard=tensorboard)
    after = embed(split.test_steps), embed(split.library_steps)
    result = _result(config, data, split, trained, before, after, out, command, start)
    save_result(out / RESULTS_FILE, result)
    write_alignment_report(out / RESULTS_FILE, out / REPORT_FILE)
    return result


def _embed(
    aligner: Aligner, data: Demonstrations, features: FeatureCache, steps: np.ndarray
) -> EmbeddedSteps:
    return embed_steps(aligner, data, steps, lambda some: gather(data, some, features))


def train_towers(
    config: AlignConfig,
    out: Path,
    aligner: Aligner,
    data: Demonstrations,
    split: Split,
    features: FeatureCache,
    *,
    tensorboard: bool = False,
) -> TrainedAligner:
    """Train with a progress bar; the weights with the best held-out retrieval are kept.

    Raises:
        KeyboardInterrupt: On Ctrl-C, after the checkpoint is written.
    """
    watch = Watch(
        lambda: mean_recall(_embed(aligner, data, features, split.watched_steps)), config.patience
    )
    with training_bar("align", config.training.num_steps) as on_progress:
        return train_aligner(
            config,
            out,
            aligner,
            data,
            split.training,
            watch=watch,
            on_progress=on_progress,
            tensorboard=tensorboard,
        )


def _result(
    config: AlignConfig,
    data: Demonstrations,
    split: Split,
    trained: TrainedAligner,
    before: tuple[EmbeddedSteps, EmbeddedSteps],
    after: tuple[EmbeddedSteps, EmbeddedSteps],
    out: Path,
    command: str,
    start: float,
) -> AlignmentResult:
    test, library = after
    # The mean is that of the training episodes: held-out ones must not help to place themselves.
    means = library.means()
    centred = test.centred(means), library.centred(means)
    seen = set(library.instructions)
    unseen = {text for text in test.instructions if text not in seen}
    return AlignmentResult(
        command=command,
        objective=config.aligner.objective.name,
        dataset=describe_dataset(config.data.path, data, is_recorded_here=False),
        num_train_episodes=len(split.training),
        num_test_episodes=len(split.test),
        num_test_instructions=len(set(test.instructions)),
        num_unseen_instructions=len(unseen),
        num_steps=trained.position.step,
        best_step=best_step(trained.position.curve),
        logit_scales=trained.aligner.objective.logit_scales(),
        curve=trained.position.curve,
        before=measure_alignment(*before),
        after=measure_alignment(*after),
        centred=measure_alignment(*centred),
        similarity=similarity_matrices(test),
        maps=(embedding_map(before[0], "before"), embedding_map(test, "after")),
        examples=retrieval_examples(test, data, out),
        notes=tuple(_notes(test, split, unseen)),
        settings=asdict(config),
        total_seconds=time.monotonic() - start,
        machine=describe_machine(),
    )


def _notes(test: EmbeddedSteps, split: Split, unseen: set[str]) -> list[str]:
    """Say what this data cannot show."""
    notes = []
    if len(set(test.instructions)) == 1:
        notes.append(
            "All held-out episodes have the same instruction: any text finds it, so retrieval of "
            "text says nothing here."
        )
    if len(split.test) < FEW_EPISODES:
        notes.append(
            f"Only {len(split.test)} episodes were held out; steps of one episode are much alike, "
            "so the intervals, which are over episodes, are the numbers to read."
        )
    if unseen:
        notes.append(
            f"{len(unseen)} of the {len(set(test.instructions))} held-out instructions occur in no "
            "training step that was looked at; what is found for them is generalisation."
        )
    return notes
