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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch import distributed as dist

from plait.alignment.products import matmul_precision, spans
from plait.errors import OptionError, PlaitError, ShapeError

PRECISIONS = ("highest", "high", "medium")
# exp(64) times a sum over a hundred thousand samples is far from the end of float32.
HEADROOM = 64.0
# A sum of exponentials below this has lost digits: the exact way is taken instead.
SMALLEST_SUM = 1e-30


@dataclass(frozen=True)
class Pair:
    """Two modalities that are contrasted, by their place in the list of embeddings.

    Attributes:
        first: Whose samples are the rows.
        second: Whose samples are the columns.
        weight: Of this pair in the total.
        groups: Samples of the same group are no negatives of one another: they tell us nothing
            when both were given the same instruction. None where all others are negatives.
        present: False where a sample lacks one of the two; it then is neither positive nor
            negative. None where nothing is missing.
    """

    first: int
    second: int
    weight: float = 1.0
    groups: Int[Tensor, " batch"] | None = None
    present: Bool[Tensor, " batch"] | None = None


@dataclass(frozen=True)
class Tiling:
    """How the work is cut.

    Attributes:
        rows: Rows of a tile.
        columns: Columns of a tile.
        kept_bytes: How much of one pair's exponentials is kept; what does not fit is made twice.
        precision: Of the products, as `torch.set_float32_matmul_precision` has it. Below `highest`
            a processor may multiply in bfloat16 or TF32; sums are always float32.

    Raises:
        OptionError: If a size is below one, or there is no such precision.
    """

    rows: int = 512
    columns: int = 1024
    kept_bytes: int = 48 * 2**20
    precision: str = "highest"

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise OptionError(f"a tile of {self.rows}×{self.columns} holds nothing")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise OptionError(f"precision must be one of {known}, but is {self.precision!r}")


