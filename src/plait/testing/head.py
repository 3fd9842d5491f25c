"""The conformance kit of a head: `check_head(MyHead, hidden_dim=32)`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from plait.heads.base import Head, HeadShape
from plait.testing.checks import (
    build_seeded,
    require,
    require_gradients,
    require_registered,
    require_round_trip,
    require_same,
    run_checks,
)
from plait.testing.fake import ACTION_HORIZON, BATCH_SIZE, FAKE_DATA, WIDTH
from plait.types import ActionChunk, Fused, Tokens

NUM_GROUPS = 2
NUM_TOKENS = 13
SHAPE = HeadShape(WIDTH, NUM_GROUPS, ACTION_HORIZON, FAKE_DATA.action_dim)
CHUNK_SHAPE = (BATCH_SIZE, ACTION_HORIZON, FAKE_DATA.action_dim)
# Normalised actions lie in about [-1, 1].
BOUND = 1.5


@dataclass(frozen=True)
class HeadCase:
    """A head to check.

    Attributes:
        kind: The class.
        options: Keyword options it is built with.
    """

    kind: type[Head]
    options: Mapping[str, Any]

    def build(self, seed: int = 0) -> Head:
        """Build the head, its parameters drawn from `seed`."""
        return build_seeded(lambda: self.kind(SHAPE, **self.options), seed)


def _fused(*, padding: float = 0.0, dtype: torch.dtype = torch.float32) -> Fused:
    """Return two padded token groups; the second has no weight in the first sample."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([[NUM_TOKENS, 7, 3], [5, 2, 11]])
    groups = []
    for length in lengths:
        mask = torch.arange(NUM_TOKENS) < length.unsqueeze(-1)
        values = torch.randn(BATCH_SIZE, NUM_TOKENS, WIDTH, generator=generator)
        filled = torch.where(mask.unsqueeze(-1), values, torch.tensor(padding))
        groups.append(Tokens(filled.to(dtype), mask))
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]], dtype=dtype)
    return Fused(tuple(groups), weights)


def _target(*, padding: float = 0.0, dtype: torch.dtype = torch.float32) -> ActionChunk:
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(ACTION_HORIZON) < torch.tensor([[5], [2], [3]])
    actions = torch.rand(CHUNK_SHAPE, generator=generator) * 2 - 1
    actions = torch.where(mask.unsqueeze(-1), actions, torch.tensor(padding))
    return ActionChunk(actions.to(dtype), mask)


def _rows(fused: Fused, rows: list[int]) -> Fused:
    groups = tuple(Tokens(g.values[rows], g.mask[rows]) for g in fused.groups)
    return Fused(groups, fused.weights[rows])


