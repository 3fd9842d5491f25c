"""What is missing cannot reach the action: the same bits whatever is hidden, for every strategy."""

from dataclasses import replace

import pytest
import torch

import plait.fusion
from plait import discovery
from plait.config import Component, PolicyConfig
from plait.data.normalize import Normalizer
from plait.evaluation.stress.policies import Withheld
from plait.policy import build_policy
from plait.testing.fake import FAKE_DATA, fake_observation
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION


def policy_of(fusion, *, missing_tokens):
    config = PolicyConfig(
        fusion=Component(name=fusion), width=24, action_horizon=3, missing_tokens=missing_tokens
    )
    normalizer = Normalizer(proprio_dim=FAKE_DATA.proprio_dim, action_dim=FAKE_DATA.action_dim)
    return build_policy(config, FAKE_DATA, normalizer, seed=0)


def with_other_content(observation, modality):
    other = fake_observation(seed=1)
    if modality == VISION:
        return replace(observation, images=other.images)
    if modality == LANGUAGE:
        return replace(observation, instruction=other.instruction)
    return replace(observation, proprio=other.proprio)


@pytest.fixture(
    params=[
        (fusion, learned)
        for fusion in discovery.available(plait.fusion)
        for learned in (False, True)
    ],
    ids=lambda each: f"{each[0]}{', learned tokens' if each[1] else ''}",
    scope="module",
)
def policy(request):
    fusion, learned = request.param
    return policy_of(fusion, missing_tokens=learned)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_missing_modality_does_not_reach_the_action(policy, modality):
    observation = fake_observation()
    other = with_other_content(observation, modality)
    assert not torch.equal(policy.predict(observation).actions, policy.predict(other).actions)
    hidden, swapped = (each.without(modality) for each in (observation, other))
    assert torch.equal(policy.predict(hidden).actions, policy.predict(swapped).actions)


@pytest.mark.parametrize("camera", FAKE_DATA.cameras)
def test_a_missing_camera_does_not_reach_the_action(policy, camera):
    observation, other = fake_observation(), fake_observation(seed=1)
    images = {**observation.images, camera: other.images[camera]}
    mask = {**observation.camera_mask, camera: torch.zeros(observation.batch_size).bool()}
    hidden = replace(observation, camera_mask=mask)
    assert torch.equal(
        policy.predict(hidden).actions, policy.predict(replace(hidden, images=images)).actions
    )


@pytest.mark.parametrize("modality", MODALITIES)
def test_withholding_as_a_stress_test_does_hides_it_too(policy, modality):
    observation = fake_observation()
    other = with_other_content(observation, modality)
    withheld = Withheld(policy, (modality,))
    assert torch.equal(withheld.predict(observation).actions, withheld.predict(other).actions)
    camera = FAKE_DATA.cameras[0]
    images = {**observation.images, camera: fake_observation(seed=1).images[camera]}
    withheld = Withheld(policy, (), (camera,))
    assert torch.equal(
        withheld.predict(observation).actions,
        withheld.predict(replace(observation, images=images)).actions,
    )


def test_nan_where_a_sensor_is_missing_does_no_harm(policy):
    observation = fake_observation()
    broken = replace(observation, proprio=torch.full_like(observation.proprio, float("nan")))
    hidden = observation.without(PROPRIO), broken.without(PROPRIO)
    assert torch.equal(*(policy.predict(each).actions for each in hidden))
