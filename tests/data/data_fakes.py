"""Small synthetic episodes and datasets; sizes are distinct primes where nothing else decides."""

import contextlib
import json
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.data.episode import EpisodeData
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter

INFO = "meta/info.json"
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
TASKS = "meta/tasks.parquet"

HEIGHT, WIDTH = 11, 13
PROPRIO_DIM, ACTION_DIM = 5, 3


def make_episode(seed, *, size=(HEIGHT, WIDTH), length=None):
    rng = np.random.default_rng(seed)
    length = length or 7 + seed % 3
    images = {
        camera: rng.integers(0, 256, (length, *size, 3), dtype=np.uint8)
        for camera in ("base", "wrist")
    }
    proprio = rng.normal(size=(length, PROPRIO_DIM)).astype(np.float32)
    action = rng.uniform(-1, 1, (length, ACTION_DIM)).astype(np.float32)
    return EpisodeData(images, proprio, action, f"do task {seed % 2}")


def smooth_episode(seed, length=10):
    """Moving gradients, which h264 keeps nearly as they are."""
    steps, rows, columns = np.ogrid[:length, :32, :48]
    red = np.broadcast_to(40 + 4 * steps + 2 * rows + 0 * columns, (length, 32, 48))
    green = np.broadcast_to(30 + 10 * seed + 0 * steps + 0 * rows + 2 * columns, red.shape)
    frames = np.stack([red, green, np.full_like(red, 90)], axis=-1).astype(np.uint8)
    full = make_episode(seed, length=length)
    return EpisodeData({"base": frames}, full.proprio, full.action, full.instruction)


def write_dataset(root, num_episodes=4, **options):
    episodes = [make_episode(seed) for seed in range(num_episodes)]
    with LeRobotWriter(root, fps=10, **options) as writer:
        for episode in episodes:
            writer.add(episode)
    return episodes


def edit_table(path, edit):
    """Rewrite a parquet file, e.g. to plant a mistake."""
    pq.write_table(edit(pq.read_table(path)), path)


def tree(root):
    """Every file's content by its path."""
    root = Path(root)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@contextlib.contextmanager
def full_disk(num_bytes):
    """Let no file of this process grow beyond a size: the system's own error, not a mock."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Episodes:
    """Episodes for processes: some seeds fail, and one kills its process the first time.

    Every call leaves a file behind, so that a test can count them.
    """

    def __init__(self, log, *, failing=(), deadly=None):
        self.log, self.failing, self.deadly = Path(log), frozenset(failing), deadly

    def __call__(self, seed):
        call = self.log / f"{seed}-{len(list(self.log.glob(f'{seed}-*')))}"
        call.touch()
        if seed == self.deadly and call.name.endswith("-0"):
            os.kill(os.getpid(), signal.SIGKILL)
        return None if seed in self.failing else make_episode(seed)

    def calls(self):
        return sorted(int(path.name.split("-")[0]) for path in self.log.iterdir())


def read_all(root):
    reader = LeRobotReader.open(root)
    for camera in reader.cameras:
        for _ in reader.frames(camera):
            pass
    return reader


def edit_info(root, **changes):
    info = json.loads((root / INFO).read_text())
    info |= changes
    (root / INFO).write_text(json.dumps(info))


def edit_feature(root, key, **changes):
    info = json.loads((root / INFO).read_text())
    info["features"][key] |= changes
    (root / INFO).write_text(json.dumps(info))


def set_column(path, name, values, kind=None):
    def edit(table):
        return table.set_column(table.column_names.index(name), name, pa.array(values, kind))

    edit_table(path, edit)