def _loss(head: Head, fused: Fused, target: ActionChunk) -> Tensor:
    """Return the loss with the random numbers, where a head draws any, held fixed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return head.loss(fused, target)


def _predict(head: Head, fused: Fused) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return head.predict(fused)


def _samples(head: Head, fused: Fused) -> bool:
    """Say whether a head draws random numbers, to predict or for its loss."""
    target = _target()
    with torch.random.fork_rng(devices=[]):
        same_chunk = torch.equal(head.predict(fused), head.predict(fused))
        same_loss = torch.equal(head.loss(fused, target), head.loss(fused, target))
    return not (same_chunk and same_loss)


def output_has_the_declared_form(case: HeadCase) -> None:
    """An executor plays exactly `action_horizon` steps of `action_dim` numbers."""
    head = case.build()
    found = tuple(_predict(head, _fused()).shape)
    require(found == CHUNK_SHAPE, f"predict returned {found}, expected {CHUNK_SHAPE}")
    loss = _loss(head, _fused(), _target())
    require(loss.ndim == 0 and torch.isfinite(loss), "the loss must be a finite scalar")


def padding_actions_do_not_matter(case: HeadCase) -> None:
    """Steps past the end of an episode were never recorded, whatever stands there."""
    head = case.build()
    expected = _loss(head, _fused(), _target())
    parameters = [p for p in head.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(expected, parameters, allow_unused=True)
    for padding in (5.0, math.nan):
        loss = _loss(head, _fused(), _target(padding=padding))
        cause = "Likely the mask is ignored, or inverted"
        require_same(loss, expected, f"padding actions of {padding} change the loss. {cause}")
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for gradient, reference in zip(gradients, wanted, strict=True):
            if gradient is not None and reference is not None:
                require_same(
                    gradient,
                    reference,
                    f"padding actions of {padding} change the gradient. Likely masked after the "
                    "error is taken: NaN × 0 in backward; fill the target first",
                )


def samples_without_actions_do_not_dilute_the_loss(case: HeadCase) -> None:
    """Masking and then averaging over all steps makes the loss too small, silently."""
    head, fused, target = case.build(), _fused(), _target()
    whole = torch.tensor([True, False, False]).unsqueeze(1).expand_as(target.mask)
    only_first = ActionChunk(target.actions, whole)
    alone = ActionChunk(target.actions[:1], whole[:1])
    if not _samples(head, fused):
        require_same(
            _loss(head, fused, only_first),
            _loss(head, _rows(fused, [0]), alone),
            "two samples without real steps change the loss of a third. Likely mask, then plain "
            "mean; divide by the number of real steps (masks.masked_mean_all)",
        )
    nothing = ActionChunk(target.actions, torch.zeros_like(target.mask))
    require_same(_loss(head, fused, nothing), torch.zeros(()), "a loss without any real step")


def the_loss_is_least_at_the_prediction(case: HeadCase) -> None:
    """What a head predicts is what its loss asks for."""
    head, fused, target = case.build(), _fused(), _target()
    if _samples(head, fused):
        return  # It has a distribution, and no single prediction.
    prediction = _predict(head, fused).detach()
    everything = torch.ones_like(target.mask)
    least = _loss(head, fused, ActionChunk(prediction, everything))
    others = {
        "0.4 below it": prediction - 0.4,
        "0.4 above it": prediction + 0.4,
        "half of it": prediction / 2,
        "twice it": prediction * 2,
    }
    for name, actions in others.items():
        other = _loss(head, fused, ActionChunk(actions, everything))
        require(
            bool(other > least),
            f"a target {name} costs {other.item():.3g}, the prediction itself {least.item():.3g}. "
            "Likely loss and predict transform actions differently",
        )


def padding_tokens_do_not_matter(case: HeadCase) -> None:
    """A head reads what the fusion marked as real; the rest may hold anything."""
    head = case.build()
    expected = _predict(head, _fused())
    for padding in (50.0, math.nan):
        actual = _predict(head, _fused(padding=padding))
        cause = "Likely a mean over padding, or a product with the mask for a where"
        require_same(actual, expected, f"masked tokens of {padding} change the actions. {cause}")


def a_group_of_weight_zero_has_no_influence(case: HeadCase) -> None:
    """An absent modality loses its vote, and gets no gradient for it."""
    head, fused = case.build(), _fused()
    values = fused.groups[1].values
    other = Tokens(torch.cat([values[:1] * -2 + 1, values[1:]]), fused.groups[1].mask)
    changed = replace(fused, groups=(fused.groups[0], other))
    require_same(
        _predict(head, changed)[0],
        _predict(head, fused)[0],
        "a group of weight 0 changes the actions. Likely the weights are not used",
    )
    # In double precision: where one group explains the actions far better than another, the other's
    # share of the likelihood, and so of the gradient, underflows in single precision.
    exact = _fused(dtype=torch.float64)
    leaf = exact.groups[1].values.clone().requires_grad_()
    tracked = replace(exact, groups=(exact.groups[0], Tokens(leaf, exact.groups[1].mask)))
    target = _target(dtype=torch.float64)
    (gradient,) = torch.autograd.grad(_loss(head.double(), tracked, target), leaf)
    require(not gradient[0].any(), "a group of weight 0 gets a gradient")
    require(bool(gradient[1].any()), "a group of weight 0.75 gets no gradient")


def actions_are_bounded(case: HeadCase) -> None:
    """Features never seen in training must not command a leap."""
    head, fused = case.build(), _fused()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(10)
    groups = tuple(g.with_values(g.values * 1e3) for g in fused.groups)
    largest = _predict(head, replace(fused, groups=groups)).abs().max().item()
    require(
        largest <= BOUND,
        f"large features and weights give actions of {largest:.3g}, but normalised ones lie in "
        "[-1, 1]. Likely an output without a tanh or a clamp",
    )


def nothing_present_is_finite(case: HeadCase) -> None:
    """Every sensor may fail at once."""
    head, fused = case.build(), _fused()
    groups = tuple(Tokens(g.values, torch.zeros_like(g.mask)) for g in fused.groups)
    for weights in (fused.weights, torch.zeros_like(fused.weights)):
        empty = Fused(groups, weights)
        require(bool(torch.isfinite(_predict(head, empty)).all()), "actions are not finite")
        loss = _loss(head, empty, _target())
        parameters = [p for p in head.parameters() if p.requires_grad]
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            finite = all(g is None or bool(torch.isfinite(g).all()) for g in gradients)
            require(finite, "the gradient is not finite. Likely a softmax over no real token")


def samples_are_independent(case: HeadCase) -> None:
    """A robot acts on a batch of one."""
    head, fused = case.build(), _fused()
    with torch.random.fork_rng(devices=[]):
        together = head.predict(fused)
        if not torch.equal(head.predict(fused), together):
            return  # It draws other numbers for a batch of another size.
    for row in range(BATCH_SIZE):
        message = f"alone, sample {row} gets other actions. Likely statistics over the batch"
        require_same(head.predict(_rows(fused, [row]))[0], together[row], message)
    order = [2, 0, 1]
    message = "permuting the batch does not permute the actions"
    require_same(head.predict(_rows(fused, order)), together[order], message)


def every_parameter_receives_gradient(case: HeadCase) -> None:
    """A dead branch costs parameters and does nothing."""
    head = case.build().double()
    kind = torch.float64
    require_gradients(head, _loss(head, _fused(dtype=kind), _target(dtype=kind)))


def no_tensor_is_hidden(case: HeadCase) -> None:
    """Parameters in a Python list are never trained, saved or moved."""
    head = case.build()
    head.predict(_fused())
    require_registered(head)


def state_dict_round_trip_is_exact(case: HeadCase) -> None:
    """What is saved is all there is."""
    require_round_trip(case.build(seed=1), case.build(seed=2), lambda h: [_predict(h, _fused())])


HEAD_CHECKS = (
    output_has_the_declared_form,
    padding_actions_do_not_matter,
    samples_without_actions_do_not_dilute_the_loss,
    the_loss_is_least_at_the_prediction,
    padding_tokens_do_not_matter,
    a_group_of_weight_zero_has_no_influence,
    actions_are_bounded,
    nothing_present_is_finite,
    samples_are_independent,
    every_parameter_receives_gradient,
    no_tensor_is_hidden,
    state_dict_round_trip_is_exact,
)


def check_head(kind: type[Head], **options: object) -> None:
    """Check that a head keeps the contract of `plait.heads.base.Head`.

    Args:
        kind: The class.
        options: Keyword options to build it with.

    Raises:
        AssertionError: If a check fails; it names every failed check and its likely cause.
    """
    run_checks(kind.__name__, HEAD_CHECKS, HeadCase(kind, options))
