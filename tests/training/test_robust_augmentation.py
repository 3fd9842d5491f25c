"""Corrupted samples in the batches of a training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from robust_fakes import FakeDemonstrations
from training_fakes import CONFIG, make_policy

from plait.config import Component, DataConfig, RobustConfig, RunConfig
from plait.data.corrupt import corruption
from plait.testing import fake_observation
from plait.training import run as run_module
from plait.training.batches import BatchSource
from plait.training.corrupted import NUM_SEEDS, Augmentation, changes_images, take
from plait.training.feature_cache import FeatureCache
from plait.training.robust import source as randomness
from plait.training.run import prepare_features

IMAGES = ("gaussian_noise", "gaussian_blur")


def augment(*names, **options):
    parts = tuple(Component(name=name) for name in names)
    return RobustConfig(augmentation=parts, **options)


def source(robust, seed=5):
    training = replace(CONFIG, seed=seed, batch_size=16, robust=robust)
    return BatchSource(FakeDemonstrations(), np.arange(1), training)


def slow(robust, observation, rng):
    """Corrupt sample by sample."""
    size = observation.batch_size
    is_hit = rng.random(size) < robust.augmentation_probability
    kinds = rng.integers(len(robust.augmentation), size=size)
    levels = rng.integers(robust.augmentation_severity, size=size)
    seeds = rng.integers(NUM_SEEDS, size=size)
    samples = []
    for row in range(size):
        sample = take(observation, torch.tensor([row]))
        if is_hit[row]:
            part = robust.augmentation[kinds[row]]
            options = {"scale": [0.5] * 7} if part.name == "proprio_noise" else {}
            corrupt = corruption(part.name, int(levels[row]) + 1, **options)
            sample = corrupt(sample, torch.tensor([seeds[row]]))
        samples.append(sample)
    return is_hit, samples


def test_a_batch_equals_its_samples_corrupted_one_by_one():
    robust = augment(*IMAGES, "proprio_noise", augmentation_probability=0.7)
    plain, batch = source(RobustConfig())(4).observation, source(robust)(4).observation
    is_hit, samples = slow(robust, plain, randomness("augmentation", 5, 4))
    assert 0 < is_hit.sum() < 16
    for row, sample in enumerate(samples):
        for camera, image in sample.images.items():
            assert torch.equal(batch.images[camera][row], image[0])
        assert torch.equal(batch.proprio[row], sample.proprio[0])
    assert batch.instruction == plain.instruction
    assert not torch.equal(batch.images["base"], plain.images["base"])
    assert not torch.equal(batch.proprio, plain.proprio)


def test_the_share_and_the_severities_are_those_asked_for():
    observation = fake_observation(batch_size=400)
    robust = augment("brightness", augmentation_probability=0.3, augmentation_severity=2)
    changed = Augmentation(robust, [1.0] * 7)(observation, np.random.default_rng(0))
    difference = changed.images["base"].float() - observation.images["base"].float()
    mean = difference.flatten(1).mean(dim=1)
    assert float((mean > 0).double().mean()) == pytest.approx(0.3, abs=0.06)
    # Severity 1 raises the value by 0.1 of the range, 2 by 0.2.
    raised = mean[mean > 0]
    assert ((raised < 18).sum() - (raised > 18).sum()).abs() < 40
    assert raised.max() < 0.25 * 255


def test_batches_depend_on_seed_and_step_alone():
    robust = augment(*IMAGES)
    first, again, other = source(robust), source(robust), source(robust, seed=6)
    forwards = [first(step).observation.images["base"] for step in range(3)]
    assert torch.equal(again(2).observation.images["base"], forwards[2])
    assert torch.equal(again(0).observation.images["base"], forwards[0])
    assert not torch.equal(other(0).observation.images["base"], forwards[0])


def test_nothing_is_corrupted_with_probability_zero():
    plain, batch = (
        source(RobustConfig())(1),
        source(augment(*IMAGES, augmentation_probability=0.0))(1),
    )
    for camera, image in plain.observation.images.items():
        assert torch.equal(batch.observation.images[camera], image)


def test_stored_tokens_are_dropped_where_images_change_and_kept_where_not():
    observation = fake_observation(batch_size=6)
    tokens = {"base": torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 2, 4)}
    observation = replace(observation, features=tokens)
    rng = np.random.default_rng(0)
    assert Augmentation(augment("jpeg"), [1.0] * 7)(observation, rng).features == {}
    robust = augment("proprio_noise", augmentation_probability=1.0)
    kept = Augmentation(robust, [1.0] * 7)(observation, rng)
    assert torch.equal(kept.features["base"], tokens["base"])
    assert not torch.equal(kept.proprio, observation.proprio)
    assert changes_images(augment("typos", "jpeg"))
    assert not changes_images(augment("typos", "proprio_noise"))


def test_tokens_of_images_that_will_change_are_not_stored(monkeypatch):
    asked = []

    def open_features(_encoders, _demonstrations, dtype, _on_progress):
        asked.append(dtype)
        return FeatureCache({}, torch.float16)

    monkeypatch.setattr(run_module, "open_features", open_features)
    policy, demonstrations = make_policy(), FakeDemonstrations()
    for robust in (RobustConfig(), augment("jpeg"), augment("proprio_noise")):
        training = replace(CONFIG, robust=robust)
        run = RunConfig(data=DataConfig(path="D"), policy=policy.config, training=training)
        prepare_features(policy, demonstrations, run)
    assert asked == ["fp16", "off", "fp16"]
