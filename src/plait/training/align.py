"""One alignment from a dataset to saved towers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plait.aligner import Aligner, build_aligner, build_objective
from plait.config import AlignConfig, to_json
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer
from plait.errors import OptionError, require_at_least_one
from plait.results import write_text_atomically
from plait.training.batches import BatchSource, describe_data
from plait.training.checkpoint import Position
from plait.training.early_stopping import Watch
from plait.training.loop import Progress, fit
from plait.training.run import CONFIG_FILE, check_training, prepare_features, refuse_other_run

ALIGNER_FOLDER = "aligner"


@dataclass(frozen=True)
class TrainedAligner:
    """What `train_aligner` returns: the towers, and how they got there."""

    aligner: Aligner
    position: Position


def check_align_numbers(config: AlignConfig) -> None:
    """Refuse numbers that no alignment can have, before anything is read or written.

    Raises:
        OptionError: Naming the option, its value and what it must be.
    """
    check_training(config.training)
    aligner = config.aligner
    for name, value in {
        "width": aligner.width,
        "embedding dimension": aligner.embedding_dim,
        "action horizon": aligner.action_horizon,
    }.items():
        require_at_least_one(name, value)
    for name, value in {
        "micro-batch size": aligner.micro_batch_size,
        "patience": config.patience,
    }.items():
        if value < 0:
            raise OptionError(f"the {name} is {value}, but must be 0 or more")
    if config.training.batch_size < 2:
        raise OptionError(
            "the batch size is 1, but what is not a partner comes from the rest of the batch: "
            "at least 2 are needed, and more are better"
        )


def check_align(config: AlignConfig) -> None:
    """Refuse numbers and an objective that no alignment can have, before anything is recorded.

    Raises:
        OptionError: Of a number or an option of the objective.
        UnknownNameError: If there is no such objective.
    """
    check_align_numbers(config)
    build_objective(config.aligner.objective)


def make_aligner(
    config: AlignConfig, demonstrations: Demonstrations, episodes: np.ndarray
) -> Aligner:
    """Build the aligner of a run, untrained, with the statistics of its training episodes.

    Raises:
        PlaitError: Of the parts.
    """
    spec = describe_data(demonstrations, config.data.image_size)
    normalizer = Normalizer.from_stats(demonstrations.norm_stats(episodes))
    return build_aligner(config.aligner, spec, normalizer, config.training.seed)


def train_aligner(
    config: AlignConfig,
    folder: Path,
    aligner: Aligner,
    demonstrations: Demonstrations,
    episodes: np.ndarray,
    *,
    watch: Watch | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    tensorboard: bool = False,
) -> TrainedAligner:
    """Train an aligner and save it to `folder/aligner`; an interrupted call goes on.

    Args:
        config: Data, towers and training.
        folder: Where config, checkpoint, metrics and towers go.
        aligner: From `make_aligner`; trained in place.
        demonstrations: The dataset.
        episodes: Training episodes.
        watch: Held-out retrieval, to keep the best weights.
        on_progress: Called after every step.
        tensorboard: Also write TensorBoard event files.

    Raises:
        PlaitError: Of the options, the checkpoint or the output folder.
    """
    check_align_numbers(config)
    refuse_other_run(folder, config)
    write_text_atomically(folder / CONFIG_FILE, to_json(config) + "\n")
    features = prepare_features(aligner, demonstrations, config)
    position = fit(
        aligner,
        BatchSource(demonstrations, episodes, config.training, features=features),
        config.training,
        folder=folder,
        watch=watch,
        on_progress=on_progress,
        tensorboard=tensorboard,
    )
    aligner.save(folder / ALIGNER_FOLDER)
    return TrainedAligner(aligner, position)
