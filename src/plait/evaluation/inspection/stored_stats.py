"""Are the statistics that come with a dataset those of its numbers?

Released LeRobot takes the mean of the episodes' quantiles for the quantiles of all steps (lerobot
#4156). They are not: a joint that rests at one place in most episodes and at another in some has
a far narrower range by the mean.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from plait.data.survey import Rows
from plait.evaluation.inspection.numbers import finite_rows, stored_vector
from plait.results.inspection import NOTE, WARNING, Finding
from plait.wording import percent

WHERE = "stored statistics"
ADVICE = (
    "Plait computes its own, exactly, from the training episodes. For other software write them "
    "again from the numbers."
)
# Of a dimension's range: what rounding may do. Of all values: what lies outside exact quantiles.
TOLERANCE = 0.01
OUTSIDE = 0.02
# So many times as much outside is more than another way to interpolate.
TIMES = 2.0


def check_stored(
    rows: Rows, stats: Mapping[str, Any], features: tuple[str, ...]
) -> Iterator[Finding]:
    """Compare stored statistics with exact ones.

    Args:
        rows: The numbers.
        stats: What the dataset says of them, by feature.
        features: Features to compare.
    """
    if not stats:
        yield Finding(
            severity=NOTE,
            where=WHERE,
            found="There are no statistics of the whole.",
            todo=ADVICE,
        )
        return
    for key in features:
        values = finite_rows(rows.vectors[key])
        if key in stats and len(values):
            yield from _check_range(key, values, stats[key])
            yield from _check_mean(key, values, stats[key])
            yield from _check_quantiles(key, values, stats[key], rows)


def _check_range(
    key: str, values: Float32[ndarray, "rows dims"], stored: Mapping[str, Any]
) -> Iterator[Finding]:
    low = stored_vector(stored, "min", values.shape[1])
    high = stored_vector(stored, "max", values.shape[1])
    if low is None or high is None:
        yield Finding(
            severity=NOTE,
            where=f"{WHERE}, {key}",
            found="It has no usable min and max.",
            todo=ADVICE,
        )
        return
    margin = TOLERANCE * np.ptp(values, axis=0)
    outside = (values < low - margin) | (values > high + margin)
    if outside.any():
        dims = np.flatnonzero(outside.any(axis=0)).tolist()
        yield Finding(
            severity=WARNING,
            where=f"{WHERE}, {key}",
            found=f"{percent(float(outside.any(axis=1).mean()))} of the rows lie outside the "
            f"stored minimum and maximum, in {_dims(dims)}: the statistics are of other data.",
            todo=ADVICE,
        )


def _check_mean(
    key: str, values: Float32[ndarray, "rows dims"], stored: Mapping[str, Any]
) -> Iterator[Finding]:
    mean = stored_vector(stored, "mean", values.shape[1])
    if mean is None:
        return
    spread = values.std(axis=0, dtype=np.float64)
    away = np.abs(mean - values.mean(axis=0, dtype=np.float64))
    wrong = np.flatnonzero(away > 0.05 * spread + 1e-6 * (1 + np.abs(mean)))
    if len(wrong):
        worst = float((away[wrong] / np.maximum(spread[wrong], 1e-12)).max())
        far = f"{worst:.2f} standard deviations" if worst < 1e6 else "any measure"
        yield Finding(
            severity=WARNING,
            where=f"{WHERE}, {key}",
            found=f"The stored mean is off by up to {far}, in {_dims(wrong.tolist())}.",
            todo=ADVICE,
        )


def _check_quantiles(
    key: str, values: Float32[ndarray, "rows dims"], stored: Mapping[str, Any], rows: Rows
) -> Iterator[Finding]:
    low = stored_vector(stored, "q01", values.shape[1])
    high = stored_vector(stored, "q99", values.shape[1])
    if low is None or high is None:
        return
    exact = np.quantile(values, [0.01, 0.99], axis=0)
    outside = [float(((values < a) | (values > b)).mean()) for a, b in ((low, high), exact)]
    if outside[0] <= TIMES * max(outside[1], OUTSIDE / 2):
        return
    cause = ""
    averaged = averaged_quantiles(rows, key)
    if averaged is not None and _is_nearer(np.stack([low, high]), averaged, exact):
        cause = (
            " They look like the mean of the episodes' quantiles, which released LeRobot writes."
        )
    yield Finding(
        severity=WARNING,
        where=f"{WHERE}, {key}",
        found=f"{percent(outside[0])} of the values lie outside the stored 1% and 99% quantiles, "
        f"and {percent(outside[1])} outside the exact ones: normalised by them, or clipped, they "
        f"are wrong.{cause}",
        todo=ADVICE,
    )


def _is_nearer(
    stored: Float64[ndarray, "2 dims"],
    averaged: Float64[ndarray, "2 dims"],
    exact: Float64[ndarray, "2 dims"],
) -> bool:
    """Whether stored quantiles are much nearer to averaged ones than to exact ones."""
    return bool(3 * np.abs(stored - averaged).sum() < np.abs(stored - exact).sum())


def averaged_quantiles(rows: Rows, key: str) -> Float64[ndarray, "2 dims"] | None:
    """Return the mean of the episodes' 1 % and 99 % quantiles, weighted by their lengths."""
    values = rows.vectors[key]
    if not np.isfinite(values).all():
        return None
    parts = [np.quantile(values[part], [0.01, 0.99], axis=0) for _, part in rows.slices()]
    return np.asarray(np.average(np.stack(parts), axis=0, weights=rows.lengths))


def _dims(dims: list[int]) -> str:
    return f"dimension{'' if len(dims) == 1 else 's'} {', '.join(map(str, dims))}"