@dataclass(frozen=True)
class Contrast:
    """What `contrast` returns.

    Attributes:
        total: Weighted mean over the pairs of the mean of both directions; differentiable.
        terms: Per pair, the loss of first → second and of second → first; not differentiable.
        counts: Per pair, how many samples of all processes have both modalities.
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
        embeddings: One tensor a modality, all of the same shape.
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
    job = _Job(tuple(pairs), tiling or Tiling(), group)
    total, terms, counts = _Contrast.apply(job, len(embeddings), *embeddings, *scales)
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
    if not bool(torch.isfinite(torch.stack([scale.detach() for scale in scales])).all()):
        raise PlaitError("a logit scale is not finite; bound it, or lower the learning rate")
    for index, values in enumerate(embeddings):
        used = [pair.present for pair in pairs if index in (pair.first, pair.second)]
        # One sum finds NaN and infinity anywhere, and needs no copy.
        if used and not bool(torch.isfinite(values.detach().sum())):
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


@dataclass(frozen=True)
class _Job:
    """What is no tensor of the graph."""

    pairs: tuple[Pair, ...]
    tiling: Tiling
    group: dist.ProcessGroup | None

    @property
    def world(self) -> int:
        return 1 if self.group is None else dist.get_world_size(self.group)

    @property
    def rank(self) -> int:
        return 0 if self.group is None else dist.get_rank(self.group)

    def gather(self, local: Tensor) -> Tensor:
        """Put the parts of all processes one after another."""
        if self.group is None:
            return local
        parts = [torch.empty_like(local) for _ in range(self.world)]
        dist.all_gather(parts, local.contiguous(), group=self.group)
        return torch.cat(parts)

    def add_up(self, values: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        if self.group is not None:
            dist.all_reduce(values, group=self.group)
        return values


class _Contrast(torch.autograd.Function):
    """Loss and gradient in one go; `backward` only multiplies by what comes from above."""

    @staticmethod
    def forward(
        ctx: Any, job: _Job, num_modalities: int, *tensors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = [_zero_where_absent(values) for values in tensors[:num_modalities]]
        scales = tensors[num_modalities:]
        wants = any(ctx.needs_input_grad)
        grads = [torch.zeros_like(values) if wants else None for values in embeddings]
        slopes = [torch.zeros_like(scale) for scale in scales]
        problems = [
            _Problem.of(job, pair, embeddings[pair.first], embeddings[pair.second], float(scale))
            for pair, scale in zip(job.pairs, scales, strict=True)
        ]
        all_weights = sum(p.pair.weight for p in problems if p.count) or 1.0
        total = embeddings[0].new_zeros(())
        terms = embeddings[0].new_zeros(len(problems), 2)
        with matmul_precision(job.tiling.precision):
            for index, problem in enumerate(problems):
                share = problem.pair.weight / all_weights if problem.count else 0.0
                if share:
                    terms[index], slope = problem.solve(share, grads)
                    total += share * terms[index].mean()
                    slopes[index].fill_(slope)
        if wants:
            ctx.save_for_backward(*grads, *slopes)
        counts = torch.tensor([problem.count for problem in problems])
        ctx.mark_non_differentiable(terms, counts)
        return total, terms, counts

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        # Usually one: then the gradients need not be touched again.
        factor = upstream[0]
        gradients = ctx.saved_tensors
        if float(factor) != 1.0:
            gradients = [values * factor.to(values.dtype) for values in gradients]
        return None, None, *gradients


def _zero_where_absent(values: Tensor) -> Tensor:
    """Detach; rows that hold NaN are absent (others were refused) and must not spread it."""
    values = values.detach()
    if bool(torch.isfinite(values.sum())):
        return values
    return torch.where(torch.isfinite(values).all(dim=1, keepdim=True), values, 0.0)


@dataclass(frozen=True)
class _Problem:
    """One pair: the rows of this process against the columns of all.

    Attributes:
        a: Embeddings of the rows.
        b: Embeddings of the columns.
        bound: No logit is larger.
        offset: Column of the first row's own partner.
        column_present: Which columns take part; None where all do.
        column_groups: Groups of the columns, where those matter.
        count: Samples of all processes that take part.
    """

    job: _Job
    pair: Pair
    a: Tensor
    b: Tensor
    scale: float
    bound: float
    offset: int
    column_present: Tensor | None
    column_groups: Tensor | None
    count: int

    @classmethod
    def of(cls, job: _Job, pair: Pair, first: Tensor, second: Tensor, scale: float) -> "_Problem":
        b = job.gather(second)
        longest = job.gather(first.norm(dim=1).amax(dim=0, keepdim=True)).amax()
        bound = float(longest * b.norm(dim=1).amax()) * abs(scale)
        present = None if pair.present is None else job.gather(pair.present)
        groups = None if pair.groups is None else job.gather(pair.groups)
        count = len(b) if present is None else int(present.sum())
        offset = job.rank * len(first)
        return cls(job, pair, first, b, scale, bound, offset, present, groups, count)

    def solve(self, share: float, grads: Sequence[Tensor | None]) -> tuple[Tensor, float]:
        """Return both losses and the slope along the scale; add to the embeddings' gradients."""
        shift = max(self.bound - HEADROOM, 0.0)
        tiles = _Tiles(self, shift)
        row_sums, column_sums = tiles.sums()
        self.job.add_up(column_sums)
        present = self.pair.present
        if _is_too_small(row_sums, present) or _is_too_small(column_sums, self.column_present):
            return self._solve_exactly(share, grads)
        losses = self._losses(row_sums.log() + shift, column_sums.log() + shift)
        if grads[0] is None:
            return losses, 0.0
        weight = self._weight(share)
        row_factor = _where(present, weight / row_sums)
        column_factor = _where(self.column_present, weight / column_sums)
        gradient = _Gradient(self, weight, grads)
        for i, j, tile in tiles.again():
            gradient.add(i, j, tile.mul_(row_factor[i, None] + column_factor[None, j]))
        return losses, gradient.finish()

    def _solve_exactly(self, share: float, grads: Sequence[Tensor | None]) -> tuple[Tensor, float]:
        """Do the same for logits so far apart that one shift cannot serve all."""
        rows = self.a.new_zeros(len(self.a))
        columns = self.b.new_full((len(self.b),), float("-inf"))
        for i, logits in self._stripes():
            rows[i] = logits.logsumexp(dim=1)
            columns = torch.logaddexp(columns, logits.logsumexp(dim=0))
        columns = self.job.gather(columns[None]).logsumexp(dim=0)
        losses = self._losses(rows, columns)
        if grads[0] is None:
            return losses, 0.0
        gradient = _Gradient(self, self._weight(share), grads)
        for i, logits in self._stripes():
            slope = (logits - rows[i, None]).exp_() + (logits - columns).exp_()
            # Absent rows and columns: minus infinity less minus infinity.
            slope = slope.nan_to_num_(0.0, 0.0, 0.0).mul_(gradient.weight)
            gradient.add(i, slice(0, len(self.b)), slope)
        return losses, gradient.finish()

    def _stripes(self) -> Iterator[tuple[slice, Tensor]]:
        for i in spans(len(self.a), self.job.tiling.rows):
            logits = self.a[i] @ self.b.T * self.scale
            self.hide(i, slice(0, len(self.b)), logits, float("-inf"))
            yield i, logits

    def _weight(self, share: float) -> float:
        """Return the weight of one sample's loss in one direction."""
        return share * self.job.world / (2 * self.count)

    def _losses(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return this process's part of both losses, from the logarithms of the sums."""
        own = slice(self.offset, self.offset + len(self.a))
        positives = torch.einsum("nd,nd->n", self.a, self.b[own]) * self.scale
        parts = [_where(self.pair.present, sums - positives) for sums in (rows, columns[own])]
        return torch.stack([part.sum() for part in parts]) * (self.job.world / self.count)

    def hide(self, i: slice, j: slice, tile: Tensor, value: float) -> None:
        """Overwrite what is no logit: absent columns and rows, and negatives of the same group."""
        if self.column_groups is not None:
            own = self.column_groups[self.offset + i.start : self.offset + i.stop]
            same = own[:, None] == self.column_groups[None, j]
            _positives(self.offset + i.start, j, same).fill_(value=False)
            tile.masked_fill_(same, value)
        if self.pair.present is not None and self.column_present is not None:
            tile.masked_fill_(~self.column_present[None, j], value)
            tile.masked_fill_(~self.pair.present[i, None], value)


def _where(present: Tensor | None, values: Tensor) -> Tensor:
    return values if present is None else torch.where(present, values, 0.0)


def _is_too_small(sums: Tensor, present: Tensor | None) -> bool:
    return bool(((sums if present is None else sums[present]) < SMALLEST_SUM).any())


def _positives(first_row: int, j: slice, tile: Tensor) -> Tensor:
    """Return the view of a tile's entries whose row and column are the same sample."""
    offset = first_row - j.start
    meets = -tile.shape[0] < offset < tile.shape[1]
    return tile.diagonal(offset) if meets else tile.diagonal()[:0]


class _Tiles:
    """The exponentials of one pair, tile by tile; the first ones are kept, as far as room goes."""

    def __init__(self, problem: _Problem, shift: float) -> None:
        self.problem, self.shift = problem, problem.a.new_tensor(-shift)
        tiling = problem.job.tiling
        self.rows = min(tiling.rows, len(problem.a))
        self.columns = min(tiling.columns, len(problem.b))
        self.room = tiling.kept_bytes // problem.a.element_size()
        self.kept: list[Tensor] = []
        self.buffer = problem.a.new_empty(self.rows * self.columns)

    def _places(self) -> Iterator[tuple[slice, slice]]:
        for i in spans(len(self.problem.a), self.rows):
            for j in spans(len(self.problem.b), self.columns):
                yield i, j

    def _fill(self, i: slice, j: slice, out: Tensor) -> Tensor:
        problem, height, width = self.problem, i.stop - i.start, j.stop - j.start
        tile = out[: height * width].view(height, width)
        torch.addmm(self.shift, problem.a[i], problem.b[j].T, alpha=problem.scale, out=tile)
        tile.exp_()
        problem.hide(i, j, tile, 0.0)
        return tile

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the sums of every row and of every column."""
        rows = self.problem.a.new_zeros(len(self.problem.a))
        columns = self.problem.b.new_zeros(len(self.problem.b))
        for i, j in self._places():
            size = (i.stop - i.start) * (j.stop - j.start)
            is_kept = size <= self.room
            tile = self._fill(i, j, self.problem.a.new_empty(size) if is_kept else self.buffer)
            if is_kept:
                self.room -= size
                self.kept.append(tile)
            else:
                # From here on none: those that are kept come first.
                self.room = 0
            rows[i] += tile.sum(dim=1)
            columns[j] += tile.sum(dim=0)
        return rows, columns

    def again(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Go over the same tiles again; the caller may spoil them."""
        for index, (i, j) in enumerate(self._places()):
            tile = self.kept[index] if index < len(self.kept) else self._fill(i, j, self.buffer)
            yield i, j, tile


class _Gradient:
    """Adds to the gradients what the derivative by the logits of one pair says, tile by tile."""

    def __init__(self, problem: _Problem, weight: float, grads: Sequence[Tensor | None]) -> None:
        first, second = grads[problem.pair.first], grads[problem.pair.second]
        assert first is not None
        assert second is not None
        self.problem, self.weight = problem, weight
        self.first, self.second = first, second
        self.columns = second if problem.job.group is None else torch.zeros_like(problem.b)
        self.stripe, self.of_stripe = slice(0, 0), first[:0]
        self.slope = 0.0

    def add(self, i: slice, j: slice, slope: Tensor) -> None:
        """Add one tile: the derivative by its logits, but for the positives."""
        problem = self.problem
        positives = _positives(problem.offset + i.start, j, slope)
        if len(positives):
            start = max(j.start - problem.offset, i.start)
            pull = self.a_positive(slice(start, start + len(positives)))
            positives -= pull
        if i != self.stripe:
            self._close_stripe()
            self.stripe, self.of_stripe = i, torch.zeros_like(problem.a[i])
        self.of_stripe.addmm_(slope, problem.b[j])
        self.columns[j].addmm_(slope.T, problem.a[i], alpha=problem.scale)

    def a_positive(self, rows: slice) -> Tensor | float:
        """Return the derivative by the positives' logits of some rows."""
        present = self.problem.pair.present
        if present is None:
            return 2 * self.weight
        return 2 * self.weight * present[rows].to(self.first.dtype)

    def _close_stripe(self) -> None:
        self.slope += float(torch.vdot(self.of_stripe.ravel(), self.problem.a[self.stripe].ravel()))
        self.first[self.stripe].add_(self.of_stripe, alpha=self.problem.scale)

    def finish(self) -> float:
        """Return the derivative by the scale."""
        self._close_stripe()
        if self.columns is not self.second:
            own = slice(self.problem.offset, self.problem.offset + len(self.problem.a))
            self.second.add_(self.problem.job.add_up(self.columns)[own])
        return self.slope
