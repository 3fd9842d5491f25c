"""Small histograms as SVG: there are many, and none needs a script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from plait.results.inspection import Histogram

WIDTH, HEIGHT = 200.0, 48.0


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A histogram in a box of `WIDTH` × `HEIGHT`.

    Attributes:
        bars: The outline of the bars, as SVG path data.
        marks: Places of the exact quantiles, from the left.
        stored: Places of the stored ones, where they lie in the range.
    """

    bars: str
    marks: tuple[float, ...] = ()
    stored: tuple[float, ...] = ()


def bars_path(counts: Sequence[int]) -> str:
    """Return bars whose heights are the square roots of the counts, so that few are seen, too."""
    tallest = math.sqrt(max(counts, default=0)) or 1.0
    step, parts = WIDTH / max(len(counts), 1), []
    for place, count in enumerate(counts):
        if count:
            height = max(HEIGHT * math.sqrt(count) / tallest, 1.0)
            left, top = place * step, HEIGHT - height
            parts.append(f"M{left:.1f} {HEIGHT:g}V{top:.1f}h{step:.2f}V{HEIGHT:g}z")
    return "".join(parts)


def draw(histogram: Histogram) -> Drawn:
    """Draw one dimension."""
    low, high = histogram.minimum, histogram.maximum
    if high <= low:
        return Drawn(bars=bars_path(histogram.counts))

    def place(value: float) -> float:
        return round(WIDTH * (value - low) / (high - low), 1)

    stored = [value for value in (histogram.stored_q01, histogram.stored_q99) if value is not None]
    return Drawn(
        bars=bars_path(histogram.counts),
        marks=(place(histogram.q01), place(histogram.q99)),
        stored=tuple(place(value) for value in stored if low <= value <= high),
    )
