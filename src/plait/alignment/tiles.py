"""One pair of a contrast: its logits in tiles, the sums of rows and columns, and the gradient.

`contrast.py` says what is computed and why in tiles; here is how. References are there.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from plait.alignment.pairs import Job, Pair
from plait.alignment.products import spans

# exp(64) times a sum over a hundred thousand samples is far from the end of float32.
HEADROOM = 64.0
# A sum of exponentials below this has lost digits: the exact way is taken instead.
SMALLEST_SUM = 1e-30


@dataclass(frozen=True)
class Problem:
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

    job: Job
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
        cls, job: Job, index: int, count: int, embeddings: Sequence[Tensor], scale: Tensor
    ) -> "Problem":
        """Collect what is known of a pair, from all processes."""
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
        self, share: float, grads: Sequence[Tensor | None], workspace: "Workspace"
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


class Workspace:
    """Memory for tiles, used by one pair after another.

    To take it anew for every tile costs as much as the exponentials: a system hands out pages one
    by one, and clears them.
    """

    def __init__(self, like: Tensor, job: Job, *, keeps: bool) -> None:
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

    def __init__(self, problem: Problem, shift: Tensor, workspace: Workspace) -> None:
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

    def __init__(self, problem: Problem, weight: float, grads: Sequence[Tensor | None]) -> None:
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
