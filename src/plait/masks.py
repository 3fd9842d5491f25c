"""The only place where values are reduced under a mask.

Every mask is True where the value is real. Reductions here ignore what is masked altogether:
padding values and padding length never matter, masked positions get exactly zero gradient, and a
row with nothing real reduces to zero rather than NaN.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def masked_fill(
    values: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"]
) -> Float[Tensor, "*axes"]:
    """Replace what is not real by zero, in the values and in their gradient.

    `where` rather than a product: zero times NaN or infinity is NaN.
    """
    return torch.where(mask, values, torch.zeros((), dtype=values.dtype, device=values.device))


def is_all_real(mask: Bool[Tensor, "*axes"]) -> bool:
    """Say whether nothing is masked, where asking is cheap; what it allows must be a shortcut only.

    A GPU would have to be waited for, and a compiled graph cannot branch on data.
    """
    return mask.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all())


def masked_sum(
    values: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"], dim: int
) -> Float[Tensor, "*reduced"]:
    """Sum the real values along `dim`; zero where nothing is real."""
    return masked_fill(values, mask).sum(dim)


def masked_mean(
    values: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"], dim: int
) -> Float[Tensor, "*reduced"]:
    """Average the real values along `dim`; zero where nothing is real."""
    count = mask.sum(dim).clamp(min=1).to(values.dtype)
    return masked_sum(values, mask, dim) / count


def masked_mean_all(
    values: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"]
) -> Float[Tensor, ""]:
    """Average every real value of a tensor; zero where nothing is real."""
    return masked_fill(values, mask).sum() / mask.sum().clamp(min=1).to(values.dtype)


def pooled_mean(
    values: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Average the real tokens of every sample: the pooled embedding; zero where there are none."""
    return masked_mean(values, mask.unsqueeze(-1).expand_as(values), dim=1)


def pooled_root_sum(
    values: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Add up the real tokens and divide by √count: a mean would whisper, a sum grow with length."""
    summed = masked_sum(values, mask.unsqueeze(-1).expand_as(values), dim=1)
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return summed / count.sqrt().to(summed.dtype)


def masked_max(
    values: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch width"]:
    """Take the largest real value of every channel; zero where there is no token."""
    filled = values.masked_fill(~mask.unsqueeze(-1), torch.finfo(values.dtype).min)
    return masked_fill(
        filled.amax(dim=1), mask.any(dim=1, keepdim=True).expand(-1, values.shape[-1])
    )


def masked_softmax(
    logits: Float[Tensor, "*axes"], mask: Bool[Tensor, "*axes"], dim: int = -1
) -> Float[Tensor, "*axes"]:
    """Softmax over the real positions along `dim`; all zero where nothing is real.

    A row with nothing real would be `softmax([-inf, ...]) = NaN`; here its weights are zero, and
    so is its gradient.
    """
    filled = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
    return masked_fill(torch.softmax(filled, dim=dim), mask)


def masked_log_mixture(
    log_likelihoods: Float[Tensor, "batch components *axes"],
    weights: Float[Tensor, "batch components"],
) -> Float[Tensor, "batch *axes"]:
    """Return log Σ_k w_k p_k; a component of weight zero has no value and no gradient.

    The weights need not sum to 1. Where all are zero they count as equal, so that the result
    stays finite.
    """
    is_real = weights > 0
    is_real = is_real | ~is_real.any(dim=1, keepdim=True)
    logs = torch.where(weights > 0, weights, torch.ones_like(weights)).log()
    extra_axes = (1,) * (log_likelihoods.ndim - 2)
    joint = log_likelihoods + logs.view(*logs.shape, *extra_axes)
    mask = is_real.view(*is_real.shape, *extra_axes).expand_as(joint)
    return torch.logsumexp(joint.masked_fill(~mask, torch.finfo(joint.dtype).min), dim=1)


def lengths_to_mask(lengths: Int[Tensor, " batch"], size: int) -> Bool[Tensor, "batch size"]:
    """Turn lengths into a mask that is True for the first `length` positions."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(-1)


def attention_mask(
    query_mask: Bool[Tensor, "batch query"], key_mask: Bool[Tensor, "batch key"]
) -> Bool[Tensor, "batch query key"]:
    """True where a real query may attend to a real key."""
    return query_mask.unsqueeze(-1) & key_mask.unsqueeze(-2)
