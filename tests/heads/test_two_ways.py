"""Demonstrations that pass an obstacle on the left or on the right, equally often."""

import copy
import math
from functools import cache

import pytest
import torch

from plait.heads.base import HeadShape
from plait.heads.discrete import DiscreteHead
from plait.heads.flow import FlowHead
from plait.heads.mixture_density import MixtureDensityHead
from plait.heads.regression import RegressionHead
from plait.types import ActionChunk, Fused, Tokens

HORIZON = 6
SHAPE = HeadShape(width=8, num_groups=1, action_horizon=HORIZON, action_dim=2)
# Forward at constant speed, and sideways in an arc whose height is 0.6.
ARC = 0.6 * torch.sin(torch.linspace(0, math.pi, HORIZON + 2)[1:-1])
LEFT = torch.stack([torch.full((HORIZON,), 0.5), ARC], dim=-1)
RIGHT = torch.stack([torch.full((HORIZON,), 0.5), -ARC], dim=-1)


def scene(batch_size):
    """Return the same scene for every sample: nothing in it says which way to go."""
    tokens = torch.linspace(-1, 1, 3 * 8).view(1, 3, 8).expand(batch_size, -1, -1)
    mask = torch.ones(batch_size, 3, dtype=torch.bool)
    return Fused.single(Tokens(tokens, mask))


@cache
def trained(kind, num_steps=1000, batch_size=64):
    """Return a head trained on both ways; nothing else can be learnt here."""
    torch.manual_seed(0)
    head = kind(SHAPE, hidden_dim=32, num_queries=2, query_dim=8)
    optimizer = torch.optim.Adam(head.parameters(), 3e-3)
    mask = torch.ones(batch_size, HORIZON, dtype=torch.bool)
    for _ in range(num_steps):
        is_left = torch.rand(batch_size, 1, 1) < 0.5
        loss = head.loss(scene(batch_size), ActionChunk(torch.where(is_left, LEFT, RIGHT), mask))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head


def distance(chunk):
    """Return how far a chunk is from the nearer of the two ways, at its worst step."""
    return min((chunk - way).abs().amax().item() for way in (LEFT, RIGHT))


def test_regression_takes_the_mean_and_hits_the_obstacle():
    head = trained(RegressionHead)
    with torch.no_grad():
        chunk = head.predict(scene(1))[0]
    assert distance(chunk) > 0.5
    assert chunk[:, 1].abs().max() < 0.15


@pytest.mark.parametrize("kind", [FlowHead, MixtureDensityHead])
def test_flow_and_mixture_take_one_of_the_ways(kind):
    head = trained(kind)
    with torch.no_grad():
        chunk = head.predict(scene(1))[0]
    assert distance(chunk) < 0.15


def test_a_classifier_takes_one_side_in_every_step_if_not_the_same():
    head = trained(DiscreteHead)
    with torch.no_grad():
        chunk = head.predict(scene(1))[0]
    assert torch.allclose(chunk[:, 1].abs(), ARC, atol=0.05)


def test_flow_draws_both_ways_from_different_noise():
    head = copy.deepcopy(trained(FlowHead))
    noise = torch.randn(200, HORIZON * 2, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        chunks = head.sample(scene(200), noise)
    near = [distance(chunk) < 0.3 for chunk in chunks]
    assert sum(near) > 150
    left = sum((chunk - LEFT).abs().max() < 0.3 for chunk in chunks)
    assert 0.3 < left / sum(near) < 0.7


def test_the_mixture_knows_that_there_are_two_ways():
    head = trained(MixtureDensityHead)
    with torch.no_grad():
        weights, means, _ = head.mixture(scene(1))
    share = {"left": 0.0, "right": 0.0}
    for weight, mean in zip(weights[0].tolist(), means[0], strict=True):
        for name, way in (("left", LEFT), ("right", RIGHT)):
            share[name] += weight * float((mean - way).abs().amax() < 0.15)
    assert share["left"] == pytest.approx(0.5, abs=0.15)
    assert share["right"] == pytest.approx(0.5, abs=0.15)


def test_more_steps_carry_noise_closer_to_where_the_velocity_leads():
    head = copy.deepcopy(trained(FlowHead))
    noise = torch.randn(20, HORIZON * 2, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        ends = {}
        for num_steps in (2, 10, 200):
            head.num_steps = num_steps
            ends[num_steps] = head.sample(scene(20), noise)
    error = {n: (ends[n] - ends[200]).square().mean() for n in (2, 10)}
    assert error[10] < error[2] / 3
