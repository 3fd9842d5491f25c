"""Healthy recordings as arrays and as folders, to plant one mistake at a time in."""

import numpy as np

from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter
from plait.data.survey import Rows

STATE, ACTION = "observation.state", "action"
FPS = 10.0
STATE_DIM, ACTION_DIM = 3, 2


def wander(rng, length, dims):
    """A smooth path that never rests."""
    steps = rng.normal(size=(length, dims)) + np.sign(rng.normal(size=dims))
    return np.cumsum(0.1 * steps, axis=0).astype(np.float32)


def make_rows(lengths=(40, 50, 60, 45, 55), seed=0, **changes):
    """Rows of healthy episodes; `changes` replace fields."""
    rng = np.random.default_rng(seed)
    number = sum(lengths)
    step = np.concatenate([np.arange(length) for length in lengths])
    fields = {
        "vectors": {
            STATE: np.concatenate([wander(rng, n, STATE_DIM) for n in lengths]),
            ACTION: rng.normal(size=(number, ACTION_DIM)).astype(np.float32),
        },
        "timestamp": (step / FPS).astype(np.float32).astype(np.float64),
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "frame_index": step,
        "task_index": np.zeros(number, dtype=np.int64),
        "source": np.stack([np.zeros(number, dtype=np.int64), np.arange(number)], axis=1),
    }
    return Rows(**(fields | changes))


def with_vector(rows, key, change):
    """Return the rows with one feature changed in place by a function."""
    values = rows.vectors[key].copy()
    change(values)
    vectors = {**rows.vectors, key: values}
    return Rows(**{**vars_of(rows), "vectors": vectors})


def vars_of(rows):
    names = ("vectors", "timestamp", "episode_index", "frame_index", "task_index", "source")
    return {name: getattr(rows, name) for name in (*names, "files", "absent")}


def told(findings):
    """Everything that findings say, as severity and sentence."""
    return [(finding.severity, f"{finding.where}: {finding.found}") for finding in findings]


def scenery(rng, size=(32, 48)):
    """Smooth random picture."""
    coarse = rng.integers(40, 220, (4, 6, 3))
    return np.kron(coarse, np.ones((size[0] // 4, size[1] // 6, 1))).astype(np.uint8)


def make_episode(seed, *, length=30, instruction="do it", camera=None):
    """An episode whose picture slides as the state moves; `camera` replaces the frames."""
    rng = np.random.default_rng(seed)
    background = scenery(rng)
    frames = np.stack([np.roll(background, 2 * step, axis=1) for step in range(length)])
    shown = frames if camera is None else camera(frames)
    proprio = wander(rng, length, STATE_DIM)
    action = rng.normal(size=(length, ACTION_DIM)).astype(np.float32)
    return EpisodeData({"base": frames, "other": shown}, proprio, action, instruction)


def write(root, episodes=None, **options):
    """Write episodes; the other camera slides the other way unless they say otherwise."""
    if episodes is None:
        episodes = [make_episode(seed, camera=lambda frames: frames[::-1]) for seed in range(5)]
    with LeRobotWriter(root, fps=int(FPS), **options) as writer:
        for episode in episodes:
            writer.add(episode)
    return root
