"""Checks of a fusion's form: what it returns, and that nothing but its input decides it."""

import inspect
from itertools import combinations

import torch

from plait.masks import masked_sum
from plait.testing.checks import require, require_same
from plait.testing.fake import BATCH_SIZE, WIDTH
from plait.testing.fusion_case import FusionCase, absent, fused_tokens, read
from plait.types import MODALITIES, Fused, Tokens


def options_have_defaults(case: FusionCase) -> None:
    """A comparison builds every strategy as `(specs, width)` and tunes `hidden_dim` alone."""
    parameters = list(inspect.signature(case.kind).parameters.values())
    require(
        [p.name for p in parameters[:2]] == ["specs", "width"],
        "the constructor must begin with (specs, width)",
    )
    options = {p.name: p for p in parameters[2:]}
    wrong = [
        name
        for name, p in options.items()
        if p.kind is not p.KEYWORD_ONLY or (p.default is p.empty and name not in case.options)
    ]
    require(not wrong, f"options {', '.join(wrong)} must be keyword-only and have defaults")
    require("hidden_dim" in options, "the option hidden_dim, which sets the size, is missing")


def output_has_the_declared_form(case: FusionCase) -> None:
    """A head is built from `width` and `num_groups`; no two sizes here are alike."""
    fusion, tokens = fused_tokens(case)
    fused = fusion(tokens)
    require(isinstance(fused, Fused), f"forward returned {type(fused).__name__}, not Fused")
    count = len(fused.groups)
    require(
        count == fusion.num_groups,
        f"{count} groups, but num_groups is {fusion.num_groups}; set it in the constructor",
    )
    for index, group in enumerate(fused.groups):
        num_tokens = group.values.shape[1]
        found, expected = tuple(group.values.shape), (BATCH_SIZE, num_tokens, WIDTH)
        require(found == expected, f"group {index} has shape {found}, expected {expected}")
        is_mask = group.mask.dtype == torch.bool and group.mask.shape == expected[:2]
        require(is_mask, f"the mask of group {index} must be bool [batch, tokens]")
    weights_shape = tuple(fused.weights.shape)
    require(weights_shape == (BATCH_SIZE, count), f"weights have shape {weights_shape}")
    for name, loss in fused.losses.items():
        require(loss.ndim == 0 and torch.isfinite(loss), f"loss {name!r} must be a finite scalar")
        require(name != "action", "a loss named 'action' would replace the head's")
    for name, value in fused.diagnostics.items():
        require(len(value) == BATCH_SIZE, f"diagnostic {name!r} must have one entry a sample")
        require(not value.requires_grad, f"diagnostic {name!r} must be detached")


def weights_are_shares_of_what_is_present(case: FusionCase) -> None:
    """Predictions are added by these weights: a missing modality must lose its vote."""
    fusion, tokens = fused_tokens(case)
    for size in range(len(MODALITIES)):
        for missing in combinations(tokens, size):
            fused = fusion(absent(tokens, *missing))
            case_name = f"with {' and '.join(missing) or 'nothing'} absent"
            require(bool((fused.weights >= 0).all()), f"negative group weight {case_name}")
            is_real = torch.stack([g.mask.any(dim=1) for g in fused.groups], dim=1)
            shares = masked_sum(fused.weights, is_real, dim=1)
            require_same(
                shares,
                torch.ones_like(shares),
                f"the weights of groups with real tokens do not sum to 1 {case_name}. Likely a "
                "softmax without the mask, or an output mask that forgets a modality",
            )


def the_same_input_gives_the_same_output(case: FusionCase) -> None:
    """Randomness outside `nn.Dropout` would make a comparison depend on chance."""
    fusion, tokens = fused_tokens(case)
    first, second = read(fusion(tokens)), read(fusion(tokens))
    require(
        torch.equal(first, second),
        "two calls differ. Likely random numbers drawn in forward; use nn.Dropout, and state "
        "that does not change in forward",
    )


def inputs_are_left_alone(case: FusionCase) -> None:
    """The same tokens may be fed to several strategies."""
    fusion, tokens = fused_tokens(case)
    copies = {name: Tokens(p.values.clone(), p.mask.clone()) for name, p in tokens.items()}
    fusion(tokens)
    for name, part in tokens.items():
        same = torch.equal(part.values, copies[name].values)
        require(
            same and torch.equal(part.mask, copies[name].mask),
            f"the {name} tokens were changed. Likely an in-place operation (+=, masked_fill_)",
        )


def order_of_modalities_does_not_matter(case: FusionCase) -> None:
    """Tokens are told apart by name; a dictionary's order is an accident."""
    fusion, tokens = fused_tokens(case)
    turned = dict(reversed(tokens.items()))
    require_same(
        read(fusion(turned)),
        read(fusion(tokens)),
        "another order of the dictionary changes the result. Likely a loop over tokens.values(); "
        "loop over the names the fusion was built with",
    )


def samples_are_independent(case: FusionCase) -> None:
    """A robot acts on a batch of one; training sees a hundred and twenty-eight."""
    fusion, tokens = fused_tokens(case)
    expected = read(fusion(tokens))
    message = "Likely statistics over the batch (BatchNorm, a mean without dim)"
    others = {
        name: part.with_values(torch.cat([part.values[:1], part.values[1:] * -3 + 1]))
        for name, part in tokens.items()
    }
    require_same(read(fusion(others))[0], expected[0], f"other samples change this one. {message}")
    for row in range(BATCH_SIZE):
        one = {n: Tokens(p.values[row : row + 1], p.mask[row : row + 1]) for n, p in tokens.items()}
        require_same(
            read(fusion(one))[0], expected[row], f"alone, sample {row} is another. {message}"
        )


def batch_order_only_permutes(case: FusionCase) -> None:
    """The result of a sample must not depend on its place in the batch."""
    fusion, tokens = fused_tokens(case)
    order = torch.roll(torch.arange(BATCH_SIZE), 1)
    shuffled = {name: Tokens(p.values[order], p.mask[order]) for name, p in tokens.items()}
    require_same(
        read(fusion(shuffled)),
        read(fusion(tokens))[order],
        "permuting the batch does not permute the result. Likely batch and token or view axes "
        "mixed up in a reshape",
    )


def hidden_dim_changes_only_the_size(case: FusionCase) -> None:
    """A comparison matches parameter counts by `hidden_dim`: more of it is more of the same."""
    _, tokens = fused_tokens(case)
    fusions = [case.build(hidden_dim=size) for size in (8, 16, 24)]
    counts = [sum(p.numel() for p in fusion.parameters()) for fusion in fusions]
    require(
        counts[0] < counts[1] < counts[2] and counts[2] - counts[1] == counts[1] - counts[0],
        f"hidden_dim 8, 16, 24 give {counts} parameters; they must grow linearly",
    )
    names = [[name for name, _ in fusion.named_parameters()] for fusion in fusions]
    require(names[0] == names[2], "hidden_dim changes which layers there are, not only their size")
    shapes = [[g.values.shape for g in fusion(tokens).groups] for fusion in fusions]
    require(shapes[0] == shapes[2], "hidden_dim changes the shape of the result")


FORM_CHECKS = (
    options_have_defaults,
    output_has_the_declared_form,
    weights_are_shares_of_what_is_present,
    the_same_input_gives_the_same_output,
    inputs_are_left_alone,
    order_of_modalities_does_not_matter,
    samples_are_independent,
    batch_order_only_permutes,
    hidden_dim_changes_only_the_size,
)
