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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch import distributed as dist

from plait.alignment.products import fastest_exact, matmul_precision, spans
from plait.errors import OptionError, PlaitError, ShapeError

AUTO, BF16 = "auto", "bf16"
PRECISIONS = (AUTO, "highest", "high", "medium", BF16)
# Rows, columns and kept bytes. A core's cache holds a tile and its operands; a GPU needs large
# products to be busy, and has memory to spare.
CPU_TILES = (512, 512, 32 * 2**20)
GPU_TILES = (4096, 4096, 512 * 2**20)
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

    What is None is chosen by the device: small tiles on a processor, large ones on a GPU.

    Precisions of the products; sums, of whatever, are float32 or better in all of them:

    - `auto`: the fastest that keeps float32's accuracy. On a processor that is `medium` where a
      trial finds it exact, else `highest`; on a GPU it is `highest`.
    - `highest`, `high`, `medium`: as `torch.set_float32_matmul_precision` has them. `medium` is
      bfloat16 on processors with AMX, and float32 by another library, often a faster one, on those
      without. On a GPU `high` and `medium` are TF32.
    - `bf16`: the products of the gradient, two of three, take bfloat16 operands on every device,
      and what is kept is kept in bfloat16. Logits stay float32 (TF32 on a GPU): rounded, a scale
      of 100 would make of them any gradient at all. Worth it where bfloat16 is much faster than
      float32, as with AVX512-BF16 or AMX.

    Attributes:
        rows: Rows of a tile.
        columns: Columns of a tile.
        kept_bytes: How much of one pair's exponentials is kept; what does not fit is made twice.
        precision: Of the products, as above.

    Raises:
        OptionError: If a size is below one, or there is no such precision.
    """

    rows: int | None = None
    columns: int | None = None
    kept_bytes: int | None = None
    precision: str = AUTO

    def __post_init__(self) -> None:
        sizes = [size for size in (self.rows, self.columns) if size is not None]
        if any(size < 1 for size in sizes):
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
    cut = _Cut.of(tiling or Tiling(), wide[0])
    job = _Job(tuple(pairs), cut, group, has_absent_nan=not is_finite)
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


@dataclass(frozen=True)
class _Cut:
    """A `Tiling` of which nothing is left open.

    Attributes:
        precision: One that PyTorch knows.
        gradient_dtype: Of the operands of the gradient's products; None for the embeddings' own.
    """

    rows: int
    columns: int
    kept_bytes: int
    precision: str
    gradient_dtype: torch.dtype | None

    @classmethod
    def of(cls, tiling: Tiling, like: Tensor) -> "_Cut":
        is_cpu = like.device.type == "cpu"
        rows, columns, kept_bytes = CPU_TILES if is_cpu else GPU_TILES
        precision = tiling.precision
        if precision == AUTO or (precision == BF16 and is_cpu):
            precision = fastest_exact(like.device, like.shape[1])
        elif precision == BF16:
            precision = "high"
        return cls(
            rows if tiling.rows is None else tiling.rows,
            columns if tiling.columns is None else tiling.columns,
            kept_bytes if tiling.kept_bytes is None else tiling.kept_bytes,
            precision,
            torch.bfloat16 if tiling.precision == BF16 else None,
        )


@dataclass(frozen=True)
class _Job:
    """What is no tensor of the graph.

    Attributes:
        has_absent_nan: Whether something that is absent from all pairs is not finite.
    """

    pairs: tuple[Pair, ...]
    cut: _Cut
    group: dist.ProcessGroup | None
    has_absent_nan: bool

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

    def counts(self, like: Tensor) -> list[int]:
        """Return how many samples of all processes take part in each pair."""
        everyone = torch.full((), len(like), device=like.device)
        local = [everyone if p.present is None else p.present.sum() for p in self.pairs]
        # Read together: a GPU is waited for once, not once a pair.
        return self.add_up(torch.stack(local)).tolist()


class _Contrast(torch.autograd.Function):
    """Loss and gradient in one go; `backward` only multiplies by what comes from above."""

    @staticmethod
    def forward(
        ctx: Any, job: _Job, num_modalities: int, *tensors: Tensor
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
        workspace = _Workspace(embeddings[0], job, keeps=wants)
        device = total.device.type
        with torch.autocast(device, enabled=False), matmul_precision(job.cut.precision):
            for index, weight in enumerate(weights):
                if weight:
                    problem = _Problem.of(job, index, counts[index], embeddings, scales[index])
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


@dataclass(frozen=True)
class _Problem:
    """One pair: the rows of this process against the columns of all.

    Attributes:
        a: Embeddings of the rows.
        b: Embeddings of the columns.
        scale: Inverse temperature, where the embeddings are.
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
    scale: Tensor
    bound: Tensor
    offset: int
    column_present: Tensor | None
    column_groups: Tensor | None
    count: int

    @classmethod
    def of(
        cls, job: _Job, index: int, count: int, embeddings: Sequence[Tensor], scale: Tensor
    ) -> "_Problem":
        pair = job.pairs[index]
        a, b = embeddings[pair.first], job.gather(embeddings[pair.second])
        # On the device: to read a number of a GPU is to wait until all before it is done.
        scale = scale.detach().to(a)
        longest = job.gather(a.norm(dim=1).amax(dim=0, keepdim=True)).amax()
        bound = longest * b.norm(dim=1).amax() * scale.abs()
        present = None if pair.present is None else job.gather(pair.present)
        groups = None if pair.groups is None else job.gather(pair.groups)
        return cls(job, pair, a, b, scale, bound, job.rank * len(a), present, groups, count)

    def solve(
        self, share: float, grads: Sequence[Tensor | None], workspace: "_Workspace"
    ) -> tuple[Tensor, Tensor]:
        """Return both losses and the slope along the scale; add to the embeddings' gradients."""
        shift = (self.bound - HEADROOM).clamp(min=0.0)
        tiles = _Tiles(self, shift, workspace)
        row_sums, column_sums = tiles.sums()
        self.job.add_up(column_sums)
        if self._has_too_small(row_sums, column_sums):
            return self._solve_exactly(share, grads)
        losses = self._losses(row_sums.log() + shift, column_sums.log() + shift)
        if grads[0] is None:
            return losses, torch.zeros_like(self.scale)
        weight = self._weight(share)
        row_factor = _where(self.pair.present, weight / row_sums)
        column_factor = _where(self.column_present, weight / column_sums)
        gradient = _Gradient(self, weight, grads)
        for i, j, tile in tiles.again():
            factor = workspace.factor(tile)
            torch.add(row_factor[i, None], column_factor[None, j], out=factor)
            gradient.add(i, j, tile.mul_(factor))
        return losses, gradient.finish()

    def _has_too_small(self, row_sums: Tensor, column_sums: Tensor) -> bool:
        """Say whether any process has a sum that lost digits; all must go the same way."""
        lost = row_sums < SMALLEST_SUM, column_sums < SMALLEST_SUM
        if self.pair.present is not None and self.column_present is not None:
            lost = lost[0] & self.pair.present, lost[1] & self.column_present
        return bool(self.job.add_up(lost[0].sum() + lost[1].sum()))

    def _solve_exactly(self, share: float, grads: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Do the same for logits so far apart that one shift cannot serve all."""
        rows = self.a.new_zeros(len(self.a))
        columns = self.b.new_full((len(self.b),), float("-inf"))
        for i, logits in self._stripes():
            rows[i] = logits.logsumexp(dim=1)
            columns = torch.logaddexp(columns, logits.logsumexp(dim=0))
        columns = self.job.gather(columns[None]).logsumexp(dim=0)
        losses = self._losses(rows, columns)
        if grads[0] is None:
            return losses, torch.zeros_like(self.scale)
        gradient = _Gradient(self, self._weight(share), grads)
        for i, logits in self._stripes():
            slope = (logits - rows[i, None]).exp_() + (logits - columns).exp_()
            # Absent rows and columns: minus infinity less minus infinity.
            slope = slope.nan_to_num_(0.0, 0.0, 0.0).mul_(gradient.weight)
            gradient.add(i, slice(0, len(self.b)), slope)
        return losses, gradient.finish()

    def scaled(self, i: slice) -> Tensor:
        """Return some rows times the scale: their products are logits."""
        return self.a[i] * self.scale

    def _stripes(self) -> Iterator[tuple[slice, Tensor]]:
        for i in spans(len(self.a), self.job.cut.rows):
            logits = self.scaled(i) @ self.b.T
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

    def paired(self, i: slice, j: slice) -> slice:
        """Return which of the rows `i` have their own partner among the columns `j`."""
        start = max(i.start, j.start - self.offset)
        return slice(start, max(start, min(i.stop, j.stop - self.offset)))

    def positives(self, i: slice, j: slice, tile: Tensor) -> Tensor:
        """Return the view of a tile's entries whose row and column are the same sample."""
        rows = self.paired(i, j)
        count, column = rows.stop - rows.start, rows.start + self.offset - j.start
        return tile[rows.start - i.start :, column:].diagonal()[:count] if count else tile[:0, 0]

    def hide(self, i: slice, j: slice, tile: Tensor, value: float) -> None:
        """Overwrite what is no logit: absent columns and rows, and negatives of the same group."""
        if self.column_groups is not None:
            own = self.column_groups[self.offset + i.start : self.offset + i.stop]
            same = own[:, None] == self.column_groups[None, j]
            self.positives(i, j, same).fill_(value=False)
            tile.masked_fill_(same, value)
        if self.pair.present is not None and self.column_present is not None:
            tile.masked_fill_(~self.column_present[None, j], value)
            tile.masked_fill_(~self.pair.present[i, None], value)


def _where(present: Tensor | None, values: Tensor) -> Tensor:
    return values if present is None else torch.where(present, values, 0.0)


class _Workspace:
    """Memory for tiles, used by one pair after another.

    To take it anew for every tile costs as much as the exponentials: a system hands out pages one
    by one, and clears them.
    """

    def __init__(self, like: Tensor, job: _Job, *, keeps: bool) -> None:
        num_columns = len(like) * job.world
        self.rows = min(job.cut.rows, len(like))
        self.columns = min(job.cut.columns, num_columns)
        size = self.rows * self.columns
        num_tiles = math.ceil(len(like) / self.rows) * math.ceil(num_columns / self.columns)
        # What is multiplied in bfloat16 is kept in bfloat16: twice as much has room.
        dtype = job.cut.gradient_dtype or like.dtype
        self.is_rounded = dtype != like.dtype
        room = job.cut.kept_bytes // (size * dtype.itemsize) if keeps else 0
        self._kept = like.new_empty(min(room, num_tiles), size, dtype=dtype)
        self._passing, self._factor = like.new_empty(2, size)

    def keeps(self, index: int) -> bool:
        """Say whether there is room to keep a tile until it is needed again."""
        return index < len(self._kept)

    def kept(self, index: int, height: int, width: int) -> Tensor:
        """Return where a tile is kept."""
        return self._kept[index, : height * width].view(height, width)

    def tile(self, index: int, height: int, width: int) -> Tensor:
        """Return where a tile is worked on: where it is kept, unless it is not, or is rounded."""
        if self.keeps(index) and not self.is_rounded:
            return self.kept(index, height, width)
        return self._passing[: height * width].view(height, width)

    def factor(self, tile: Tensor) -> Tensor:
        """Return room for what a tile is multiplied by."""
        return self._factor[: tile.numel()].view_as(tile)


class _Tiles:
    """The exponentials of one pair, tile by tile; the first ones are kept, as far as room goes."""

    def __init__(self, problem: _Problem, shift: Tensor, workspace: _Workspace) -> None:
        self.problem, self.shift, self.workspace = problem, shift, workspace
        # Never rounded: the gradient is the little that a positive lacks to one.
        self.positives = problem.a.new_empty(len(problem.a))

    def _places(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Go over the rows and columns of all tiles, with the rows times the scale."""
        for i in spans(len(self.problem.a), self.workspace.rows):
            scaled = self.problem.scaled(i)
            for j in spans(len(self.problem.b), self.workspace.columns):
                yield i, j, scaled

    def _fill(self, i: slice, j: slice, scaled: Tensor, tile: Tensor) -> None:
        # A product into memory, not onto the shift: that would first be copied all over the tile.
        torch.mm(scaled, self.problem.b[j].T, out=tile)
        tile.sub_(self.shift).exp_()
        self.problem.hide(i, j, tile, 0.0)

    def _keep(self, index: int, i: slice, j: slice, tile: Tensor) -> None:
        if self.workspace.is_rounded and self.workspace.keeps(index):
            self.workspace.kept(index, *tile.shape).copy_(tile)
            self.positives[self.problem.paired(i, j)] = self.problem.positives(i, j, tile)

    def _recall(self, index: int, i: slice, j: slice, tile: Tensor) -> None:
        if self.workspace.is_rounded:
            tile.copy_(self.workspace.kept(index, *tile.shape))
            self.problem.positives(i, j, tile).copy_(self.positives[self.problem.paired(i, j)])

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the sums of every row and of every column."""
        rows = self.problem.a.new_zeros(len(self.problem.a))
        columns = self.problem.b.new_zeros(len(self.problem.b))
        for index, (i, j, scaled) in enumerate(self._places()):
            tile = self.workspace.tile(index, i.stop - i.start, j.stop - j.start)
            self._fill(i, j, scaled, tile)
            self._keep(index, i, j, tile)
            rows[i] += tile.sum(dim=1)
            columns[j] += tile.sum(dim=0)
        return rows, columns

    def again(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Go over the same tiles again; the caller may spoil them."""
        for index, (i, j, scaled) in enumerate(self._places()):
            tile = self.workspace.tile(index, i.stop - i.start, j.stop - j.start)
            if self.workspace.keeps(index):
                self._recall(index, i, j, tile)
            else:
                self._fill(i, j, scaled, tile)
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
        self.dtype = problem.job.cut.gradient_dtype or first.dtype
        self.stripe, self.of_stripe, self.scaled = slice(0, 0), first[:0], first[:0]
        self.slope = torch.zeros_like(problem.scale)

    def add(self, i: slice, j: slice, slope: Tensor) -> None:
        """Add one tile: the derivative by its logits, but for the positives."""
        problem = self.problem
        positives = problem.positives(i, j, slope)
        positives -= self.a_positive(problem.paired(i, j))
        if i != self.stripe:
            self._close_stripe()
            self.stripe, self.of_stripe = i, torch.zeros_like(problem.a[i])
            self.scaled = problem.scaled(i).to(self.dtype)
        slope = slope.to(self.dtype)
        _add_product(self.of_stripe, slope, problem.b[j].to(self.dtype))
        _add_product(self.columns[j], slope.T, self.scaled)

    def a_positive(self, rows: slice) -> Tensor | float:
        """Return the derivative by the positives' logits of some rows."""
        present = self.problem.pair.present
        if present is None:
            return 2 * self.weight
        return 2 * self.weight * present[rows].to(self.first.dtype)

    def _close_stripe(self) -> None:
        """Add what the rows of a stripe get of all columns."""
        self.slope += torch.vdot(self.of_stripe.ravel(), self.problem.a[self.stripe].ravel())
        self.first[self.stripe].addcmul_(self.of_stripe, self.problem.scale)

    def finish(self) -> Tensor:
        """Return the derivative by the scale."""
        self._close_stripe()
        if self.columns is not self.second:
            own = slice(self.problem.offset, self.problem.offset + len(self.problem.a))
            self.second.add_(self.problem.job.add_up(self.columns)[own])
        return self.slope


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a product to a total that may be more precise than its operands."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        # No product of bfloat16 that adds to float32 is offered on every device.
        total += left @ right
