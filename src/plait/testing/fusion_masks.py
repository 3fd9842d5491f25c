"""Checks of a fusion's masks: what is masked has no influence, what is real has some."""

import math

import torch

from plait.testing.checks import require, require_different, require_same
from plait.testing.fake import FAKE_SPECS
from plait.testing.fusion_case import (
    FusionCase,
    absent,
    fused_tokens,
    objective,
    read,
    tracked,
    with_padding,
)
from plait.types import Tokens


def padding_values_do_not_matter(case: FusionCase) -> None:
    """What stands in padding is an accident of the collation, NaN included."""
    fusion, tokens = fused_tokens(case)
    expected = read(fusion(tokens))
    for padding in (0.0, 1e4, math.inf, math.nan):
        require_same(
            read(fusion(with_padding(tokens, padding))),
            expected,
            f"{padding} in masked positions changes the result. Likely a mean over padding, an "
            "inverted or ignored mask, or a product with the mask (0 × NaN is NaN) for a where",
        )


def padding_length_does_not_matter(case: FusionCase) -> None:
    """The longest instruction of a batch must not change what the others mean."""
    fusion, tokens = fused_tokens(case)
    longer = {}
    for name, part in tokens.items():
        extra = 0 if FAKE_SPECS[name].grid else 6
        values = torch.nn.functional.pad(part.values, (0, 0, 0, extra))
        longer[name] = Tokens(values, torch.nn.functional.pad(part.mask, (0, extra)))
    require_same(
        read(fusion(longer)),
        read(fusion(tokens)),
        "six more padding tokens change the result. Likely values are masked and then averaged "
        "over all positions; divide by the number of real ones (masks.masked_mean)",
    )


def every_modality_matters(case: FusionCase) -> None:
    """A modality that is silently skipped still trains, and the comparison lies about it."""
    fusion, tokens = fused_tokens(case)
    expected = read(fusion(tokens))
    for name, part in tokens.items():
        changed = {**tokens, name: part.with_values(torch.roll(part.values, 1, dims=-1))}
        per_sample = (read(fusion(changed)) - expected).abs().amax(dim=1)
        require(
            bool((per_sample > 1e-3).all()),
            f"other {name} tokens give the same result. Likely {name} is not read at all, or a "
            "softmax over a single key passes nothing on",
        )
        require_different(
            read(fusion(absent(tokens, name))),
            expected,
            f"the result is the same with {name} absent. Likely its mask is not read",
        )


def an_absent_modality_does_not_leak(case: FusionCase) -> None:
    """A masked modality must be gone, forward and backward, or a robustness test means nothing."""
    fusion, tokens = fused_tokens(case)
    for name in tokens:
        without = absent(tokens, name)
        expected = read(fusion(without))
        require(bool(torch.isfinite(expected).all()), f"not finite with {name} absent")
        for padding in (3.0, math.nan):
            inputs = tracked(with_padding(without, padding))
            fused = fusion(inputs)
            require_same(
                read(fused),
                expected,
                f"absent {name} tokens of value {padding} change the result. Likely attention "
                "over a modality with no real token: an open mask whose outcome is not dropped",
            )
            values = inputs[name].values
            (gradient,) = torch.autograd.grad(objective(fused), values, allow_unused=True)
            require(
                gradient is None or not gradient.any(),
                f"absent {name} tokens of value {padding} get a gradient. Likely a product with "
                "the mask; fill masked values before anything reads them (masks.masked_fill)",
            )


def padding_gets_no_gradient(case: FusionCase) -> None:
    """The same for padding inside a present modality: the gradient there is exactly zero."""
    fusion, tokens = fused_tokens(case)
    inputs = tracked(tokens)
    values = [part.values for part in inputs.values()]
    gradients = torch.autograd.grad(objective(fusion(inputs)), values, allow_unused=True)
    for (name, part), gradient in zip(tokens.items(), gradients, strict=True):
        require(
            gradient is None or not gradient[~part.mask].any(),
            f"padding of {name} gets a gradient. Likely it is read before it is masked",
        )


def absence_is_finite(case: FusionCase) -> None:
    """Any sensor may fail, or all at once; a softmax over nothing is NaN, as is its gradient."""
    fusion, tokens = fused_tokens(case)
    trained = [parameter for parameter in fusion.parameters() if parameter.requires_grad]
    for missing in (*((name,) for name in tokens), tuple(tokens)):
        what = f"with {' and '.join(missing)} absent"
        fused = fusion(absent(tokens, *missing))
        finite = bool(torch.isfinite(read(fused)).all() and torch.isfinite(fused.weights).all())
        require(
            finite,
            f"not finite {what}. Likely a softmax over no real key; use masks.masked_softmax",
        )
        result = objective(fused)
        if result.requires_grad and trained:
            gradients = torch.autograd.grad(result, trained, allow_unused=True)
            require(
                all(g is None or bool(torch.isfinite(g).all()) for g in gradients),
                f"the gradient is not finite {what}. Likely NaN is replaced after a softmax over "
                "nothing; open or fill the row before it",
            )


MASK_CHECKS = (
    padding_values_do_not_matter,
    padding_length_does_not_matter,
    every_modality_matters,
    an_absent_modality_does_not_leak,
    padding_gets_no_gradient,
    absence_is_finite,
)
