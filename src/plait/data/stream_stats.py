"""Exact statistics of a stream of numbers that need not fit in memory.

Mean and deviation are merged over blocks in float64 (Chan et al., 1979). Quantiles are those of all
values together, never averages of episodes' quantiles: a float32 has 32 bits, so counting the
upper 16 of every value and then the lower 16 of those that share them finds any order statistic
exactly, in two passes and 65,536 counters a dimension.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt32
from numpy import ndarray

from plait.errors import DataError

BLOCK_STEPS = 2**20
QUANTILES = (0.01, 0.99)
NUM_COUNTERS = 2**16
SIGN, LOWER = np.uint32(0x80000000), np.uint32(0xFFFF)

# Yields the same values each time it is called.
Blocks = Callable[[], Iterable[Float32[ndarray, "steps dims"]]]


@dataclass(frozen=True)
class StreamStats:
    """Exact per-dimension statistics of one stream of numbers.

    Attributes:
        count: Steps they are computed from.
    """

    mean: Float64[ndarray, " dims"]
    std: Float64[ndarray, " dims"]
    min: Float64[ndarray, " dims"]
    max: Float64[ndarray, " dims"]
    q01: Float64[ndarray, " dims"]
    q99: Float64[ndarray, " dims"]
    count: int

    @classmethod
    def of(cls, values: Float[ndarray, "steps dims"]) -> "StreamStats":
        """Compute the statistics of values in memory.

        Raises:
            DataError: If there is no step.
        """
        narrow = np.asarray(values, dtype=np.float32)
        starts = range(0, len(narrow), BLOCK_STEPS)
        return cls.of_blocks(lambda: (narrow[start : start + BLOCK_STEPS] for start in starts))

    @classmethod
    def of_blocks(cls, blocks: Blocks) -> "StreamStats":
        """Compute the statistics of values that come in blocks, in two passes.

        Raises:
            DataError: If there is no step.
        """
        moments: _Moments | None = None
        for block in _filled(blocks):
            moments = moments or _Moments(block.shape[1])
            moments.add(block)
        if moments is None:
            raise DataError("normalisation", "no step", "at least one training episode")
        lower, upper = moments.quantiles(blocks)
        return cls(
            moments.mean,
            np.sqrt(moments.squares / moments.count),
            moments.min,
            moments.max,
            lower,
            upper,
            moments.count,
        )


class _Moments:
    """What one pass finds: the first two moments, the extremes, and how the upper bits occur."""

    def __init__(self, dims: int) -> None:
        self.count = 0
        self.mean, self.squares = np.zeros(dims), np.zeros(dims)
        self.min, self.max = np.full(dims, np.inf), np.full(dims, -np.inf)
        self.upper = np.zeros((dims, NUM_COUNTERS), dtype=np.int64)

    def add(self, block: Float32[ndarray, "steps dims"]) -> None:
        """Merge a block."""
        wide, count = block.astype(np.float64), len(block)
        mean = wide.mean(axis=0)
        squares = np.square(wide - mean).sum(axis=0)
        total, difference = self.count + count, mean - self.mean
        if self.count:
            self.squares += squares + np.square(difference) * (self.count * count / total)
            self.mean += difference * (count / total)
        else:
            self.mean, self.squares = mean, squares
        self.count = total
        self.min = np.minimum(self.min, wide.min(axis=0))
        self.max = np.maximum(self.max, wide.max(axis=0))
        for counts, bits in zip(self.upper, ordered_bits(block.T), strict=True):
            counts += np.bincount(bits >> 16, minlength=NUM_COUNTERS)

    def quantiles(self, blocks: Blocks) -> list[Float64[ndarray, " dims"]]:
        """Return the quantiles, interpolated between neighbours as `numpy.quantile` does."""
        places = [quantile * (self.count - 1) for quantile in QUANTILES]
        ranks = np.array([[int(p), min(int(p) + 1, self.count - 1)] for p in places])
        found = self._select(ranks.ravel(), blocks).reshape(len(QUANTILES), 2, -1)
        return [
            low + (place - int(place)) * (high - low)
            for place, (low, high) in zip(places, found, strict=True)
        ]

    def _select(
        self, ranks: Int64[ndarray, " ranks"], blocks: Blocks
    ) -> Float64[ndarray, "ranks dims"]:
        """Return the values of some ranks, 0 for the smallest, in a second pass."""
        upper, inside = _locate(self.upper, np.repeat(ranks[:, None], len(self.mean), axis=1))
        lower = np.zeros((len(ranks), *self.upper.shape), dtype=np.int64)
        for block in _filled(blocks):
            for dim, bits in enumerate(ordered_bits(block.T)):
                top = bits >> 16
                # Neighbouring ranks nearly always share their upper bits.
                for wanted in np.unique(upper[:, dim]):
                    counts = np.bincount(bits[top == wanted] & LOWER, minlength=NUM_COUNTERS)
                    lower[upper[:, dim] == wanted, dim] += counts
        found = [_locate(c, i[None])[0][0] for c, i in zip(lower, inside, strict=True)]
        return ordered_values((upper << 16 | np.array(found)).astype(np.uint32)).astype(np.float64)


def ordered_bits(values: Float32[ndarray, "*axes"]) -> UInt32[ndarray, "*axes"]:
    """Map floats to integers of the same order."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    # The bits of positive floats are in order, those of negative ones the other way round.
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def ordered_values(bits: UInt32[ndarray, "*axes"]) -> Float32[ndarray, "*axes"]:
    """Undo `ordered_bits`."""
    return np.where(bits & SIGN, bits ^ SIGN, ~bits).view(np.float32)


def _filled(blocks: Blocks) -> Iterator[Float32[ndarray, "steps dims"]]:
    return (block for block in blocks() if len(block))


def _locate(
    counts: Int64[ndarray, "dims counters"], ranks: Int64[ndarray, "ranks dims"]
) -> tuple[Int64[ndarray, "ranks dims"], Int64[ndarray, "ranks dims"]]:
    """Return the counter that each rank falls into, and its rank among what was counted there."""
    cumulative = counts.cumsum(axis=1)
    rows = [np.searchsorted(c, r, side="right") for c, r in zip(cumulative, ranks.T, strict=True)]
    places = np.stack(rows, axis=1)
    dims = np.arange(len(counts))
    return places, ranks - (cumulative[dims, places] - counts[dims, places])
