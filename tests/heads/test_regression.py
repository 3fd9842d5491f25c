"""The regression head against its formula."""

import math

import pytest
import torch

from plait.errors import OptionError
from plait.heads.base import HeadShape
from plait.heads.regression import RegressionHead
from plait.types import ActionChunk, Fused, Tokens

SHAPE = HeadShape(width=7, num_groups=2, action_horizon=3, action_dim=5)


def build(**options):
    torch.manual_seed(0)
    return RegressionHead(SHAPE, hidden_dim=11, num_queries=2, query_dim=13, **options)


def fused(weights=((0.25, 0.75), (1.0, 0.0))):
    torch.manual_seed(1)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    groups = tuple(Tokens(torch.randn(2, 3, 7), mask) for _ in range(2))
    return Fused(groups, torch.tensor(weights))


def test_prediction_is_the_weighted_sum_of_bounded_opinions():
    head, inputs = build(), fused()
    opinions = [
        torch.tanh(mlp(pool(group))).view(2, 3, 5)
        for mlp, pool, group in zip(head.mlps, head.pools, inputs.groups, strict=True)
    ]
    expected = torch.stack([0.25 * opinions[0][0] + 0.75 * opinions[1][0], opinions[0][1]])
    torch.testing.assert_close(head.predict(inputs), expected)
    assert head.predict(inputs).abs().max() <= 1


def test_a_chunk_is_laid_out_step_by_step():
    head = build()
    with torch.no_grad():
        for mlp in head.mlps:
            mlp.contract.weight.zero_()
            mlp.contract.bias.copy_(torch.atanh(torch.arange(15) / 20))
    chunk = head.predict(fused())
    torch.testing.assert_close(chunk[0], torch.arange(15).view(3, 5) / 20)


def slow_loss(head, predicted, target, delta):
    """Add up the errors of the real steps, one number at a time."""
    total, count = 0.0, 0
    for b in range(2):
        for h in range(3):
            if not target.mask[b, h]:
                continue
            for d in range(5):
                error = abs((predicted[b, h, d] - target.actions[b, h, d]).item())
                if delta is None:
                    total += error
                elif error <= delta:
                    total += error**2 / 2
                else:
                    total += delta * (error - delta / 2)
                count += 1
    return total / count


@pytest.mark.parametrize(
    ("options", "delta"),
    [({}, 1.0), ({"huber_delta": 0.5}, 0.5), ({"loss": "l1"}, None)],
)
def test_loss_is_the_mean_over_the_real_steps(options, delta):
    head, inputs = build(**options), fused()
    mask = torch.tensor([[True, True, False], [True, False, False]])
    target = ActionChunk(torch.rand(2, 3, 5) * 2 - 1, mask)
    expected = slow_loss(head, head.predict(inputs), target, delta)
    assert head.loss(inputs, target).item() == pytest.approx(expected, rel=1e-5)


def test_loss_of_its_own_prediction_is_zero():
    head, inputs = build(), fused()
    target = ActionChunk(head.predict(inputs).detach(), torch.ones(2, 3, dtype=torch.bool))
    assert head.loss(inputs, target).item() == 0.0


@pytest.mark.parametrize("loss", ["huber", "l1"])
def test_nan_in_padding_reaches_neither_loss_nor_gradient(loss):
    head, inputs = build(loss=loss), fused()
    mask = torch.tensor([[True, True, False], [True, False, False]])
    actions = torch.zeros(2, 3, 5)
    expected = head.loss(inputs, ActionChunk(actions, mask))
    spoiled = ActionChunk(actions.masked_fill(~mask.unsqueeze(-1), math.nan), mask)
    actual = head.loss(inputs, spoiled)
    assert torch.equal(actual, expected)
    actual.backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert head.mlps[0].contract.bias.grad.abs().max() > 0


def test_unknown_loss_is_refused():
    with pytest.raises(OptionError, match="loss must be 'huber' or 'l1', but is 'mse'"):
        # A user's JSON is not checked against the annotation; without this it would be Huber.
        RegressionHead.__init__.__wrapped__(build(), SHAPE, loss="mse")
