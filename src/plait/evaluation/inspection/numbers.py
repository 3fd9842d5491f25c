"""Are the numbers finite, do they change, and how are they distributed?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from plait.data.survey import Rows
from plait.results.inspection import ERROR, NOTE, WARNING, Finding, Histogram
from plait.wording import counted, few, percent, some

NUM_BINS = 40
QUANTILES = (0.01, 0.99)
NEARLY_ALL = 0.9


def dim_label(key: str, dim: int, names: Sequence[str]) -> str:
    """Name a dimension as `action[3] (elbow)`."""
    return f"{key}[{dim}]" + (f" ({names[dim]})" if names else "")


def check_finite(rows: Rows, action: str) -> Iterator[Finding]:
    """Look for numbers that are missing, NaN or infinite.

    Args:
        rows: The numbers.
        action: The feature that every row needs.
    """
    for key, values in rows.vectors.items():
        absent = rows.absent.get(key, np.zeros(len(rows), dtype=bool))
        yield from _check_absent(rows, key, absent, is_needed=key == action)
        bad = ~np.isfinite(values) & ~absent[:, None]
        if not bad.any():
            continue
        row, dim = (int(place) for place in np.argwhere(bad)[0])
        which = np.flatnonzero(bad.any(axis=1))
        episode = int(rows.episode_index[row])
        step = row - int(rows.bounds[np.searchsorted(rows.episodes, episode), 0])
        yield Finding(
            severity=ERROR,
            where=f"{key} of {some('episode', np.unique(rows.episode_index[which]).tolist())}",
            found=f"In {counted(len(which), 'row')} there are numbers that are not finite, "
            f"{int(bad.sum()):,} in all; first {values[row, dim]} in dimension {dim} at step "
            f"{step} of episode {episode}.",
            todo="Leave these episodes out: one such number spoils the statistics and the loss.",
        )


def _check_absent(
    rows: Rows, key: str, absent: Bool[ndarray, " rows"], *, is_needed: bool
) -> Iterator[Finding]:
    if not absent.any():
        return
    yield Finding(
        severity=ERROR if is_needed else NOTE,
        where=f"{key} of {some('episode', np.unique(rows.episode_index[absent]).tolist())}",
        found=f"In {counted(int(absent.sum()), 'row')} it was not recorded (null).",
        todo="Leave these episodes out: an action is needed at every step."
        if is_needed
        else "Nothing, if it is meant so: Plait masks a state where it is absent.",
    )


def finite_rows(values: Float32[ndarray, "rows dims"]) -> Float32[ndarray, "finite dims"]:
    """Return the rows whose numbers are all finite."""
    is_finite = np.isfinite(values).all(axis=1)
    return values if is_finite.all() else values[is_finite]


def spread_of(values: Float32[ndarray, "rows dims"]) -> Float64[ndarray, " dims"]:
    """Return the standard deviation of each dimension over its finite rows; 0 without any."""
    finite = finite_rows(values)
    return finite.std(axis=0, dtype=np.float64) if len(finite) else np.zeros(values.shape[1])


def check_constant(
    key: str, values: Float32[ndarray, "rows dims"], names: Sequence[str]
) -> Iterator[Finding]:
    """Look for dimensions that never change, or so rarely that quantiles see nothing of it.

    Args:
        key: The feature.
        values: Finite rows.
        names: Of the dimensions; may be empty.
    """
    if not len(values):
        return
    is_constant = np.ptp(values, axis=0) == 0
    low, high = np.quantile(values, QUANTILES, axis=0)
    constant = [dim_label(key, int(dim), names) for dim in np.flatnonzero(is_constant)]
    rare = [int(dim) for dim in np.flatnonzero((low == high) & ~is_constant)]
    if constant:
        yield Finding(
            severity=WARNING if len(constant) == values.shape[1] else NOTE,
            where=few(constant),
            found=f"{counted(len(constant), 'dimension')} with the same value in every row.",
            todo="That teaches nothing; a normaliser must not divide by its range of 0 (Plait's "
            "does not).",
        )
    if rare:
        share = float((values[:, rare[0]] != low[rare[0]]).mean())
        yield Finding(
            severity=WARNING,
            where=few([dim_label(key, dim, names) for dim in rare]),
            found=f"The 1% and 99% quantiles are equal, though the value changes; in "
            f"{dim_label(key, rare[0], names)} it is another in {percent(share)} of the steps.",
            todo="Do not normalise by quantiles: these rare values would become huge. Use min-max.",
        )


def check_first_action(rows: Rows, key: str) -> Iterator[Finding]:
    """Look for recordings whose first action is a placeholder: no motion, as in no other step.

    Dimensions that are at rest at 0 in the first step alone count; a gripper may be elsewhere.
    """
    values = rows.vectors[key]
    spread = spread_of(values)
    is_zero = np.abs(values) <= 1e-3 * spread
    first, later = (is_zero[which].mean(axis=0) for which in (rows.is_first, ~rows.is_first))
    placed = (spread > 0) & (first >= NEARLY_ALL) & (later <= 1 - NEARLY_ALL)
    if placed.sum() >= max((spread > 0).sum() / 2, 1):
        yield Finding(
            severity=WARNING,
            where=key,
            found=f"The first action of an episode is 0 in dimensions "
            f"{few(np.flatnonzero(placed).tolist())}, as hardly any other is: a placeholder.",
            todo="Leave the first step of every episode out (--drop-first of plait convert).",
        )


def histograms(
    key: str,
    values: Float32[ndarray, "rows dims"],
    names: Sequence[str],
    stored: Mapping[str, Any],
) -> list[Histogram]:
    """Count how each dimension is distributed.

    Args:
        key: The feature.
        values: Finite rows.
        names: Of the dimensions; may be empty.
        stored: What the dataset's statistics say of the feature.
    """
    if not len(values):
        return []
    quantiles = np.quantile(values, QUANTILES, axis=0)
    kept = {name: stored_vector(stored, name, values.shape[1]) for name in ("q01", "q99")}
    found = []
    for dim in range(values.shape[1]):
        column = values[:, dim].astype(np.float64)
        low, high = float(column.min()), float(column.max())
        bins = NUM_BINS if high > low else 1
        counts, _ = np.histogram(column, bins=bins, range=(low, high if high > low else low + 1))
        found.append(
            Histogram(
                feature=key,
                dim=dim,
                name=names[dim] if names else "",
                minimum=low,
                maximum=high,
                q01=float(quantiles[0, dim]),
                q99=float(quantiles[1, dim]),
                counts=tuple(counts.tolist()),
                stored_q01=None if kept["q01"] is None else float(kept["q01"][dim]),
                stored_q99=None if kept["q99"] is None else float(kept["q99"][dim]),
            )
        )
    return found


def stored_vector(
    stored: Mapping[str, Any], name: str, dims: int
) -> Float64[ndarray, " dims"] | None:
    """Return a stored statistic; None where it is missing, or no list of so many numbers."""
    try:
        vector = np.asarray(stored[name], dtype=np.float64).ravel()
    except (KeyError, TypeError, ValueError):
        return None
    return vector if vector.shape == (dims,) and np.isfinite(vector).all() else None
