"""Dropout through masks: how often, what never, and a pure function of (seed, step)."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from robust_fakes import FakeDemonstrations
from training_fakes import CONFIG

from plait.config import RobustConfig
from plait.testing import fake_observation
from plait.training.batches import BatchSource
from plait.training.dropout import EVERY, drop_cameras, drop_modalities
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION

SIZE = 4000


def large(**masks):
    """Return an observation of many samples, of which only the masks matter."""
    observation = fake_observation(batch_size=2)
    rows = torch.zeros(SIZE, dtype=torch.int64)
    many = observation.map_tensors(
        lambda tensor: tensor[:1, :1][rows] if tensor.ndim > 1 else tensor[rows]
    )
    many = replace(many, instruction=observation.instruction[:1] * SIZE)
    return replace(many, **masks)


def shares(masks):
    return {name: float((~mask).double().mean()) for name, mask in masks.items()}


def dropped(observation, given, seed=0):
    return drop_modalities(observation, given, np.random.default_rng(seed))


def test_every_modality_is_dropped_as_often_as_asked_for_and_one_at_a_time():
    masks = dropped(large(), {EVERY: 0.15, LANGUAGE: 0.3}).modality_mask
    assert shares(masks) == pytest.approx({VISION: 0.15, LANGUAGE: 0.3, PROPRIO: 0.15}, abs=0.02)
    num_there = torch.stack(list(masks.values())).sum(dim=0)
    assert Counter(num_there.tolist()).keys() == {2, 3}


def test_the_last_modality_is_never_dropped():
    is_there = torch.arange(SIZE) % 2 == 0
    observation = large()
    for modality in (VISION, PROPRIO):
        mask = {**observation.modality_mask, modality: is_there}
        observation = replace(observation, modality_mask=mask)
    masks = dropped(observation, {EVERY: 0.33}).modality_mask
    assert masks[LANGUAGE][~is_there].all()
    assert not masks[VISION][~is_there].any()
    assert not masks[LANGUAGE][is_there].all()
    assert torch.stack(list(masks.values())).any(dim=0).all()


def test_vision_without_cameras_does_not_count_as_a_modality():
    gone = torch.zeros(SIZE, dtype=torch.bool)
    observation = large(camera_mask={"base": gone, "wrist": gone}).without(PROPRIO)
    assert dropped(observation, {EVERY: 0.3}).modality_mask[LANGUAGE].all()


def test_each_camera_is_dropped_by_itself_and_one_stays():
    observation = drop_cameras(large(), {"base": 0.2, EVERY: 0.5}, np.random.default_rng(0))
    masks = observation.camera_mask
    # Both are drawn in 1 of 10 samples; then the one farther from its own end of the draw stays.
    assert 0.1 < shares(masks)["base"] <= 0.21
    assert 0.4 < shares(masks)["wrist"] <= 0.52
    assert (masks["base"] | masks["wrist"]).all()


def test_the_only_camera_that_is_there_stays():
    gone, there = torch.zeros(SIZE, dtype=torch.bool), torch.ones(SIZE, dtype=torch.bool)
    observation = large(camera_mask={"base": gone, "wrist": there})
    masks = drop_cameras(observation, {EVERY: 0.9}, np.random.default_rng(0)).camera_mask
    assert masks["wrist"].all()
    assert not masks["base"].any()
    observation = large(camera_mask={"base": gone, "wrist": gone})
    masks = drop_cameras(observation, {EVERY: 0.9}, np.random.default_rng(0)).camera_mask
    assert not masks["base"].any()
    assert not masks["wrist"].any()


# --- In the batches of a training --------------------------------------------------------------


def source(masked=(), seed=5, **robust):
    training = replace(CONFIG, seed=seed, batch_size=16, robust=RobustConfig(**robust))
    return BatchSource(FakeDemonstrations(), np.arange(1), training, masked)


def masks_of(batch):
    observation = batch.observation
    masks = {**observation.modality_mask, **observation.camera_mask}
    return torch.stack([masks[name] for name in sorted(masks)])


DROPOUT = {"modality_dropout": {EVERY: 0.15}, "camera_dropout": {EVERY: 0.3}}


def test_masks_depend_on_seed_and_step_alone():
    first, again = source(**DROPOUT), source(**DROPOUT)
    forwards = [masks_of(first(step)) for step in range(6)]
    backwards = [masks_of(again(step)) for step in reversed(range(6))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert len({tuple(mask.flatten().tolist()) for mask in forwards}) == 6
    other = source(seed=6, **DROPOUT)
    assert not torch.equal(masks_of(other(0)), forwards[0])


def test_what_is_hidden_is_left_where_it_is_and_the_rest_is_not_touched():
    plain, robust = source()(3), source(**DROPOUT)(3)
    assert not masks_of(robust).all()
    assert masks_of(plain).all()
    assert robust.observation.instruction == plain.observation.instruction
    assert torch.equal(robust.observation.proprio, plain.observation.proprio)
    for camera, image in plain.observation.images.items():
        assert torch.equal(robust.observation.images[camera], image)
    assert torch.equal(robust.action_chunk.actions, plain.action_chunk.actions)


def test_one_kind_of_dropout_does_not_change_the_other():
    both = source(**DROPOUT)(2).observation
    cameras = source(camera_dropout=DROPOUT["camera_dropout"])(2).observation
    for camera, mask in cameras.camera_mask.items():
        assert torch.equal(both.camera_mask[camera], mask)
    assert all(mask.all() for mask in cameras.modality_mask.values())


def test_a_control_never_loses_what_it_has_left():
    batches = [source(masked=(VISION, LANGUAGE), **DROPOUT)(step) for step in range(5)]
    for batch in batches:
        masks = batch.observation.modality_mask
        assert masks[PROPRIO].all()
        assert not masks[VISION].any()
        assert not masks[LANGUAGE].any()
    for batch in [source(masked=(LANGUAGE,), **DROPOUT)(step) for step in range(5)]:
        there = torch.stack([batch.observation.modality_mask[m] for m in MODALITIES])
        assert there.any(dim=0).all()
