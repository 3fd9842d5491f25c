"""One training from a dataset to a saved policy."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.aligner import Aligner
from plait.config import (
    AlignConfig,
    DataConfig,
    RunConfig,
    TrainingConfig,
    from_dict,
    to_json,
)
from plait.data.action_statistics import fit_normalizer
from plait.data.actions import ActionTransform
from plait.data.dataset import Demonstrations
from plait.data.frames import FrameStorage
from plait.encoders._pretrained import PretrainedTextEncoder
from plait.errors import CheckpointError, OptionError, PlaitError, require_at_least_one
from plait.policy import Policy, build_policy
from plait.results import write_text_atomically
from plait.training.batches import (
    BatchSource,
    describe_data,
    split_episodes,
    validation_batches,
    without_features,
)
from plait.training.checkpoint import Position
from plait.training.corrupted import changes_images
from plait.training.feature_cache import OFF, FeatureCache, check_feature_cache, open_features
from plait.training.initialise import start_from
from plait.training.loop import CHECKPOINT_FILE, MAX_SEED, Progress, fit
from plait.training.parallel import Workers
from plait.training.precision import check_precision
from plait.training.robust import check_cameras, check_robust, check_words
from plait.types import LANGUAGE, PROPRIO, Batch

POLICY_FOLDER = "policy"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class TrainedRun:
    """What `train` returns: the policy with averaged weights, and how it got there."""

    policy: Policy
    position: Position
    validation: Sequence[Batch]


def open_demonstrations(
    data: DataConfig, action_horizon: int, on_progress: Callable[[int, int], None] | None = None
) -> Demonstrations:
    """Open the dataset of a run, decoding its images once."""
    return Demonstrations.open(
        Path(data.path),
        cameras=data.cameras or None,
        image_size=data.image_size,
        action_horizon=action_horizon,
        storage=FrameStorage(data.frame_storage, data.cache_gib),
        on_progress=on_progress,
    )


def train(
    run: RunConfig,
    folder: Path,
    *,
    demonstrations: Demonstrations | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    tensorboard: bool = False,
) -> TrainedRun:
    """Train one policy and save it to `folder/policy`; an interrupted call goes on.

    Args:
        run: Data, policy and training.
        folder: Where config, checkpoint, metrics and policy go.
        demonstrations: The dataset, where it is already open.
        on_progress: Called after every step.
        tensorboard: Also write TensorBoard event files.

    Raises:
        PlaitError: Of the dataset, the options, the checkpoint or the output folder.
    """
    check_numbers(run)
    folder = Workers.current().folder(folder)
    if demonstrations is None:
        demonstrations = open_demonstrations(run.data, run.policy.action_horizon)
    check_cameras(run.training.robust, demonstrations.cameras)
    training_episodes, validation_episodes = split_episodes(demonstrations, run.data)
    spec = describe_data(demonstrations, run.data.image_size)
    actions = ActionTransform.of(run.policy.actions, spec)
    refuse_lost_actions(run, actions)
    normalizer = fit_normalizer(actions, demonstrations, training_episodes)
    policy = build_policy(run.policy, spec, normalizer, run.training.seed)
    if run.init:
        start_from(policy, run.init)
    refuse_other_run(folder, run)
    write_text_atomically(folder / CONFIG_FILE, to_json(run) + "\n")
    features = prepare_features(policy, demonstrations, run)
    validation = validation_batches(
        demonstrations, validation_episodes, run.training.batch_size, run.masked, features
    )
    position = fit(
        policy,
        BatchSource(demonstrations, training_episodes, run.training, run.masked, features),
        run.training,
        folder=folder,
        validation=validation,
        on_progress=on_progress,
        tensorboard=tensorboard,
    )
    policy.save(folder / POLICY_FOLDER)
    # From here on every instruction is encoded as it will be on the robot, in full precision.
    forget_features(policy)
    return TrainedRun(policy, position, [without_features(batch) for batch in validation])


def forget_features(policy: Policy) -> None:
    """Drop the instructions' tokens that a feature cache gave to a policy."""
    language = policy.encoders[LANGUAGE]
    if isinstance(language, PretrainedTextEncoder):
        language.forget()


def prepare_features(
    model: Policy | Aligner,
    demonstrations: Demonstrations,
    run: RunConfig | AlignConfig,
    on_progress: Callable[[int, int], None] | None = None,
) -> FeatureCache:
    """Open the feature cache of a run; empty where augmented images make every look another."""
    training = run.training
    is_augmented = bool(training.image_shift) or changes_images(training.robust)
    dtype = OFF if is_augmented else run.data.feature_cache
    return open_features(model.encoders, demonstrations, dtype, on_progress)


def check_numbers(run: RunConfig) -> None:
    """Refuse numbers that no training can have, before anything is read or written.

    Raises:
        OptionError: Naming the option, its value and what it must be.
    """
    check_training(run.training)
    check_words(run.training.robust, run.policy)
    require_at_least_one("width", run.policy.width)
    check_feature_cache(run.data.feature_cache)


def refuse_lost_actions(run: RunConfig, actions: ActionTransform) -> None:
    """Refuse to learn actions relative to a state that is always hidden.

    Raises:
        OptionError: If there would be nothing to learn from.
    """
    if actions.needs_state and PROPRIO in run.masked:
        raise OptionError(
            "actions that are relative to the state, or deltas to it, cannot be learned with the "
            "proprioception hidden; make the actions absolute, or show it"
        )


def check_training(training: TrainingConfig) -> None:
    """Refuse numbers that no optimisation can have.

    Raises:
        OptionError: Naming the option, its value and what it must be.
    """
    at_least_one = {
        "number of steps": training.num_steps,
        "batch size": training.batch_size,
        "validation interval": training.validation_interval,
        "checkpoint interval": training.checkpoint_interval,
    }
    for name, value in at_least_one.items():
        require_at_least_one(name, value)
    if not 0 <= training.seed < MAX_SEED:
        raise OptionError(f"the seed is {training.seed}, but must be 0 or more")
    if not 0 < training.learning_rate < float("inf"):
        raise OptionError(
            f"the learning rate is {training.learning_rate}, but must be a number above 0"
        )
    check_precision(training.precision)
    check_robust(training.robust)


def refuse_other_run(folder: Path, run: RunConfig | AlignConfig) -> None:
    """Never go on from a checkpoint of other data, another model or other hidden modalities.

    Raises:
        CheckpointError: Naming what is not the same.
    """
    if not (folder / CHECKPOINT_FILE).exists():
        return
    path = folder / CONFIG_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        # Options that an older Plait did not have were at what their defaults do now.
        saved = json.loads(to_json(from_dict(type(run), saved)))
    except (OSError, json.JSONDecodeError, PlaitError) as error:
        raise CheckpointError(f"{path}: unreadable beside a checkpoint ({error})") from error
    wanted = json.loads(to_json(run))
    changed = _differences(saved, wanted)
    if changed:
        raise CheckpointError(
            f"{folder} holds another training ({'; '.join(changed)}); choose another folder, or "
            "delete it to train from the start"
        )


def _differences(saved: Any, wanted: Any, name: str = "") -> list[str]:
    """Name every entry that is not the same in two parsed JSON values."""
    if not (isinstance(saved, dict) and isinstance(wanted, dict)):
        return [] if saved == wanted else [f"{name} was {saved!r}, is {wanted!r}"]
    start = f"{name}." if name else ""
    return [
        text
        for key in sorted(saved.keys() | wanted.keys())
        for text in _differences(saved.get(key), wanted.get(key), f"{start}{key}")
    ]
