"""Heads with one planted bug each: the check named for it catches it."""

import re

import pytest
import torch
from torch import nn

from plait.heads.regression import RegressionHead
from plait.masks import masked_mean_all
from plait.testing import check_head
from plait.testing.head import HEAD_CHECKS
from plait.types import Tokens


def loss_mask(error, target):
    return target.mask.unsqueeze(-1).expand_as(error)


class MaskIgnored(RegressionHead):
    def loss(self, fused, target):
        return (self.predict(fused) - target.actions).abs().mean()


class MaskThenPlainMean(RegressionHead):
    """The bug of four losses at once in lerobot #3442: too small by the share of padding."""

    def loss(self, fused, target):
        actions = torch.where(target.mask.unsqueeze(-1), target.actions, 0.0)
        error = (self.predict(fused) - actions).abs()
        return (error * loss_mask(error, target)).mean()


class MaskedAfterTheError(RegressionHead):
    """What our own head did: finite loss, NaN gradient."""

    def loss(self, fused, target):
        error = (self.predict(fused) - target.actions).square()
        return masked_mean_all(error, loss_mask(error, target))


class WeightsIgnored(RegressionHead):
    def predict(self, fused):
        even = torch.full_like(fused.weights, 1 / fused.weights.shape[1])
        return super().predict(type(fused)(fused.groups, even))


class Unbounded(RegressionHead):
    def predict(self, fused):
        return torch.atanh(super().predict(fused).clamp(-1 + 1e-6, 1 - 1e-6))


class LossOnAnotherScale(RegressionHead):
    def loss(self, fused, target):
        error = (torch.atanh(self.predict(fused).clamp(-0.999, 0.999)) * 3 - target.actions).abs()
        return masked_mean_all(error, loss_mask(error, target))


class MeanOfAllTokens(RegressionHead):
    def predict(self, fused):
        opened = [Tokens(g.values, torch.ones_like(g.mask)) for g in fused.groups]
        return super().predict(type(fused)(tuple(opened), fused.weights))


class EmptySoftmax(RegressionHead):
    def predict(self, fused):
        nothing = torch.stack([g.mask.any(dim=1) for g in fused.groups], dim=1)
        logits = torch.zeros_like(fused.weights).masked_fill(~nothing, -torch.inf)
        scale = torch.softmax(logits, dim=-1).sum(dim=-1)
        return super().predict(fused) * scale[:, None, None]


class BatchNormalised(RegressionHead):
    def predict(self, fused):
        actions = super().predict(fused)
        return torch.tanh(actions - actions.mean(dim=0))


class WrongOrderOfAxes(RegressionHead):
    def predict(self, fused):
        return super().predict(fused).transpose(1, 2).contiguous()

    def loss(self, fused, target):
        error = (self.predict(fused).transpose(1, 2) - target.actions).abs()
        return masked_mean_all(error, loss_mask(error, target))


class DeadLayer(RegressionHead):
    def __init__(self, shape):
        super().__init__(shape)
        self.unused = nn.Linear(3, 3)


class HiddenScale(RegressionHead):
    def __init__(self, shape):
        super().__init__(shape)
        self.scales = (torch.tensor(0.5),)

    def predict(self, fused):
        return super().predict(fused) * self.scales[0]


class UnsavedState(RegressionHead):
    def __init__(self, shape):
        super().__init__(shape)
        self.register_buffer("scale", torch.rand(()), persistent=False)

    def predict(self, fused):
        return super().predict(fused) * self.scale


CAUGHT_BY = {
    MaskIgnored: "padding_actions_do_not_matter",
    MaskThenPlainMean: "samples_without_actions_do_not_dilute_the_loss",
    MaskedAfterTheError: "padding_actions_do_not_matter",
    WeightsIgnored: "a_group_of_weight_zero_has_no_influence",
    Unbounded: "actions_are_bounded",
    LossOnAnotherScale: "the_loss_is_least_at_the_prediction",
    MeanOfAllTokens: "padding_tokens_do_not_matter",
    EmptySoftmax: "nothing_present_is_finite",
    BatchNormalised: "samples_are_independent",
    WrongOrderOfAxes: "output_has_the_declared_form",
    DeadLayer: "every_parameter_receives_gradient",
    HiddenScale: "no_tensor_is_hidden",
    UnsavedState: "state_dict_round_trip_is_exact",
}


def failed_checks(kind):
    with pytest.raises(AssertionError, match=f"{kind.__name__} breaks its contract") as caught:
        check_head(kind)
    return set(re.findall(r"^- (\w+): ", str(caught.value), re.MULTILINE))


@pytest.mark.parametrize("kind", CAUGHT_BY, ids=lambda kind: kind.__name__)
def test_bug_is_caught_by_its_check(kind):
    assert CAUGHT_BY[kind] in failed_checks(kind)


def test_mask_then_mean_is_caught_by_one_check_alone():
    assert failed_checks(MaskThenPlainMean) == {"samples_without_actions_do_not_dilute_the_loss"}


def test_every_check_catches_a_bug():
    caught = set().union(*(failed_checks(kind) for kind in CAUGHT_BY))
    assert caught == {check.__name__ for check in HEAD_CHECKS}


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (MaskIgnored, "Likely the mask is ignored, or inverted"),
        (MaskedAfterTheError, "fill the target first"),
        (MaskThenPlainMean, "Likely mask, then plain mean"),
        (WeightsIgnored, "Likely the weights are not used"),
        (LossOnAnotherScale, "Likely loss and predict transform actions differently"),
        (HiddenScale, "scales.0 hidden from PyTorch"),
    ],
)
def test_message_names_the_likely_cause(kind, cause):
    with pytest.raises(AssertionError, match=cause):
        check_head(kind)


class SamplingHead(RegressionHead):
    """Adds noise from the global stream: it has no single prediction, and is not asked for one."""

    def predict(self, fused):
        actions = super().predict(fused)
        return actions + 0.01 * torch.randn_like(actions)


def test_a_head_that_samples_passes():
    check_head(SamplingHead)
