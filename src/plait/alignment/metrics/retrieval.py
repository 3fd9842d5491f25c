"""Who finds whom: exact retrieval metrics in memory that does not grow with the square of N.

Ranks need no sorting: a query's rank is how many negatives score above its best positive. So the
scores are made in tiles, compared, counted and dropped, and since the rows of one direction are
the columns of the other, both are counted from the same tile.

Robot data repeat themselves: thousands of frames share one instruction. Positives are therefore
whatever is of the query's own group, and only negatives count against it. And a collapsed model
ties with everything: ties are counted apart, and every figure is its expectation over the orders
that the tied items could have come in, so that a collapsed model scores exactly chance.

Scores are inner products: cosines, for unit vectors. None is taken in less than float32, since
rounding to bfloat16 makes ties of near misses.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plait.alignment.products import exact_products, spans
from plait.errors import PlaitError, ShapeError, require_at_least_one, require_seed

MAX_ELEMENTS = 2**23
# A tile and its comparison, of 1 MiB each, stay in a core's cache; larger ones count half as fast.
CPU_TILE_ELEMENTS = 2**18
# Of scores of unit vectors, which carry rounding of 1e-7, and never of more than half of this
# (`products.LARGEST_ERROR`).
TIE = 1e-6
BOOTSTRAP_ELEMENTS = 2**20


@dataclass(frozen=True)
class Ranks:
    """Where the best positive of every query stands.

    Attributes:
        above: Negatives that score higher than the query's best positive.
        tied_negatives: Negatives that tie with it.
        tied_positives: Positives that tie with it, itself included.
    """

    above: Int[Tensor, " queries"]
    tied_negatives: Int[Tensor, " queries"]
    tied_positives: Int[Tensor, " queries"]

    def recall(self, k: int) -> Float[Tensor, " queries"]:
        """Return the probability that a positive is among the first k, over all orders of ties.

        Of t + p tied items, p of them positive, m come among the first k; the chance that all m
        are negative is hypergeometric: `C(t, m) / C(t + p, m)`.
        """
        require_at_least_one("k of recall@k", k)
        tied, total = self.tied_negatives, self.tied_negatives + self.tied_positives
        slots = torch.minimum((k - self.above).clamp(min=0), total)
        free = (tied - slots).clamp(min=0)
        # Paired so that no slots leave exactly zero.
        log_miss = (_log_factorial(tied) - _log_factorial(free)) + (
            _log_factorial(total - slots) - _log_factorial(total)
        )
        return torch.where(slots > tied, 1.0, -torch.expm1(log_miss))

    def expected_rank(self) -> Float[Tensor, " queries"]:
        """Return the mean rank of the first positive, over all orders of ties; 1 is the best."""
        tied, positives = self.tied_negatives.double(), self.tied_positives.double()
        return self.above + (tied + positives + 1) / (positives + 1)

    def reciprocal_rank(self) -> Float[Tensor, " queries"]:
        """Return the mean of 1 / rank of the first positive, over all orders of ties."""
        columns = torch.stack([self.above, self.tied_negatives, self.tied_positives], dim=1)
        cases, which = torch.unique(columns, dim=0, return_inverse=True)
        above, tied, _ = cases.unbind(1)
        expected = 1.0 / (above.double() + 1)
        for index in (tied > 0).nonzero().flatten().tolist():
            expected[index] = _expected_reciprocal(*cases[index].tolist())
        return expected[which]

    def mean_recall(self, k: int) -> float:
        """Return recall@k, averaged over the queries."""
        return float(self.recall(k).mean())

    def mean_reciprocal_rank(self) -> float:
        """Return the reciprocal rank, averaged over the queries."""
        return float(self.reciprocal_rank().mean())

    def median_rank(self) -> float:
        """Return the median of the expected ranks."""
        ordered = self.expected_rank().sort().values
        middle = (len(ordered) - 1) // 2
        return float((ordered[middle] + ordered[len(ordered) // 2]) / 2)


def _log_factorial(count: Int[Tensor, " queries"]) -> Float[Tensor, " queries"]:
    return torch.lgamma(count.double() + 1)


def _expected_reciprocal(above: int, tied: int, positives: int) -> float:
    """Average 1 / rank over the place of the first of `positives` among `tied + positives`.

    It comes at place j with probability `C(t + p − j, p − 1) / C(t + p, p)`.
    """
    place = torch.arange(1, tied + 2, dtype=torch.float64)
    after = tied + positives - place
    log_ways = torch.lgamma(after + 1) - torch.lgamma(after - positives + 2)
    chance = torch.softmax(log_ways, dim=0)
    return float((chance / (above + place)).sum())


def retrieval_ranks(
    queries: Float[Tensor, "queries width"],
    items: Float[Tensor, "items width"],
    query_groups: Int[Tensor, " queries"],
    item_groups: Int[Tensor, " items"],
    max_elements: int = MAX_ELEMENTS,
) -> Ranks:
    """Rank all items for every query; those of the query's own group are its positives.

    Args:
        queries: Unit vectors; for longer ones the tolerance of ties grows with their length.
        items: What is searched.
        query_groups: Group of each query, for instance its instruction.
        item_groups: Group of each item.
        max_elements: Bound on the scores held at once.

    Returns:
        The ranks, in the order of the queries.

    Raises:
        PlaitError: If a query has no positive, or a row is not finite.
        ShapeError: If the widths differ.
    """
    pair = _comparable(queries=queries, items=items)
    problem = _Problem.make(pair, (query_groups, item_groups), max_elements)
    _require_positives("queries", query_groups, item_groups)
    return _count(problem, both=False)[0]


def both_directions(
    first: Float[Tensor, "first width"],
    second: Float[Tensor, "second width"],
    first_groups: Int[Tensor, " first"],
    second_groups: Int[Tensor, " second"],
    max_elements: int = MAX_ELEMENTS,
) -> tuple[Ranks, Ranks]:
    """Rank first → second and second → first from one product of the two.

    The same as `retrieval_ranks` both ways around, at little more than the price of one.

    Raises:
        PlaitError: If a row of either lacks a positive in the other, or is not finite.
        ShapeError: If the widths differ.
    """
    pair = _comparable(first=first, second=second)
    problem = _Problem.make(pair, (first_groups, second_groups), max_elements)
    _require_positives("rows of first", first_groups, second_groups)
    _require_positives("rows of second", second_groups, first_groups)
    forward, backward = _count(problem, both=True)
    return forward, backward


def paired_ranks(
    first: Float[Tensor, "pairs width"],
    second: Float[Tensor, "pairs width"],
    max_elements: int = MAX_ELEMENTS,
) -> tuple[Ranks, Ranks]:
    """Rank both ways where row i of one belongs to row i of the other, and to no other row.

    Raises:
        PlaitError: If a row is not finite.
        ShapeError: If the widths differ.
    """
    _require_length("second", second, len(first))
    own = torch.arange(len(first), device=first.device)
    return both_directions(first, second, own, own, max_elements)


def chance_ranks(
    query_groups: Int[Tensor, " queries"], item_groups: Int[Tensor, " items"]
) -> Ranks:
    """Return the ranks of a model that knows nothing: all items tie.

    Its `recall`, `expected_rank` and `reciprocal_rank` are what chance gives.

    Raises:
        PlaitError: If a query has no positive.
    """
    _require_positives("queries", query_groups, item_groups)
    groups, sizes = torch.unique(item_groups, return_counts=True)
    positives = sizes[torch.searchsorted(groups, query_groups.to(groups.dtype))]
    return Ranks(torch.zeros_like(positives), len(item_groups) - positives, positives)


def chance_recall(
    query_groups: Int[Tensor, " queries"], item_groups: Int[Tensor, " items"], k: int
) -> float:
    """Return recall@k of a random order: the mean of `1 − C(N − p, k) / C(N, k)`.

    Raises:
        PlaitError: If a query has no positive.
    """
    return chance_ranks(query_groups, item_groups).mean_recall(k)


def diagonal_score(
    queries: Float[Tensor, "pairs width"],
    items: Float[Tensor, "pairs width"],
    max_elements: int = MAX_ELEMENTS,
) -> float:
    """Return the textbook's alignment score: for how many i item i itself is the nearest.

    An argmax and nothing more: among exactly equal scores the first item is taken, so that a
    duplicate counts as a miss, and no model can score more than `diagonal_ceiling`. Kept to compare
    with what others report; `retrieval_ranks` says how good a model is.

    Raises:
        PlaitError: If a row is not finite.
        ShapeError: If the widths differ.
    """
    _require_length("items", items, len(queries))
    nearest = retrieved(queries, items, max_elements=max_elements)
    own = torch.arange(len(queries), device=nearest.device)
    return float((nearest == own).double().mean())


def diagonal_ceiling(groups: Int[Tensor, " items"]) -> float:
    """Return the highest `diagonal_score` where the items of a group are one and the same vector.

    Only one item of each group can be the first among equals: distinct groups over N.
    """
    _require_rows("groups", len(groups))
    return len(torch.unique(groups)) / len(groups)


def retrieved(
    queries: Float[Tensor, "queries width"],
    library: Float[Tensor, "library width"],
    exclude: tuple[Int[Tensor, " queries"], Int[Tensor, " library"]] | None = None,
    max_elements: int = MAX_ELEMENTS,
) -> Int[Tensor, " queries"]:
    """Return the index of every query's nearest item; the first among equals.

    Args:
        queries: What is looked for.
        library: What is searched.
        exclude: Episodes of the queries and of the library. Nothing of a query's own episode is
            returned: the frame before it would always win, and tell nothing.
        max_elements: Bound on the scores held at once.

    Raises:
        PlaitError: If a row is not finite, or `exclude` leaves a query nothing to find.
        ShapeError: If the widths differ.
    """
    queries, library = _comparable(queries=queries, library=library)
    if exclude is not None:
        _require_length("the queries' episodes", exclude[0], len(queries))
        _require_length("the library's episodes", exclude[1], len(library))
    best = queries.new_full((len(queries),), -math.inf)
    index = torch.full((len(queries),), -1, device=queries.device)
    for rows, columns, scores in _score_tiles(queries, library, max_elements):
        if exclude is not None:
            scores.masked_fill_(_same_group(exclude[0][rows], exclude[1][columns]), -math.inf)
        value, place = scores.max(dim=1)
        is_better = value > best[rows]
        best[rows] = torch.where(is_better, value, best[rows])
        index[rows] = torch.where(is_better, place + columns.start, index[rows])
    num_lost = int((index < 0).sum())
    if num_lost:
        raise PlaitError(
            f"{num_lost} of {len(index)} queries have nothing to retrieve: the whole library is of"
            " their own episode. Add episodes to the library, or do not exclude"
        )
    return index


def bootstrap_interval(
    values: Float[Tensor, " queries"],
    episodes: Int[Tensor, " queries"],
    seed: int,
    num_draws: int = 1000,
) -> tuple[float, float]:
    """Return the 95 % interval of the mean, with whole episodes resampled.

    The frames of an episode resemble one another; as if independent, they would promise an
    interval far too narrow (cluster bootstrap: Davison & Hinkley, 1997).

    Raises:
        PlaitError: If there are fewer than two episodes: nothing is known of their spread.
        OptionError: If the seed is negative or there are no draws.
    """
    require_seed(seed)
    require_at_least_one("number of draws", num_draws)
    _, which = torch.unique(episodes.cpu(), return_inverse=True)
    counts = torch.bincount(which).double()
    if len(counts) < 2:
        raise PlaitError(f"an interval needs at least 2 episodes, but found {len(counts)}")
    sums = torch.zeros_like(counts).index_add_(0, which, values.detach().cpu().double())
    generator = torch.Generator().manual_seed(seed)
    means = []
    size = max(1, BOOTSTRAP_ELEMENTS // len(counts))
    for start in range(0, num_draws, size):
        shape = (min(size, num_draws - start), len(counts))
        drawn = torch.randint(len(counts), shape, generator=generator)
        means.append(sums[drawn].sum(dim=1) / counts[drawn].sum(dim=1))
    low, high = torch.cat(means).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return float(low), float(high)


def require_finite(name: str, values: Float[Tensor, "rows width"]) -> None:
    """Refuse embeddings without rows, and rows of which anything is not a number.

    Raises:
        PlaitError: Naming the input and how many of its rows are at fault.
    """
    _require_rows(name, len(values))
    num_bad = int((~torch.isfinite(torch.linalg.vector_norm(values.detach(), dim=1))).sum())
    if num_bad:
        raise PlaitError(f"{num_bad} of {len(values)} rows of {name} are not finite")


def _require_rows(name: str, count: int) -> None:
    if not count:
        raise PlaitError(f"{name}: found no rows; expected at least one")


def _require_length(name: str, values: Tensor, expected: int) -> None:
    if len(values) != expected:
        wanted = f"({expected}, ...), a row for each of the others,"
        raise ShapeError(name, tuple(values.shape), wanted)


def _require_positives(kind: str, groups: Tensor, other_groups: Tensor) -> None:
    num_lost = int((~torch.isin(groups, other_groups)).sum())
    if num_lost:
        raise PlaitError(
            f"{num_lost} of {len(groups)} {kind} have no positive: nothing that is searched is of"
            " their group. Leave them out, or add what they should find"
        )


def _comparable(**inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Check two sets of embeddings; return them without a gradient, in float32 or better."""
    (name, first), (other_name, second) = inputs.items()
    if first.shape[1] != second.shape[1]:
        expected = f"(any, {first.shape[1]}), the width of {name},"
        raise ShapeError(other_name, tuple(second.shape), expected)
    dtype = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
    first, second = first.detach().to(dtype), second.detach().to(dtype)
    require_finite(name, first)
    require_finite(other_name, second)
    return first, second


