"""Which episodes are there twice, to the bit or nearly, and do splits share any?

Never all pairs: exact copies have the same hash, and near ones are looked for among the nearest
neighbours in a few random directions, then compared in full.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray
from scipy.spatial import cKDTree

from plait.data.survey import Rows
from plait.evaluation.inspection.numbers import spread_of
from plait.results.inspection import ERROR, NOTE, WARNING, Finding
from plait.wording import counted, few, some

NUM_SAMPLES, NUM_DIRECTIONS, NUM_NEIGHBOURS = 32, 8, 8
# Root mean square difference, in standard deviations of each dimension; and of the lengths.
CLOSE, LENGTH_RATIO = 0.1, 0.05
# Correlation of the steps from sample to sample.
ALIKE = 0.95
Groups = list[list[int]]


def exact_copies(rows: Rows, features: Sequence[str]) -> Groups:
    """Return the episodes whose numbers are the same to the bit, in groups of two or more.

    Episodes in which nothing changes are left out: standing still twice is no copy.
    """
    groups: dict[bytes, list[int]] = {}
    for episode, part in rows.slices():
        values = [np.ascontiguousarray(rows.vectors[key][part]) for key in features]
        if any((each != each[:1]).any() for each in values):
            content = b"".join(each.tobytes() for each in values)
            groups.setdefault(hashlib.sha256(content).digest(), []).append(episode)
    return [group for group in groups.values() if len(group) > 1]


def near_copies(
    rows: Rows, key: str, skip: frozenset[int] = frozenset(), seed: int = 0
) -> list[tuple[int, int]]:
    """Return pairs of episodes whose numbers, resampled to one length, are nearly the same.

    Args:
        rows: The numbers.
        key: Feature that is compared.
        skip: Episodes to leave out, such as exact copies of others.
        seed: Of the directions in which neighbours are looked for.
    """
    kept = [(episode, part) for episode, part in rows.slices() if episode not in skip]
    curves = _curves(rows.vectors[key], [part for _, part in kept])
    moves = np.ptp(curves.reshape(len(curves), NUM_SAMPLES, -1), axis=1).max(axis=1, initial=0) > 0
    usable = np.isfinite(curves).all(axis=1) & moves
    episodes = np.array([episode for episode, _ in kept])[usable]
    lengths = np.array([part.stop - part.start for _, part in kept])[usable]
    curves = curves[usable]
    if len(curves) < 2:
        return []
    directions = np.random.default_rng(seed).normal(size=(curves.shape[1], NUM_DIRECTIONS))
    places = curves @ directions
    _, nearest = cKDTree(places).query(places, k=min(NUM_NEIGHBOURS + 1, len(places)))
    pairs = {
        (min(i, int(j)), max(i, int(j))) for i, row in enumerate(nearest) for j in row if i != j
    }
    return [
        (int(episodes[i]), int(episodes[j]))
        for i, j in sorted(pairs)
        if abs(lengths[i] / lengths[j] - 1) <= LENGTH_RATIO and _is_copy(curves[i], curves[j])
    ]


def _is_copy(a: Float[ndarray, " samples"], b: Float[ndarray, " samples"]) -> bool:
    """Whether two resampled episodes run close together, and turn at the same moments.

    Two demonstrations of one task run close together, too; only copies share every tremor.
    """
    if np.sqrt(np.mean((a - b) ** 2)) >= CLOSE:
        return False
    turns = [np.diff(curve.reshape(NUM_SAMPLES, -1), axis=0).ravel() for curve in (a, b)]
    lengths = np.linalg.norm(turns[0]) * np.linalg.norm(turns[1])
    return bool(lengths > 0 and turns[0] @ turns[1] >= ALIKE * lengths)


def _curves(
    values: Float[ndarray, "rows dims"], parts: Sequence[slice]
) -> Float[ndarray, "episodes samples"]:
    """Resample every episode to one length, each dimension in units of its spread."""
    spread = spread_of(values)
    moving = spread > 0
    scaled = values[:, moving] / spread[moving]
    curves = []
    for part in parts:
        at = np.linspace(0, part.stop - part.start - 1, NUM_SAMPLES)
        low = at.astype(np.int64)
        high = np.minimum(low + 1, part.stop - part.start - 1)
        weight = (at - low)[:, None]
        episode = scaled[part]
        curves.append(((1 - weight) * episode[low] + weight * episode[high]).ravel())
    return np.stack(curves) if curves else np.zeros((0, NUM_SAMPLES))


def grouped(pairs: Sequence[tuple[int, int]]) -> Groups:
    """Join pairs that share an episode into groups."""
    leader: dict[int, int] = {}

    def find(episode: int) -> int:
        while leader.setdefault(episode, episode) != episode:
            episode = leader[episode]
        return episode

    for first, second in pairs:
        leader[find(second)] = find(first)
    groups: dict[int, list[int]] = {}
    for episode in sorted(leader):
        groups.setdefault(find(episode), []).append(episode)
    return list(groups.values())


def seen_alike(
    pairs: Sequence[tuple[int, int]],
    views: Mapping[int, Float[ndarray, " cells"]],
    tolerance: float,
) -> list[tuple[int, int]]:
    """Keep the pairs whose first frames are alike, too; all of which no frame is known.

    Args:
        pairs: Episodes with nearly the same actions.
        views: First frame of an episode on a coarse grid.
        tolerance: Grey levels by which no cell may differ.
    """
    return [
        (a, b)
        for a, b in pairs
        if a not in views or b not in views or float(np.abs(views[a] - views[b]).max()) <= tolerance
    ]


def check_copies(exact: Groups, near: Groups) -> Iterator[Finding]:
    """Say which episodes are there more than once."""
    for groups, how, severity in (
        (exact, "to the bit the same as another", WARNING),
        (near, "nearly the same as another, in actions and first frame", NOTE),
    ):
        if groups:
            extra = sum(len(group) - 1 for group in groups)
            shown = [" = ".join(map(str, group[:4])) for group in groups]
            yield Finding(
                severity=severity,
                where=some("episode", shown),
                found=f"{counted(extra, 'episode')} {how}.",
                todo="Leave the copies out, or keep each group on one side of every split: "
                "otherwise what is measured was learned by heart.",
            )


def read_splits(
    declared: object,
) -> tuple[dict[str, Int64[ndarray, " some"]], list[str]]:
    """Read `splits` of `info.json`, such as `{"train": "0:80", "test": "80:100"}`.

    Returns:
        Episodes of each split, and the names of those that cannot be read.
    """
    splits, unread = {}, []
    for name, text in declared.items() if isinstance(declared, dict) else ():
        try:
            low, high = (int(part) for part in str(text).split(":"))
            splits[str(name)] = np.arange(low, high)
        except ValueError:
            if isinstance(text, list) and all(isinstance(index, int) for index in text):
                splits[str(name)] = np.array(text, dtype=np.int64)
            else:
                unread.append(str(name))
    return splits, unread


def check_splits(
    declared: object, episodes: Int64[ndarray, " episodes"], exact: Groups, near: Groups
) -> Iterator[Finding]:
    """Look for episodes that two splits share, as themselves or as copies.

    Args:
        declared: What `info.json` says.
        episodes: Episodes that are there.
        exact: Groups of exact copies.
        near: Groups of near copies.
    """
    splits, unread = read_splits(declared)
    where = "splits in meta/info.json"
    if unread:
        yield Finding(
            severity=WARNING,
            where=where,
            found=f"{some('split', unread)} not written as first:end.",
            todo="Write them as LeRobot does, such as 0:80 for the first 80 episodes.",
        )
    names = list(splits)
    for number, first in enumerate(names):
        beyond = np.setdiff1d(splits[first], episodes)
        if len(beyond):
            yield Finding(
                severity=WARNING,
                where=where,
                found=f"{first} names {some('episode', beyond.tolist())}, which are not there.",
                todo="Correct the range.",
            )
        for second in names[number + 1 :]:
            yield from _check_pair(where, splits, first, second, exact, near)


def _check_pair(
    where: str,
    splits: Mapping[str, Int64[ndarray, " some"]],
    first: str,
    second: str,
    exact: Groups,
    near: Groups,
) -> Iterator[Finding]:
    todo = "Divide them again, by episode, with all copies on one side; nothing measured is valid."
    shared = np.intersect1d(splits[first], splits[second]).tolist()
    if shared:
        yield Finding(
            severity=ERROR,
            where=where,
            found=f"{first} and {second} share {some('episode', shared)}.",
            todo=todo,
        )
    for groups, word, severity in ((exact, "copies", ERROR), (near, "near copies", WARNING)):
        leaking = [
            group
            for group in groups
            if np.isin(group, splits[first]).any() and np.isin(group, splits[second]).any()
        ]
        if leaking and not shared:
            shown = [" = ".join(map(str, group[:4])) for group in leaking]
            yield Finding(
                severity=severity,
                where=where,
                found=f"{second} holds {word} of episodes in {first}: {few(shown)}.",
                todo=todo,
            )
