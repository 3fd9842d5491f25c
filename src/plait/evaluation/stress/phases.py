"""Phases of demonstrated episodes, read off the recorded actions.

An episode in which the gripper closes has three:

    approach    until shortly before the gripper first closes
    grasp       around that: a tenth of the episode to either side, 1 step to 1 s
    place       from then on, whatever the thing was grasped for

One in which it never closes (a touch, a push, a robot without a gripper) has its thirds instead.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from plait.results.stress import APPROACH, GRASP, PLACE, THIRDS

GRIPPER = "gripper"
GRASP_SHARE = 0.1
# A dimension without a name is a gripper's if it lies at either end of its range nearly always,
# and at neither hardly ever.
NEAR_AN_END, NEARLY_ALWAYS, HARDLY_EVER = 0.1, 0.95, 0.02
NEVER = -1


def phases_of(
    actions: Float[ndarray, "steps action_dim"],
    bounds: Int[ndarray, "episodes 2"],
    names: Sequence[str] = (),
    fps: int = 10,
) -> ndarray:
    """Name the phase of every step.

    Args:
        actions: Recorded, episode after episode.
        bounds: First step and the step after the last, of every episode.
        names: Of the dimensions of an action, if known.
        fps: Steps a second.

    Returns:
        Array of `steps` names.
    """
    phases = np.full(len(actions), "", dtype=object)
    closings = first_closings(actions, bounds, gripper_dims(actions, names))
    for (start, end), closing in zip(bounds.tolist(), closings.tolist(), strict=True):
        length = end - start
        if closing == NEVER:
            thirds = 3 * np.arange(length) // length
            phases[start:end] = np.array(THIRDS, dtype=object)[thirds]
            continue
        reach = min(max(round(GRASP_SHARE * length), 1), max(fps, 1))
        phases[start:closing] = APPROACH
        phases[closing:end] = PLACE
        phases[max(closing - reach, start) : min(closing + reach + 1, end)] = GRASP
    return phases


def gripper_dims(
    actions: Float[ndarray, "steps action_dim"], names: Sequence[str] = ()
) -> tuple[int, ...]:
    """Say which dimensions of an action command a gripper.

    Those with `gripper` in their name; where none has, the last, if it looks like one: nearly all
    of its values lie at one end of its range or the other.
    """
    named = tuple(index for index, name in enumerate(names) if GRIPPER in name.lower())
    if named or not actions.shape[1]:
        return named
    last = actions[:, -1]
    low, high = float(last.min()), float(last.max())
    margin = NEAR_AN_END * (high - low)
    shares = float((last <= low + margin).mean()), float((last >= high - margin).mean())
    looks_like_one = high > low and sum(shares) >= NEARLY_ALWAYS and min(shares) >= HARDLY_EVER
    return (actions.shape[1] - 1,) if looks_like_one else ()


def first_closings(
    actions: Float[ndarray, "steps action_dim"],
    bounds: Int[ndarray, "episodes 2"],
    dims: Sequence[int],
) -> Int[ndarray, " episodes"]:
    """Return the step at which any gripper first closes in each episode; -1 where none does.

    Open is the side that the first change leaves in most episodes; which sign that is differs
    between robots. The sides meet halfway between the 1st and the 99th percentile.
    """
    first = np.full(len(bounds), NEVER)
    for dim in dims:
        low, high = np.percentile(actions[:, dim], (1, 99))
        if high > low:
            closings = _closings(actions[:, dim] > (low + high) / 2, bounds)
            is_earlier = (closings != NEVER) & ((first == NEVER) | (closings < first))
            first = np.where(is_earlier, closings, first)
    return first


def _closings(
    is_high: Bool[ndarray, " steps"], bounds: Int[ndarray, "episodes 2"]
) -> Int[ndarray, " episodes"]:
    """Return the first step of each episode that goes from the open to the closed side."""
    changes = [
        start + 1 + np.flatnonzero(is_high[start + 1 : end] != is_high[start : end - 1])
        for start, end in bounds.tolist()
    ]
    left = [is_high[each[0] - 1] for each in changes if len(each)]
    is_high_open = 2 * sum(map(bool, left)) > len(left)
    to_closed = [each[is_high[each] != is_high_open] for each in changes]
    return np.array([each[0] if len(each) else NEVER for each in to_closed], dtype=np.int64)
