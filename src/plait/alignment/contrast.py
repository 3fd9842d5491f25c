"""Softmax contrast of many pairs of modalities in memory that grows with the batch, not its square.

Written plainly, six directions of InfoNCE over a batch of B make six B×B matrices of logits and
keep them, with as many softmaxes, for the backward pass. Here every pair has one matrix, since the
rows of one direction are the columns of the other; it is made in tiles, of which a few are kept
and the others made again; and one exponential serves both directions. The gradient is computed
together with the loss, so that nothing but a tensor of the inputs' shape waits for `backward`.

Across processes each holds its own rows against everyone's columns (as OpenCLIP's `local_loss`):
only the embeddings, the sums of the columns, and the gradients of the columns travel.

References: van den Oord et al., 2018 (InfoNCE); Cheng et al., 2024 (Inf-CL: tiles and recomputed
logits); Milakov & Gimelshein, 2018 (online softmax).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch import distributed as dist

from plait.alignment.pairs import BF16, PRECISIONS, Cut, Job, Pair, Tiling
from plait.alignment.products import matmul_precision
from plait.alignment.tiles import Problem, Workspace
from plait.errors import OptionError, PlaitError, ShapeError

__all__ = ["BF16", "PRECISIONS", "Contrast", "Pair", "Tiling", "contrast"]


@dataclass(frozen=True)
class Contrast:
    """What `contrast` returns.

    Attributes:
        total: Weighted mean over the pairs of the mean of both directions; differentiable.
        terms: Per pair, the loss of first → second and of second → first; not differentiable.
        counts: Per pair, how many samples of all processes have both modalities. Always on the
            CPU, where it is read.
    """

    total: Float[Tensor, ""]
    terms: Float[Tensor, "pairs 2"]
    counts: Int[Tensor, " pairs"]


def contrast(
    embeddings: Sequence[Float[Tensor, "batch width"]],
    pairs: Sequence[Pair],
    scales: Sequence[Float[Tensor, ""]],
    *,
    tiling: Tiling | None = None,
    group: dist.ProcessGroup | None = None,
) -> Contrast:
    """Contrast the samples of a batch, each modality of a pair against the other, both ways.

    For a pair (x, y) with scale s, over the samples that have both:

        L(x → y) = mean_i [ log Σ_j exp(s·x_i·y_j) − s·x_i·y_i ]

    where j runs over i itself and all samples of other groups. The total is
    `Σ_p w_p · ½ (L(x → y) + L(y → x)) / Σ_p w_p` over the pairs that have any sample. A pair with
    one sample, or with one group, has no negatives; its loss and gradient are zero.

    Args:
        embeddings: One tensor a modality, all of the same shape, on one device.
        pairs: Which are contrasted.
        scales: Inverse temperature of every pair.
        tiling: How the work is cut.
        group: Processes that hold one part each of the batch, all of the same size. The mean of
            their totals is the loss of the whole batch, and so is the mean of their gradients,
            which is what data-parallel training takes.

    Raises:
        ShapeError: If the embeddings differ in shape.
        PlaitError: If an embedding that is present, or a scale, is not finite.
        OptionError: If no pair has a weight above zero.
    """
    _check(embeddings, pairs, scales)
    wide = [values.to(torch.promote_types(values.dtype, torch.float32)) for values in embeddings]
    is_finite = _is_finite(wide, scales)
    if not is_finite:
        _refuse_if_used(wide, pairs, scales)
    cut = Cut.of(tiling or Tiling(), wide[0])
    job = Job(tuple(pairs), cut, group, has_absent_nan=not is_finite)
    total, terms, counts = _Contrast.apply(job, len(wide), *wide, *scales)
    return Contrast(total, terms, counts)


def _check(embeddings: Sequence[Tensor], pairs: Sequence[Pair], scales: Sequence[Tensor]) -> None:
    if not pairs or not any(pair.weight > 0 for pair in pairs):
        raise OptionError("no pair has a weight above 0, so there is nothing to align")
    if len(scales) != len(pairs):
        raise OptionError(f"{len(scales)} scales for {len(pairs)} pairs; expected one each")
    shape = tuple(embeddings[0].shape)
    for index, values in enumerate(embeddings):
        if tuple(values.shape) != shape:
            raise ShapeError(f"embedding {index}", tuple(values.shape), shape)


def _is_finite(embeddings: Sequence[Tensor], scales: Sequence[Tensor]) -> bool:
    """Look at everything at once: a GPU is waited for once, and a sum needs no copy."""
    sums = [values.detach().sum() for values in embeddings]
    sums += [scale.detach().to(sums[0]) for scale in scales]
    return bool(torch.isfinite(torch.stack(sums)).all())


def _refuse_if_used(
    embeddings: Sequence[Tensor], pairs: Sequence[Pair], scales: Sequence[Tensor]
) -> None:
    """Say what is not finite, unless it is of samples that are absent from every pair."""
    if not all(math.isfinite(float(scale.detach())) for scale in scales):
        raise PlaitError("a logit scale is not finite; bound it, or lower the learning rate")
    for index, values in enumerate(embeddings):
        used = [pair.present for pair in pairs if index in (pair.first, pair.second)]
        _refuse_if_present(index, values.detach(), used)


def _refuse_if_present(
    index: int, values: Tensor, used: Sequence[Bool[Tensor, " batch"] | None]
) -> None:
    """Refuse NaN in samples that are present; what is missing may hold anything."""
    bad = ~torch.isfinite(values).all(dim=1)
    for present in used:
        count = int((bad if present is None else bad & present).sum())
        if count:
            raise PlaitError(
                f"embedding {index} is not finite in {count} of {len(values)} samples; "
                "lower the learning rate, or look for NaN in the data"
            )


class _Contrast(torch.autograd.Function):
    """Loss and gradient in one go; `backward` only multiplies by what comes from above."""

    @staticmethod
    def forward(
        ctx: Any, job: Job, num_modalities: int, *tensors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = [values.detach() for values in tensors[:num_modalities]]
        if job.has_absent_nan:
            embeddings = [_zero_where_not_finite(values) for values in embeddings]
        scales = tensors[num_modalities:]
        wants = any(ctx.needs_input_grad)
        grads = [torch.zeros_like(values) if wants else None for values in embeddings]
        slopes = [torch.zeros_like(scale) for scale in scales]
        counts = job.counts(embeddings[0])
        weights = [p.weight if n else 0.0 for p, n in zip(job.pairs, counts, strict=True)]
        total = embeddings[0].new_zeros(())
        terms = embeddings[0].new_zeros(len(job.pairs), 2)
        workspace = Workspace(embeddings[0], job, keeps=wants)
        device = total.device.type
        with torch.autocast(device, enabled=False), matmul_precision(job.cut.precision):
            for index, weight in enumerate(weights):
                if weight:
                    problem = Problem.of(job, index, counts[index], embeddings, scales[index])
                    share = weight / sum(weights)
                    terms[index], slope = problem.solve(share, grads, workspace)
                    total += share * terms[index].mean()
                    slopes[index].copy_(slope)
        if wants:
            ctx.save_for_backward(*grads, *slopes)
        host_counts = torch.tensor(counts)
        ctx.mark_non_differentiable(terms, host_counts)
        return total, terms, host_counts

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        factor = upstream[0]
        gradients = ctx.saved_tensors
        # Usually one: then the gradients need not be touched again. A GPU multiplies sooner than
        # it answers.
        if factor.device.type != "cpu" or float(factor) != 1.0:
            gradients = [values * factor.to(values) for values in gradients]
        return None, None, *gradients


def _zero_where_not_finite(values: Tensor) -> Tensor:
    """Rows that hold NaN are absent (others were refused) and must not spread it."""
    return torch.where(torch.isfinite(values).all(dim=1, keepdim=True), values, 0.0)
