"""What `plait align` does: train three towers, measure them on held-out episodes, write a report.

Everything goes to one folder; a call that finds work done there goes on from it.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
from plait.envs.tabletop.factors import factors_of
from plait.errors import OptionError
from plait.evaluation.alignment import mean_recall, measure_alignment
from plait.evaluation.alignment_pictures import (
    embedding_map,
    retrieval_examples,
    similarity_matrices,
)
from plait.evaluation.embeddings import EmbeddedSteps, embed_steps
from plait.report.alignment import write_alignment_report
from plait.report.text import counted
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
from plait.training.loop import Progress
from plait.training.run import open_demonstrations, prepare_features

OnProgress = Callable[[Progress], None]
RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
# Held-out steps measured at the end, learned ones to retrieve from, and steps watched on the way.
MAX_TEST_STEPS = 4096
MAX_LIBRARY_STEPS = 16384
MAX_WATCHED_STEPS = 1024
# Fewer measured episodes than this leave intervals too wide to tell much.
FEW_EPISODES = 20
# Fewer held-out episodes than this are too few to watch some and measure the others.
FEWEST_TO_DIVIDE = 3
WATCHED_SHARE = 1 / 3


@dataclass(frozen=True)
class Split:
    """Which episodes are learned from, watched by early stopping, and measured; some steps of each.

    What was kept because it did well on some episodes does better on them than on any others, so
    those watched are not those measured.
    """

    training: np.ndarray
    watched: np.ndarray
    test: np.ndarray
    test_steps: np.ndarray
    library_steps: np.ndarray
    watched_steps: np.ndarray

    @classmethod
    def of(cls, config: AlignConfig, data: Demonstrations) -> "Split":
        """Divide the episodes of a dataset."""
        training, held_out = split_episodes(data, config.data)
        watched, test = divide_held_out(held_out, config.data.split_seed)
        return cls(
            training,
            watched,
            test,
            spread(data.steps_of(test), MAX_TEST_STEPS),
            spread(data.steps_of(training), MAX_LIBRARY_STEPS),
            spread(data.steps_of(watched), MAX_WATCHED_STEPS),
        )

    @property
    def measures_what_it_watches(self) -> bool:
        """Whether too few episodes were held out to keep the two apart."""
        return np.array_equal(self.watched, self.test)


def divide_held_out(held_out: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the episodes that early stopping watches, a random third, and those measured.

    Fewer than three are not divided: both are all of them.
    """
    if len(held_out) < FEWEST_TO_DIVIDE:
        return held_out, held_out
    # A stream of its own, apart from those that drew what is held out and what is learned from.
    order = np.random.default_rng([seed, 2]).permutation(held_out)
    count = max(round(WATCHED_SHARE * len(held_out)), 1)
    return np.sort(order[:count]), np.sort(order[count:])


def align(
    config: AlignConfig,
    out: Path,
    *,
    command: str = "plait.align(...)",
    on_progress: OnProgress | None = None,
    tensorboard: bool = False,
) -> AlignmentResult:
    """Align vision, text and action on a dataset.

    Args:
        config: Data, towers and training.
        out: Folder of everything; a call that finds work done there goes on from it.
        command: What was typed, for the record.
        on_progress: Called after every step, by one of many jobs; bars are shown where None.
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
    with nullcontext() if on_progress else progress_bar("decode images", 1) as show:
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
    trained = train_towers(
        config, out, aligner, data, split, features, on_progress, tensorboard=tensorboard
    )
    after = embed(split.test_steps), embed(split.library_steps)
    result = _result(config, data, split, trained, before, after, out, command, start)
    save_result(out / RESULTS_FILE, result)
    write_alignment_report(out / RESULTS_FILE, out / REPORT_FILE)
    return result


def _progress(
    config: AlignConfig, on_progress: OnProgress | None
) -> AbstractContextManager[OnProgress]:
    if on_progress is not None:
        return nullcontext(on_progress)
    return training_bar("align", config.training.num_steps)


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
    on_progress: OnProgress | None = None,
    *,
    tensorboard: bool = False,
) -> TrainedAligner:
    """Train, with a progress bar where no other shows; the weights that retrieve best are kept.

    Raises:
        KeyboardInterrupt: On Ctrl-C, after the checkpoint is written.
    """
    watch = Watch(
        lambda: mean_recall(_embed(aligner, data, features, split.watched_steps)), config.patience
    )
    with _progress(config, on_progress) as show:
        return train_aligner(
            config,
            out,
            aligner,
            data,
            split.training,
            watch=watch,
            on_progress=show,
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
    measure = partial(measure_alignment, factors_of=factors_of)
    return AlignmentResult(
        command=command,
        objective=config.aligner.objective.name,
        dataset=describe_dataset(config.data.path, data, is_recorded_here=False),
        num_train_episodes=len(split.training),
        num_test_episodes=len(split.test),
        num_watched_episodes=len(split.watched),
        num_test_instructions=len(set(test.instructions)),
        num_unseen_instructions=len(unseen),
        num_steps=trained.position.step,
        best_step=best_step(trained.position.curve),
        logit_scales=trained.aligner.objective.logit_scales(),
        curve=trained.position.curve,
        before=measure(*before),
        after=measure(*after),
        centred=measure(*centred),
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
            "All measured episodes have the same instruction: any text finds it, so retrieval of "
            "text says nothing here."
        )
    if split.measures_what_it_watches:
        notes.append(
            f"Fewer than {FEWEST_TO_DIVIDE} episodes were held out, so the weights were chosen on "
            "the very episodes that everything is measured on, and the numbers are too good."
        )
    if len(split.test) < FEW_EPISODES:
        notes.append(
            f"Measured on only {counted(len(split.test), 'held-out episode')}: steps of one "
            "episode are much alike, so the intervals, which are over episodes, are the numbers "
            "to read."
        )
    if unseen:
        notes.append(
            f"{len(unseen)} of the {len(set(test.instructions))} held-out instructions occur in no "
            "training step that was looked at; what is found for them is generalisation."
        )
    return notes
