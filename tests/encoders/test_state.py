"""The state encoder: one token a step."""

import torch

from plait.encoders.state import StateEncoder
from plait.testing import fake_observation
from plait.testing.fake import FAKE_DATA
from plait.types import PROPRIO


def test_stem_is_linear_with_a_step_embedding():
    encoder, observation = StateEncoder(FAKE_DATA, 24, "stem"), fake_observation()
    tokens = encoder(observation)
    linear = observation.proprio @ encoder.embed.weight.T + encoder.embed.bias
    torch.testing.assert_close(tokens.values, linear + encoder.step_embedding)
    assert tokens.mask.tolist() == [[True] * 3] * 3


def test_features_add_an_mlp_with_a_residual():
    encoder = StateEncoder(FAKE_DATA, 24, "features", hidden_dim=5)
    observation = fake_observation()
    stem = encoder.embed(observation.proprio) + encoder.step_embedding
    torch.testing.assert_close(encoder(observation).values, stem + encoder.trunk(stem))
    assert encoder.trunk.expand.out_features == 5


def test_absent_state_is_masked_and_finite():
    encoder = StateEncoder(FAKE_DATA, 24, "features")
    observation = fake_observation().without(PROPRIO)
    observation.proprio.fill_(torch.nan)
    tokens = encoder(observation)
    assert tokens.mask.tolist() == [[False] * 3] * 3
    assert torch.isfinite(tokens.values).all()
