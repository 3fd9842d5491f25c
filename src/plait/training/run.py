"""One training from a dataset to a saved policy."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plait.config import DataSpec, RunConfig, to_json
from plait.data.augment import random_shift
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer
from plait.data.sampler import StepSampler
from plait.encoders._pretrained import PretrainedTextEncoder
from plait.encoders.words import build_vocabulary
from plait.errors import CheckpointError, OptionError, require_at_least_one
from plait.policy import Policy, build_policy
from plait.results import write_text_atomically
from plait.training.checkpoint import Position
from plait.training.feature_cache import OFF, FeatureCache, check_feature_cache, open_features
from plait.training.loop import CHECKPOINT_FILE, MAX_SEED, Progress, check_precision, fit
from plait.types import LANGUAGE, Batch

POLICY_FOLDER = "policy"
CONFIG_FILE = "config.json"
# Enough held-out steps for a steady loss; all of them would cost more than they tell.
MAX_VALIDATION_STEPS = 1024


@dataclass(frozen=True)
class TrainedRun:
    """What `train` returns: the policy with averaged weights, and how it got there."""

    policy: Policy
    position: Position
    validation: Sequence[Batch]


class BatchSource:
    """The batch of every step: gathered, augmented, masked; a pure function of (seed, step).

    Args:
        demonstrations: The dataset.
        episodes: Training episodes.
        run: Batch size, seed, augmentation and hidden modalities.
        features: Tokens of a frozen encoder, where it need not run again.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        episodes: np.ndarray,
        run: RunConfig,
        features: FeatureCache | None = None,
    ) -> None:
        self.features = features
        self.demonstrations = demonstrations
        self.run = run
        steps = demonstrations.steps_of(episodes)
        self.sampler = StepSampler(steps, run.training.batch_size, run.training.seed)

    def __call__(self, index: int) -> Batch:
        """Return the batch of step `index`."""
        batch = gather(self.demonstrations, self.sampler.batch(index), self.features)
        shift = self.run.training.image_shift
        if shift:
            generator = torch.Generator().manual_seed(
                (self.run.training.seed * 7_368_787 + index) % MAX_SEED
            )
            images = {
                camera: random_shift(image, shift, generator)
                for camera, image in batch.observation.images.items()
            }
            batch = replace(batch, observation=replace(batch.observation, images=images))
        return hide(batch, self.run.masked)


def gather(
    demonstrations: Demonstrations, steps: np.ndarray, features: FeatureCache | None
) -> Batch:
    """Return a batch, with the tokens of a frozen encoder where they are known."""
    batch = demonstrations.gather(steps)
    if features is None or not features.frames:
        return batch
    observation = features.add_to(batch.observation, demonstrations.window(steps))
    return replace(batch, observation=observation)


def hide(batch: Batch, modalities: Sequence[str]) -> Batch:
    """Mark modalities as absent."""
    observation = batch.observation
    for modality in modalities:
        observation = observation.without(modality)
    return replace(batch, observation=observation)


def describe_data(demonstrations: Demonstrations, image_size: int) -> DataSpec:
    """Collect what a policy must know of its data."""
    return DataSpec(
        cameras=tuple(demonstrations.cameras),
        image_size=image_size,
        proprio_dim=demonstrations.proprio_dim,
        action_dim=demonstrations.action_dim,
        vocabulary=build_vocabulary(tuple(demonstrations.instructions)),
    )


def open_demonstrations(
    run: RunConfig, on_progress: Callable[[int, int], None] | None = None
) -> Demonstrations:
    """Open the dataset of a run, decoding its images once."""
    return Demonstrations.open(
        Path(run.data.path),
        cameras=run.data.cameras or None,
        image_size=run.data.image_size,
        action_horizon=run.policy.action_horizon,
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
    if demonstrations is None:
        demonstrations = open_demonstrations(run)
    training_episodes, validation_episodes = demonstrations.split(
        run.data.validation_fraction, run.data.split_seed
    )
    spec = describe_data(demonstrations, run.data.image_size)
    normalizer = Normalizer.from_stats(demonstrations.norm_stats(training_episodes))
    policy = build_policy(run.policy, spec, normalizer, run.training.seed)
    _refuse_other_run(folder, run)
    write_text_atomically(folder / CONFIG_FILE, to_json(run) + "\n")
    features = prepare_features(policy, demonstrations, run)
    validation = validation_batches(demonstrations, validation_episodes, run, features)
    position = fit(
        policy,
        BatchSource(demonstrations, training_episodes, run, features),
        run.training,
        folder=folder,
        validation=validation,
        on_progress=on_progress,
        tensorboard=tensorboard,
    )
    policy.save(folder / POLICY_FOLDER)
    # From here on every instruction is encoded as it will be on the robot, in full precision.
    forget_features(policy)
    return TrainedRun(policy, position, [_without_features(batch) for batch in validation])


def forget_features(policy: Policy) -> None:
    """Drop the instructions' tokens that a feature cache gave to a policy."""
    language = policy.encoders[LANGUAGE]
    if isinstance(language, PretrainedTextEncoder):
        language.forget()


def _without_features(batch: Batch) -> Batch:
    """Drop stored tokens: whoever changes an image or masks one must see the encoder react."""
    return replace(batch, observation=replace(batch.observation, features={}))


def prepare_features(
    policy: Policy,
    demonstrations: Demonstrations,
    run: RunConfig,
    on_progress: Callable[[int, int], None] | None = None,
) -> FeatureCache:
    """Open the feature cache of a run; empty where augmented images make every look another."""
    dtype = OFF if run.training.image_shift else run.data.feature_cache
    return open_features(policy, demonstrations, dtype, on_progress)


def check_numbers(run: RunConfig) -> None:
    """Refuse numbers that no training can have, before anything is read or written.

    Raises:
        OptionError: Naming the option, its value and what it must be.
    """
    training = run.training
    at_least_one = {
        "number of steps": training.num_steps,
        "batch size": training.batch_size,
        "width": run.policy.width,
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
    check_feature_cache(run.data.feature_cache)


def _refuse_other_run(folder: Path, run: RunConfig) -> None:
    """Never go on from a checkpoint of other data, another policy or other hidden modalities."""
    if not (folder / CHECKPOINT_FILE).exists():
        return
    path = folder / CONFIG_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
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


def validation_batches(
    demonstrations: Demonstrations,
    episodes: np.ndarray,
    run: RunConfig,
    features: FeatureCache | None = None,
) -> list[Batch]:
    """Gather held-out steps spread evenly over the held-out episodes."""
    steps = demonstrations.steps_of(episodes)
    if len(steps) > MAX_VALIDATION_STEPS:
        steps = steps[np.linspace(0, len(steps) - 1, MAX_VALIDATION_STEPS).astype(np.int64)]
    size = run.training.batch_size
    chunks = [steps[start : start + size] for start in range(0, len(steps), size)]
    return [hide(gather(demonstrations, chunk, features), run.masked) for chunk in chunks]
