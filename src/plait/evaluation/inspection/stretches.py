"""How long nothing moves, and how long actions rest on their limits."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from plait.data.survey import Rows
from plait.evaluation.inspection.numbers import dim_label, finite_rows
from plait.results.inspection import NOTE, WARNING, Finding, Motion
from plait.wording import few, percent, some

IDLE_S, SATURATED_S = 2.0, 1.0
# Nothing moves where no dimension leaves this share of its range between the 1 % and 99 % quantile.
STILL = 0.01
# Shares of the steps from which on it is worth a warning.
MUCH_IDLE, MUCH_SATURATED = 0.05, 0.25
# A dimension at its limits in this share of the steps is a switch, such as a gripper.
SWITCH = 0.6


def ranges(values: Float32[ndarray, "rows dims"]) -> Float32[ndarray, " dims"]:
    """Return the range of each dimension between its quantiles; the whole one where that is 0."""
    finite = finite_rows(values)
    if not len(finite):
        return np.zeros(values.shape[1], dtype=np.float32)
    low, high = np.quantile(finite, [0.01, 0.99], axis=0)
    whole = np.ptp(finite, axis=0)
    return np.where(high > low, high - low, whole).astype(np.float32)


def is_idle(rows: Rows, features: Sequence[str], window: int) -> Bool[ndarray, " rows"]:
    """Find the steps that lie in a stretch in which no dimension moves.

    Args:
        rows: The numbers.
        features: Features that would move.
        window: Steps of the shortest stretch.
    """
    still = np.ones(len(rows), dtype=bool)
    for key in features:
        is_finite = np.isfinite(rows.vectors[key])
        values = np.where(is_finite, rows.vectors[key], 0)
        limit = STILL * ranges(rows.vectors[key])
        for dim in np.flatnonzero(limit > 0):
            still &= _extent(values[:, dim], window) <= limit[dim]
            still &= _extent(is_finite[:, dim].astype(np.float32), window) == 0
            still &= is_finite[:, dim]
    starts = still & (_remaining(rows) >= window)
    return _cover(starts, window)


def _extent(column: Float32[ndarray, " rows"], window: int) -> Float32[ndarray, " rows"]:
    """Return largest minus smallest value of each row and those that follow it in a window."""
    # SciPy's windows are centred; this origin makes them look forward.
    options = {"size": window, "origin": -(window // 2), "mode": "nearest"}
    return np.asarray(maximum_filter1d(column, **options) - minimum_filter1d(column, **options))


def _remaining(rows: Rows) -> Int64[ndarray, " rows"]:
    """Return how many steps of its episode are left at each row, itself included."""
    return np.repeat(rows.bounds[:, 1], rows.lengths) - np.arange(len(rows))


def _cover(starts: Bool[ndarray, " rows"], window: int) -> Bool[ndarray, " rows"]:
    """Return the rows in a window that begins at one of the starts."""
    change = np.zeros(len(starts) + window, dtype=np.int64)
    change[:-window] += starts
    change[window:] -= starts
    return np.cumsum(change)[: len(starts)] > 0


def on_limits(
    values: Float32[ndarray, "rows dims"], rows: Rows, window: int
) -> Bool[ndarray, "rows dims"]:
    """Find the steps at which a dimension rests on its smallest or largest value for long.

    Switches, which are at one of the two nearly always, do not count.
    """
    found = np.zeros(values.shape, dtype=bool)
    fits = _remaining(rows) >= window
    for dim in range(values.shape[1]):
        column = values[:, dim]
        finite = column[np.isfinite(column)]
        if not len(finite):
            continue
        low, high = finite.min(), finite.max()
        margin = 1e-6 * (high - low)
        is_low, is_high = column <= low + margin, column >= high - margin
        if high <= low or (is_low | is_high).mean() > SWITCH:
            continue
        for side in (is_low, is_high):
            begins = (_extent(side.astype(np.float32), window) == 0) & side & fits
            found[:, dim] |= _cover(begins, window)
    return found


def check_stretches(
    rows: Rows, state: str | None, action: str, fps: float, names: Sequence[str]
) -> tuple[list[Finding], Motion]:
    """Measure idle and saturated stretches.

    Args:
        rows: The numbers.
        state: Feature of the state, where there is one.
        action: Feature of the action.
        fps: Steps a second.
        names: Of the action's dimensions; may be empty.
    """
    features = [key for key in (state, action) if key]
    idle = is_idle(rows, features, max(round(IDLE_S * fps), 2))
    saturated = on_limits(rows.vectors[action], rows, max(round(SATURATED_S * fps), 2))
    motion = Motion(
        idle_s=IDLE_S,
        idle=float(idle.mean()),
        saturated_s=SATURATED_S,
        saturated=tuple(saturated.mean(axis=0).tolist()),
    )
    return [*_idle(rows, idle), *_saturated(action, saturated, names)], motion


def _idle(rows: Rows, idle: Bool[ndarray, " rows"]) -> Iterator[Finding]:
    if not idle.any():
        return
    episodes = np.unique(rows.episode_index[idle]).tolist()
    ends = _at_an_end(rows, idle)
    yield Finding(
        severity=WARNING if idle.mean() > MUCH_IDLE else NOTE,
        where=some("episode", episodes),
        found=f"In {percent(float(idle.mean()))} of all steps neither state nor action has moved "
        f"for {IDLE_S:g} s or more; {percent(ends)} of these are at the start or the end of an "
        "episode.",
        todo="Cut them off: a policy that learns to wait may never begin.",
    )


def _at_an_end(rows: Rows, idle: Bool[ndarray, " rows"]) -> float:
    """Return the share of the idle steps that an episode begins or ends with."""
    number = 0
    for _, part in rows.slices():
        moving = np.flatnonzero(~idle[part])
        whole = part.stop - part.start
        number += whole if not len(moving) else int(moving[0]) + whole - 1 - int(moving[-1])
    return number / int(idle.sum())


def _saturated(
    key: str, saturated: Bool[ndarray, "rows dims"], names: Sequence[str]
) -> Iterator[Finding]:
    shares = saturated.mean(axis=0)
    dims = [int(dim) for dim in np.argsort(-shares, kind="stable") if shares[dim] > 0.01]
    if not dims:
        return
    labels = [f"{dim_label(key, dim, names)} {percent(float(shares[dim]))}" for dim in dims]
    yield Finding(
        severity=WARNING if shares.max() > MUCH_SATURATED else NOTE,
        where=key,
        found=f"Actions rest on their smallest or largest value for {SATURATED_S:g} s or more, in "
        f"this share of the steps: {few(labels)}.",
        todo="Look whether the commands were clipped: what was meant beyond the limit is lost.",
    )
