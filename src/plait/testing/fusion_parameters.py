"""Checks of a fusion's parameters and arithmetic: all are trained, saved, and differentiable."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.func import functional_call

from plait.fusion.base import Fusion
from plait.testing.checks import (
    require,
    require_gradients,
    require_registered,
    require_round_trip,
)
from plait.testing.fake import fake_tokens
from plait.testing.fusion_case import TINY_SPECS, FusionCase, fused_tokens, objective, read
from plait.types import LANGUAGE, PROPRIO, Tokens

# bfloat16 keeps 8 bits; after a few layers a few per cent of the result are rounding.
BFLOAT16_ERROR = 0.1
EPSILON = 1e-5


def no_tensor_is_hidden(case: FusionCase) -> None:
    """Parameters in a Python list are never trained, saved or moved, and nothing complains."""
    fusion, tokens = fused_tokens(case)
    fusion(tokens)
    require_registered(fusion)


def every_parameter_receives_gradient(case: FusionCase) -> None:
    """A dead branch costs parameters that the comparison counts as if they worked."""
    fusion = case.build().double()
    require_gradients(fusion, objective(fusion(fake_tokens(dtype=torch.float64))))


def state_dict_round_trip_is_exact(case: FusionCase) -> None:
    """What is saved is all there is."""
    tokens = fake_tokens()

    def run(fusion: Fusion) -> list[Tensor]:
        fused = fusion(tokens)
        return [fused.weights, *chain.from_iterable((g.values, g.mask) for g in fused.groups)]

    require_round_trip(case.build(seed=1), case.build(seed=2), run)


def gradients_match_finite_differences(case: FusionCase) -> None:
    """A detach, an in-place change or a wrong custom backward trains towards something else."""
    fusion = case.build(TINY_SPECS).double()
    lengths = {LANGUAGE: 4, PROPRIO: 2}
    tokens = fake_tokens(TINY_SPECS, lengths, batch_size=2, dtype=torch.float64)
    trained = {name: p for name, p in fusion.named_parameters() if p.requires_grad}
    leaves = [*(part.values for part in tokens.values()), *trained.values()]
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]

    def run(tensors: Sequence[Tensor]) -> Tensor:
        values = dict(zip(tokens, tensors, strict=False))
        inputs = {name: Tokens(values[name], part.mask) for name, part in tokens.items()}
        state = dict(zip(trained, tensors[len(tokens) :], strict=True))
        return read(functional_call(fusion, state, (inputs,))).square().sum()

    gradients = torch.autograd.grad(run(leaves), leaves, materialize_grads=True)
    generator = torch.Generator().manual_seed(5)
    for _ in range(3):
        way = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in leaves]
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, way, strict=True))
        ahead, behind = (
            float(run([x.detach() + step * d for x, d in zip(leaves, way, strict=True)]))
            for step in (EPSILON, -EPSILON)
        )
        measured = (ahead - behind) / (2 * EPSILON)
        require(
            abs(slope - measured) <= 1e-4 * max(1.0, abs(slope), abs(measured)),
            f"backward gives a slope of {slope:.6g}, but forward changes by {measured:.6g}. "
            "Likely a detach() or .data, or a custom backward that is wrong",
        )


def bfloat16_is_close(case: FusionCase) -> None:
    """On a GPU most policies run in bfloat16."""
    fusion, tokens = fused_tokens(case)
    expected = read(fusion(tokens))
    half = {name: part.with_values(part.values.bfloat16()) for name, part in tokens.items()}
    fused = fusion.bfloat16()(half)
    kinds = {group.values.dtype for group in fused.groups}
    require(
        kinds == {torch.bfloat16},
        f"bfloat16 tokens give {kinds}. Likely a constant tensor of a fixed dtype",
    )
    difference = (read(fused).float() - expected).detach()
    error = float(difference.norm() / expected.detach().norm())
    require(
        error < BFLOAT16_ERROR,
        f"bfloat16 is off by {error:.0%}. Likely a difference of large numbers; normalise first",
    )


PARAMETER_CHECKS = (
    no_tensor_is_hidden,
    every_parameter_receives_gradient,
    state_dict_round_trip_is_exact,
    gradients_match_finite_differences,
    bfloat16_is_close,
)
