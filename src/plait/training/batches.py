"""The batch of every training step: a pure function of (seed, step), so that resuming is exact."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from plait.config import DataConfig, DataSpec, TrainingConfig
from plait.data.augment import random_shift
from plait.data.dataset import Demonstrations
from plait.data.sampler import StepSampler
from plait.encoders.bytes import instruction_bytes
from plait.encoders.words import build_vocabulary, split_words
from plait.errors import OptionError
from plait.training.corrupted import Augmentation
from plait.training.dropout import drop_cameras, drop_modalities
from plait.training.feature_cache import FeatureCache
from plait.training.loop import MAX_SEED
from plait.training.parallel import Workers
from plait.training.robust import source
from plait.types import Batch, Observation

# Enough held-out steps for a steady loss; all of them would cost more than they tell.
MAX_VALIDATION_STEPS = 1024


class BatchSource:
    """The batch of every step: gathered, augmented, masked.

    Args:
        demonstrations: The dataset.
        episodes: Training episodes.
        training: Batch size, seed and augmentation.
        masked: Hidden modalities.
        features: Tokens of a frozen encoder, where it need not run again.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        episodes: np.ndarray,
        training: TrainingConfig,
        masked: Sequence[str] = (),
        features: FeatureCache | None = None,
    ) -> None:
        self.demonstrations, self.features = demonstrations, features
        self.training, self.masked = training, masked
        steps = demonstrations.steps_of(episodes)
        self.workers = workers = Workers.current()
        self.sampler = StepSampler(
            steps,
            workers.share(training.batch_size),
            training.seed,
            rank=workers.rank,
            world_size=workers.size,
        )
        self.robust, self.augmentation = training.robust, None
        if self.robust.augmentation:
            std = demonstrations.norm_stats(episodes).proprio.std.tolist()
            self.augmentation = Augmentation(self.robust, std)

    def __call__(self, index: int) -> Batch:
        """Return the batch of step `index`."""
        batch = gather(self.demonstrations, self.sampler.batch(index), self.features)
        turn = self.workers.turn(index)
        batch = replace(batch, observation=self._change(batch.observation, turn))
        # Hidden before anything is dropped, so that the last that is left is not dropped as well.
        batch = hide(batch, self.masked)
        return replace(batch, observation=self._drop(batch.observation, turn))

    def _change(self, observation: Observation, index: int) -> Observation:
        """Shift the images, and corrupt some samples."""
        shift = self.training.image_shift
        if shift:
            seed = (self.training.seed * 7_368_787 + index) % MAX_SEED
            generator = torch.Generator().manual_seed(seed)
            images = {
                camera: random_shift(image, shift, generator)
                for camera, image in observation.images.items()
            }
            observation = replace(observation, images=images)
        if self.augmentation is not None:
            rng = source("augmentation", self.training.seed, index)
            observation = self.augmentation(observation, rng)
        return observation

    def _drop(self, observation: Observation, index: int) -> Observation:
        """Drop modalities and cameras of some samples."""
        robust, seed = self.robust, self.training.seed
        if robust.camera_dropout and len(observation.camera_mask) > 1:
            rng = source("camera dropout", seed, index)
            observation = drop_cameras(observation, robust.camera_dropout, rng)
        if robust.modality_dropout:
            rng = source("modality dropout", seed, index)
            observation = drop_modalities(observation, robust.modality_dropout, rng)
        return observation


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


def without_features(batch: Batch) -> Batch:
    """Drop stored tokens: whoever changes an image or masks one must see the encoder react."""
    return replace(batch, observation=replace(batch.observation, features={}))


def validation_batches(
    demonstrations: Demonstrations,
    episodes: np.ndarray,
    batch_size: int,
    masked: Sequence[str] = (),
    features: FeatureCache | None = None,
) -> list[Batch]:
    """Gather held-out steps spread evenly over the held-out episodes."""
    steps = spread(demonstrations.steps_of(episodes), MAX_VALIDATION_STEPS)
    chunks = [steps[start : start + batch_size] for start in range(0, len(steps), batch_size)]
    return [hide(gather(demonstrations, chunk, features), masked) for chunk in chunks]


def split_episodes(
    demonstrations: Demonstrations, data: DataConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return the episodes that are learned from and those that are held out.

    With a fraction, those learned from are a random part, the same for every use of the data; a
    smaller part lies within a larger one.

    Raises:
        OptionError: If the fraction is not above 0 and at most 1.
    """
    if not 0 < data.train_fraction <= 1:
        raise OptionError(
            f"the share of the episodes is {data.train_fraction}, but must be above 0 and at most 1"
        )
    training, held_out = demonstrations.split(data.validation_fraction, data.split_seed)
    if data.train_fraction < 1:
        order = np.random.default_rng([data.split_seed, 1]).permutation(training)
        training = np.sort(order[: max(round(data.train_fraction * len(training)), 1)])
    return training, held_out


def spread(steps: np.ndarray, limit: int) -> np.ndarray:
    """Return at most `limit` steps, at even distances."""
    if len(steps) <= limit:
        return steps
    return steps[np.linspace(0, len(steps) - 1, limit).astype(np.int64)]


def describe_data(demonstrations: Demonstrations, image_size: int) -> DataSpec:
    """Collect what a model must know of its data before it can be built."""
    instructions = tuple(demonstrations.instructions)
    return DataSpec(
        cameras=tuple(demonstrations.cameras),
        image_size=image_size,
        proprio_dim=demonstrations.proprio_dim,
        action_dim=demonstrations.action_dim,
        vocabulary=build_vocabulary(instructions),
        most_words=max((len(split_words(text)) for text in instructions), default=0),
        most_bytes=max((len(instruction_bytes(text)) for text in instructions), default=0),
        proprio_names=demonstrations.proprio_names,
        action_names=demonstrations.action_names,
        fingerprint=demonstrations.fingerprint,
        view=demonstrations.view,
    )
