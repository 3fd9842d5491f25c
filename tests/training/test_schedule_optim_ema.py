"""Schedule, optimiser groups and moving average against closed forms."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from plait.config import TrainingConfig
from plait.training.ema import ExponentialMovingAverage
from plait.training.optim import build_optimizer
from plait.training.schedule import learning_rate


def test_schedule_by_hand():
    rates = [learning_rate(k, peak=8.0, warmup_steps=4, num_steps=8) for k in range(9)]
    half = 4 * (1 + math.sqrt(0.5))
    assert rates == pytest.approx([2, 4, 6, 8, 8, half, 4, 8 - half, 0])


def test_schedule_without_warmup_and_with_nothing_but_warmup():
    assert learning_rate(0, peak=3.0, warmup_steps=0, num_steps=5) == 3.0
    assert learning_rate(5, peak=3.0, warmup_steps=5, num_steps=5) == 3.0
    rates = [learning_rate(k, peak=3.0, warmup_steps=7, num_steps=5) for k in range(5)]
    assert rates == pytest.approx([3 / 7 * (k + 1) for k in range(5)])
    assert learning_rate(99, peak=3.0, warmup_steps=2, num_steps=5) == 0.0


def test_schedule_rises_to_the_peak_and_falls_ever_after():
    rates = [learning_rate(k, peak=1.0, warmup_steps=11, num_steps=97) for k in range(97)]
    assert max(rates) == rates[11] == rates[10] == 1.0
    assert all(a < b for a, b in pairwise(rates[:11]))
    assert all(a > b for a, b in pairwise(rates[11:]))
    assert 0 < rates[-1] < 1e-3


class Model(nn.Module):
    """One parameter of every kind."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 5)
        self.conv = nn.Conv2d(2, 3, 3)
        self.norm = nn.LayerNorm(5)
        self.embedding = nn.Embedding(7, 2)
        self.position = nn.Parameter(torch.ones(11, 2))
        self.queries = nn.Parameter(torch.ones(2, 3))
        self.readouts = nn.Parameter(torch.ones(1, 2, 3))
        self.query = nn.Linear(2, 2)


def test_only_matrices_and_kernels_decay():
    model = Model()
    optimizer = build_optimizer(model, TrainingConfig(weight_decay=0.25, learning_rate=0.5))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, undecayed = (
        {names[id(p)] for p in group["params"]} for group in optimizer.param_groups
    )
    assert decayed == {"linear.weight", "conv.weight", "query.weight"}
    assert decayed | undecayed == set(names.values())
    assert not decayed & undecayed
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.25, 0.0]
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_decay_shrinks_what_it_should_without_a_gradient():
    model = Model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, TrainingConfig(weight_decay=0.5, learning_rate=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if name in ("linear.weight", "conv.weight", "query.weight") else 1.0
        torch.testing.assert_close(parameter, before[name] * factor)


def test_average_follows_the_slow_formula():
    layer = nn.Linear(3, 2).double()
    average = ExponentialMovingAverage(layer, decay=0.7)
    expected = layer.weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    for step in range(40):
        with torch.no_grad():
            layer.weight.copy_(torch.randn(2, 3, generator=generator, dtype=torch.float64))
        average.update(step)
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach()
        torch.testing.assert_close(average.state()["weight"], expected)
    # (1 + k) / (10 + k) passes 0.7 at step 20: both parts of the minimum were met.
    assert (1 + 19) / (10 + 19) < 0.7 <= (1 + 20) / (10 + 20)


def test_no_decay_is_the_weights_themselves():
    layer = nn.Linear(3, 2)
    average = ExponentialMovingAverage(layer, decay=0.0)
    with torch.no_grad():
        layer.weight.mul_(3.7)
    average.update(5)
    assert torch.equal(average.state()["weight"], layer.weight)


def test_applied_puts_the_weights_back_even_after_an_error():
    layer = nn.Linear(3, 2)
    average = ExponentialMovingAverage(layer, decay=0.9)
    initial, weights = layer.weight.detach().clone(), torch.full((2, 3), 7.0)
    with torch.no_grad():
        layer.weight.copy_(weights)
    with average.applied():
        assert torch.equal(layer.weight, initial)
    assert torch.equal(layer.weight, weights)
    with pytest.raises(RuntimeError, match="inside"), average.applied():
        raise RuntimeError("inside")
    assert torch.equal(layer.weight, weights)


def test_state_of_the_average_is_restored_by_name():
    first, second = (ExponentialMovingAverage(nn.Linear(3, 2), 0.9) for _ in range(2))
    second.load_state(first.state())
    assert all(torch.equal(first.state()[key], second.state()[key]) for key in ("weight", "bias"))
    assert first.state()["weight"] is not second.state()["weight"]
