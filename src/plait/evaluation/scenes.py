"""Which episodes start from the same scene, and how many instructions a scene has.

Two episodes count as one scene where their first frames are near-identical: averaged over the
cells of a coarse grid, no cell of any camera differs by more than a tolerance. Averaging forgives
the noise of a camera; the largest difference, rather than the mean, notices one object moved.
"""

from collections import Counter

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from scipy.spatial.distance import cdist
from torch.nn.functional import adaptive_avg_pool2d

from plait.results.shortcuts import BY_EPISODE, BY_SCENE, SceneSharing

GRID = 16
TOLERANCE = 16.0
NUM_NEIGHBOURS = 5
HELD_OUT = 0.3
ROWS_AT_ONCE = 512


def coarse(
    frames: UInt8[ndarray, "episodes channels height width_px"],
) -> Float[ndarray, "episodes cells"]:
    """Average frames over the cells of a coarse grid, in grey levels."""
    cells = [
        adaptive_avg_pool2d(torch.from_numpy(part).float(), GRID).flatten(1)
        for part in np.array_split(frames, -(-len(frames) // 256))
    ]
    return torch.cat(cells).double().numpy()


def scene_labels(
    cells: Float[ndarray, "episodes cells"], tolerance: float = TOLERANCE
) -> Int64[ndarray, " episodes"]:
    """Number the scenes: a frame joins the first scene whose first frame it resembles.

    Comparing with first frames alone keeps a slow drift from chaining all frames into one scene.
    """
    labels = np.full(len(cells), -1, dtype=np.int64)
    for index in range(len(cells)):
        if labels[index] >= 0:
            continue
        # Everything before has a scene already; what comes later may resemble this new one.
        rest = index + np.flatnonzero(labels[index:] < 0)
        distance = cdist(cells[index : index + 1], cells[rest], "chebyshev")[0]
        labels[rest[distance <= tolerance]] = labels.max() + 1
    return labels


def scene_sharing(
    cells: Float[ndarray, "episodes cells"],
    scenes: Int64[ndarray, " episodes"],
    instructions: Int64[ndarray, " episodes"],
) -> SceneSharing:
    """Count the instructions of every scene, and of every first frame's nearest others."""
    told = [set(instructions[scenes == scene].tolist()) for scene in range(scenes.max() + 1)]
    sizes = np.bincount(scenes)
    counts = Counter(len(texts) for texts in told)
    is_shared = np.array([len(texts) > 1 for texts in told])
    neighbours = nearest(cells, NUM_NEIGHBOURS)
    around = np.concatenate([instructions[:, None], instructions[neighbours]], axis=1)
    alike = around[:, 1:] == around[:, :1]
    return SceneSharing(
        tolerance=TOLERANCE,
        num_scenes=len(told),
        num_repeated=int((sizes > 1).sum()),
        scenes_by_instructions={str(number): counts[number] for number in sorted(counts)},
        shared_episodes=float(is_shared[scenes].mean()),
        num_neighbours=neighbours.shape[1],
        neighbour_instructions=float(np.mean([len(set(row)) for row in around.tolist()])),
        neighbours_alike=float(alike.mean()) if alike.size else 0.0,
        neighbours_chance=chance_alike(instructions),
    )


def nearest(
    cells: Float[ndarray, "episodes cells"], number: int
) -> Int64[ndarray, "episodes neighbours"]:
    """Return the other frames nearest to each, by Euclidean distance; fewer where there are few."""
    number = min(number, len(cells) - 1)
    squares, found = (cells**2).sum(axis=1), []
    # In parts, so that memory does not grow with the square of the episodes.
    for rows in np.array_split(np.arange(len(cells)), -(-len(cells) // ROWS_AT_ONCE)):
        distance = squares[rows, None] + squares - 2 * cells[rows] @ cells.T
        distance[np.arange(len(rows)), rows] = np.inf
        found.append(np.argsort(distance, axis=1, kind="stable")[:, :number])
    return np.concatenate(found)


def chance_alike(instructions: Int64[ndarray, " episodes"]) -> float:
    """Return the probability that two different episodes have the same instruction."""
    counts = np.bincount(instructions).astype(np.float64)
    pairs = len(instructions) * (len(instructions) - 1)
    return float((counts * (counts - 1)).sum() / pairs) if pairs else 0.0


def split_groups(
    groups: Int64[ndarray, " episodes"], seed: int
) -> tuple[Int64[ndarray, " training"], Int64[ndarray, " test"]]:
    """Hold out about 30 % of the episodes; those of one group go to the same side.

    Returns:
        Positions in `groups`; nothing is held out where every group is larger than that.
    """
    room = max(round(HELD_OUT * len(groups)), 1)
    sizes, is_held_out = np.bincount(groups), np.zeros(groups.max() + 1, dtype=bool)
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[group] <= room:
            is_held_out[group] = True
            room -= sizes[group]
    chosen = is_held_out[groups]
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def split_scenes(
    scenes: Int64[ndarray, " episodes"],
    instructions: Int64[ndarray, " episodes"],
    fewest: int,
    seed: int,
) -> tuple[str, Int64[ndarray, " training"], Int64[ndarray, " test"]]:
    """Hold out whole scenes, so that none is recognised; episodes where scenes are too few.

    Where an instruction has a scene or two of its own, that is the very shortcut looked for, and
    holding the scene out would hide it.

    Args:
        scenes: Scene of each episode.
        instructions: Instruction of each episode.
        fewest: Episodes an instruction must have to be judged, and so the scenes it needs here.
        seed: Of the draw.

    Returns:
        What was held out, `scene` or `episode`, and the positions of the two sides.
    """
    common = np.flatnonzero(np.bincount(instructions) >= fewest)
    variety = [len(set(scenes[instructions == text].tolist())) for text in common]
    if min(variety, default=0) >= fewest:
        train, test = split_groups(scenes, seed)
        if len(test) >= HELD_OUT / 2 * len(scenes):
            return BY_SCENE, train, test
    return (BY_EPISODE, *split_groups(np.arange(len(scenes)), seed))
