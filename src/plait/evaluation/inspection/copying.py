"""How well is an action predicted by the state at the same step, without looking at anything?

Where recorded actions are joint targets, they lie close to the state. A policy then scores well by
copying, and its R² says nothing; what it has to learn shows in targets ahead of the state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray

from plait.data.survey import Rows
from plait.evaluation.explained import even, share_of
from plait.evaluation.ridge import ridge_predict, unit_kernel
from plait.evaluation.scenes import split_groups
from plait.results import Estimate
from plait.results.inspection import COPY, LINEAR, WARNING, Baseline, Copying, Finding
from plait.wording import percent

FEWEST_EPISODES = 4
MAX_TRAIN, MAX_TEST = 2000, 1500
AHEAD_S = 1.0
NEARLY_ALL = 0.9
# The state is in the units of the action where copying explains at least this much.
SAME_UNITS = 0.5


@dataclass(frozen=True)
class Sides:
    """Steps to learn from, and steps to measure on, of other episodes.

    Attributes:
        train: Rows learned from.
        test: Rows measured on.
        train_episodes: Episode of each.
        test_episodes: Episode of each.
    """

    train: Int64[ndarray, " train"]
    test: Int64[ndarray, " test"]
    train_episodes: Int64[ndarray, " train"]
    test_episodes: Int64[ndarray, " test"]


def measure_copying(
    rows: Rows,
    state: str,
    action: str,
    fps: float,
    copies: Sequence[Sequence[int]] = (),
    *,
    seed: int = 0,
) -> Copying:
    """Measure R² of held-out actions by the state, now and ahead of it.

    Args:
        rows: The numbers.
        state: Feature of the state.
        action: Feature of the action.
        fps: Steps a second.
        copies: Groups of episodes that are the same; each goes to one side.
        seed: Of which episodes are held out.
    """
    groups = _groups(rows, copies)
    if len(np.unique(groups)) < FEWEST_EPISODES:
        return Copying(reason=f"there are fewer than {FEWEST_EPISODES} distinct episodes")
    ahead = max(min(round(AHEAD_S * fps), int(np.median(rows.lengths)) // 2), 1)
    sides = _divide(rows, (state, action), groups, ahead, seed)
    if not len(sides.train) or not len(sides.test):
        return Copying(reason="too few steps are finite, or episodes too short")
    states, actions = (rows.vectors[key].astype(np.float64) for key in (state, action))
    baselines = []
    is_same = False
    if states.shape == actions.shape:
        copied = _explained(actions[sides.test], states[sides.test], actions, sides, seed)
        # Where states and actions are of different kinds, taking one for the other means nothing.
        if copied is not None and copied.value >= SAME_UNITS:
            is_same = True
            baselines.append(Baseline(model=COPY, target="action(t)", explained=copied))
    later = f"action(t + {ahead / fps:.2g} s)"
    targets = {"action(t)": actions, later: _ahead(actions, ahead)}
    if is_same:
        targets = {"action(t)": actions, f"{later} − state(t)": _ahead(actions, ahead) - states}
    for name, target in targets.items():
        found = _by_ridge(states, target, sides, seed)
        if found is not None:
            baselines.append(Baseline(model=LINEAR, target=name, explained=found))
    if not baselines:
        return Copying(reason="no action ever changes")
    return Copying(
        num_test_episodes=len(np.unique(sides.test_episodes)), baselines=tuple(baselines)
    )


def _groups(rows: Rows, copies: Sequence[Sequence[int]]) -> Int64[ndarray, " episodes"]:
    """Number the distinct episodes."""
    first = {episode: group[0] for group in copies for episode in group}
    leaders = [first.get(episode, episode) for episode in rows.episodes.tolist()]
    return np.unique(leaders, return_inverse=True)[1]


def _divide(
    rows: Rows,
    keys: Sequence[str],
    groups: Int64[ndarray, " episodes"],
    ahead: int,
    seed: int,
) -> Sides:
    """Hold episodes out, and draw from both sides steps that have one ahead."""
    ends = np.repeat(rows.bounds[:, 1], rows.lengths)
    usable = np.arange(len(rows)) + ahead < ends
    for key in keys:
        is_finite = np.isfinite(rows.vectors[key]).all(axis=1)
        usable &= is_finite & np.append(is_finite[ahead:], np.zeros(min(ahead, len(rows)), bool))
    sides = []
    which = np.repeat(np.arange(len(rows.episodes)), rows.lengths)
    for side, most in zip(split_groups(groups, seed), (MAX_TRAIN, MAX_TEST), strict=True):
        sides.append(even(np.flatnonzero(usable & np.isin(which, side)), most))
    return Sides(sides[0], sides[1], which[sides[0]], which[sides[1]])


def _ahead(values: Float[ndarray, "rows dims"], steps: int) -> Float[ndarray, "rows dims"]:
    """Return the values some steps later; rows without one are never drawn."""
    return np.concatenate([values[steps:], values[-1:].repeat(steps, axis=0)])


def _by_ridge(
    states: Float[ndarray, "rows state_dim"],
    target: Float[ndarray, "rows dims"],
    sides: Sides,
    seed: int,
) -> Estimate | None:
    known, asked = states[sides.train], states[sides.test]
    # A line goes far astray beyond the states it was learned from: the nearest of them is taken.
    asked = np.clip(asked, known.min(axis=0), known.max(axis=0))
    kernel = unit_kernel(torch.from_numpy(known), torch.from_numpy(asked), each=True)
    spread = _spread(target, sides)
    scale = np.where(np.isfinite(spread), spread, 1.0)
    learned = torch.from_numpy(target[sides.train] / scale)
    predicted = ridge_predict(kernel, learned, sides.train_episodes, seed).numpy() * scale
    return _explained(target[sides.test], predicted, target, sides, seed)


def _explained(
    right: Float[ndarray, "test dims"],
    predicted: Float[ndarray, "test dims"],
    target: Float[ndarray, "rows dims"],
    sides: Sides,
    seed: int,
) -> Estimate | None:
    """Return R², each dimension in units of its spread; None where nothing changes."""
    spread, mean = _spread(target, sides), target[sides.train].mean(axis=0)
    errors = (((right - predicted) / spread) ** 2).sum(axis=1)
    total = (((right - mean) / spread) ** 2).sum(axis=1)
    if not total.sum():
        return None
    parts, whole = torch.from_numpy(total - errors), torch.from_numpy(total)
    return share_of(parts, whole, sides.test_episodes, seed)


def _spread(target: Float[ndarray, "rows dims"], sides: Sides) -> Float[ndarray, " dims"]:
    """Return the spread of each dimension; infinite where it never changes, so that it counts 0.

    Of both sides: what hardly changes in the few training episodes would weigh far too much.
    """
    drawn = target[np.concatenate([sides.train, sides.test])]
    spread = drawn.std(axis=0)
    return np.where(spread > 1e-9 + 1e-6 * np.abs(drawn).max(axis=0), spread, np.inf)


def check_copying(copying: Copying) -> Iterator[Finding]:
    """Say so where the state is nearly the action."""
    now = [each for each in copying.baselines if each.target == "action(t)"]
    best = max(now, key=lambda each: each.explained.low, default=None)
    if best is None or best.explained.low < NEARLY_ALL:
        return
    by = "The state itself" if best.model == COPY else "A linear map of the state"
    later = copying.baselines[-1]
    share = percent(later.explained.value)
    yield Finding(
        severity=WARNING,
        where="action",
        found=f"{by} explains {percent(best.explained.value)} of the variance of held-out actions "
        "at the same step (R²): copying the state is nearly enough, and a policy can score well "
        "without looking.",
        todo="Train on future or relative targets (action mode relative or delta), and compare "
        "every policy with copying: of "
        f"{later.target} the same linear map explains {share}.",
    )