def _same_group(rows: Tensor, columns: Tensor) -> Bool[Tensor, "rows columns"]:
    return rows.unsqueeze(1) == columns.unsqueeze(0)


def _tile_shape(device: torch.device, max_elements: int) -> tuple[int, int]:
    """Return rows and columns of a tile; it is up to four times as wide as high."""
    require_at_least_one("max_elements", max_elements)
    size = min(max_elements, CPU_TILE_ELEMENTS) if device.type == "cpu" else max_elements
    columns = min(size, math.isqrt(4 * size))
    return size // columns, columns


def _score_tiles(
    first: Tensor, second: Tensor, max_elements: int, wanted: list[list[bool]] | None = None
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield rows, columns and their scores, all in one workspace: use a tile before the next."""
    height, width = _tile_shape(first.device, max_elements)
    workspace = first.new_empty(min(height, len(first)) * min(width, len(second)))
    for i, rows in enumerate(spans(len(first), height)):
        for j, columns in enumerate(spans(len(second), width)):
            if wanted is not None and not wanted[i][j]:
                continue
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            scores = workspace[: math.prod(shape)].view(shape)
            # Not around the loop: who takes a tile must not find the precision changed.
            with exact_products(first):
                torch.mm(first[rows], second[columns].T, out=scores)
            yield rows, columns, scores


@dataclass(frozen=True)
class _Tile:
    """Scores of some rows with some columns, and which are of positives; None where none is."""

    rows: slice
    columns: slice
    scores: Tensor
    is_positive: Tensor | None

    def positives(self) -> Tensor:
        """Return the scores of positives, and −inf elsewhere."""
        if self.is_positive is None:
            return torch.full_like(self.scores, -math.inf)
        return self.scores.masked_fill(~self.is_positive, -math.inf)


@dataclass(frozen=True)
class _Problem:
    """Two sets of embeddings, each sorted by group, so that positives lie in few tiles.

    Attributes:
        first: The rows of the scores.
        second: The columns.
        first_groups: Group of each row, ascending.
        second_groups: Group of each column, ascending.
        first_order: Where each row stood in the input.
        second_order: Where each column stood in the input.
        tie: Largest difference of two scores that tie.
        max_elements: Bound on the scores held at once.
    """

    first: Tensor
    second: Tensor
    first_groups: Tensor
    second_groups: Tensor
    first_order: Tensor
    second_order: Tensor
    tie: float
    max_elements: int

    @staticmethod
    def make(
        pair: tuple[Tensor, Tensor], groups: tuple[Tensor, Tensor], max_elements: int
    ) -> "_Problem":
        """Sort both sets by group."""
        for name, values, of in zip(("first", "second"), groups, pair, strict=True):
            _require_length(f"the groups of the {name} input", values, len(of))
        tie = TIE * _longest(pair[0]) * _longest(pair[1])
        first, first_groups, first_order = _sorted_by_group(pair[0], groups[0])
        second, second_groups, second_order = _sorted_by_group(pair[1], groups[1])
        return _Problem(
            first, second, first_groups, second_groups, first_order, second_order, tie, max_elements
        )

    def tiles_with_positives(self) -> list[list[bool]]:
        """Say for every tile whether its rows' and columns' ranges of groups overlap."""
        height, width = _tile_shape(self.first.device, self.max_elements)
        rows = _group_ranges(self.first_groups, height)
        columns = _group_ranges(self.second_groups, width)
        return [[low <= top and bottom <= high for bottom, top in columns] for low, high in rows]

    def tiles(self, *, positives_only: bool = False) -> Iterator[_Tile]:
        """Yield all tiles, or those that may hold positives."""
        mixed = self.tiles_with_positives()
        height, width = _tile_shape(self.first.device, self.max_elements)
        wanted = mixed if positives_only else None
        tiles = _score_tiles(self.first, self.second, self.max_elements, wanted)
        for rows, columns, scores in tiles:
            is_positive = None
            if mixed[rows.start // height][columns.start // width]:
                is_positive = _same_group(self.first_groups[rows], self.second_groups[columns])
            yield _Tile(rows, columns, scores, is_positive)


def _longest(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values, dim=1).max())


def _sorted_by_group(values: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    ordered, order = groups.sort(stable=True)
    # Paired data are in order already and need no copy.
    return (values if torch.equal(ordered, groups) else values[order]), ordered, order


def _group_ranges(groups: Tensor, size: int) -> list[tuple[int, int]]:
    """Return the lowest and the highest group of each span of sorted groups."""
    cuts = spans(len(groups), size)
    lowest = groups[[span.start for span in cuts]].tolist()
    highest = groups[[span.stop - 1 for span in cuts]].tolist()
    return list(zip(lowest, highest, strict=True))


class _Direction:
    """Counts of one direction: of the rows of the tiles, or of their columns.

    Args:
        queries: Embeddings of the queries.
        dim: Axis of a tile that is counted over: 1 where the queries are its rows.
        tie: Largest difference of two scores that tie.
    """

    def __init__(self, queries: Tensor, dim: int, tie: float) -> None:
        self.dim = dim
        self.tie = tie
        self.best = queries.new_full((len(queries),), -math.inf)
        self.above = torch.zeros(len(queries), dtype=torch.float64, device=queries.device)
        self.reached = torch.zeros_like(self.above)
        self.tied_positives = torch.zeros_like(self.above)

    def see_positives(self, tile: _Tile) -> None:
        """Raise the best."""
        at = self._queries(tile)
        self.best[at] = torch.maximum(self.best[at], tile.positives().amax(self.dim))

    def count_positives(self, tile: _Tile) -> None:
        """Count those that tie with the best."""
        at = self._queries(tile)
        threshold = (self.best[at] - self.tie).unsqueeze(self.dim)
        self.tied_positives[at] += (tile.positives() >= threshold).sum(self.dim)

    def count_negatives(self, tile: _Tile, marks: Tensor) -> None:
        """Count those above the best, and those that reach it; positives were set to −inf."""
        at = self._queries(tile)
        best = self.best[at].unsqueeze(self.dim)
        # Sums of ones in float are exact, and several times as fast as those of bools.
        torch.gt(tile.scores, best + self.tie, out=marks)
        self.above[at] += marks.sum(self.dim)
        torch.ge(tile.scores, best - self.tie, out=marks)
        self.reached[at] += marks.sum(self.dim)

    def _queries(self, tile: _Tile) -> slice:
        return tile.rows if self.dim == 1 else tile.columns

    def ranks(self, order: Tensor) -> Ranks:
        """Return the counts in the order of the input."""
        counts = torch.stack([self.above, self.reached - self.above, self.tied_positives])
        unsorted = torch.empty_like(counts, dtype=torch.int64)
        unsorted[:, order] = counts.long()
        return Ranks(*unsorted)


def _count(problem: _Problem, *, both: bool) -> list[Ranks]:
    """Find the best positives, in the few tiles that hold any, then count over all tiles.

    Both passes make a tile by the same product, so that a score is the same number in both.
    """
    orders = [problem.first_order, problem.second_order]
    sides = [_Direction(problem.first, 1, problem.tie), _Direction(problem.second, 0, problem.tie)]
    if not both:
        del sides[1], orders[1]
    for tile in problem.tiles(positives_only=True):
        for side in sides:
            side.see_positives(tile)
    workspace = problem.first.new_empty(0)
    for tile in problem.tiles():
        if tile.is_positive is not None:
            for side in sides:
                side.count_positives(tile)
            tile.scores.masked_fill_(tile.is_positive, -math.inf)
        if workspace.numel() < tile.scores.numel():
            workspace = torch.empty_like(tile.scores).flatten()
        marks = workspace[: tile.scores.numel()].view_as(tile.scores)
        for side in sides:
            side.count_negatives(tile, marks)
    return [side.ranks(order) for side, order in zip(sides, orders, strict=True)]
