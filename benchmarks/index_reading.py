"""Print how long a large dataset takes to open, and how much memory: its index, without images.

    python benchmarks/index_reading.py [--frames 1000000] [--episodes 3000] [--layout v3.0]

Writes a dataset of random numbers (26 states, 26 actions, as of a humanoid's upper body, with the
statistics of every episode that LeRobot keeps in the same table) and opens it in a fresh process,
three times.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.data.lerobot import layout_v2
from plait.data.lerobot.format import DATA_PATH, EPISODES_PATH, FILES_PER_CHUNK, VIDEO_PATH
from plait.data.lerobot.metadata import write_info, write_tasks

DIM, FPS, NUM_TASKS, NUM_CAMERAS = 26, 30, 50, 3
EPISODES_PER_FILE = 500
STATISTICS = ("min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99")
DATA_V2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
OPEN = """
import resource, sys, time
from pathlib import Path
start = time.perf_counter()
from plait.data.lerobot.reader import LeRobotReader
imported, before = time.perf_counter(), time.process_time()
reader = LeRobotReader.open(Path(sys.argv[1]))
seconds = time.perf_counter() - imported
busy = time.process_time() - before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{len(reader.action):,} steps, {len(reader.episode_bounds):,} episodes: {seconds:.2f} s "
      f"({busy:.2f} s busy; {imported - start:.2f} s of imports before), at most {peak:.0f} MiB")
"""


def lengths_of(num_frames: int, num_episodes: int) -> np.ndarray:
    """Return lengths that differ, and add up."""
    rng = np.random.default_rng(0)
    cuts = np.sort(rng.choice(np.arange(1, num_frames), num_episodes - 1, replace=False))
    return np.diff(np.r_[0, cuts, num_frames])


def rows_of(episode: int, length: int, first: int) -> pa.Table:
    """Make the rows of one episode."""
    rng = np.random.default_rng(episode)
    columns = {}
    for key in ("observation.state", "action"):
        flat = pa.array(rng.normal(size=length * DIM).astype(np.float32))
        columns[key] = pa.FixedSizeListArray.from_arrays(flat, DIM)
    steps = np.arange(length)
    columns |= {
        "timestamp": pa.array((steps / FPS).astype(np.float32)),
        "frame_index": pa.array(steps),
        "episode_index": pa.array(np.full(length, episode)),
        "index": pa.array(steps + first),
        "task_index": pa.array(np.full(length, episode % NUM_TASKS)),
    }
    return pa.table(columns)


def features() -> dict[str, dict[str, object]]:
    """Describe the features."""
    found: dict[str, dict[str, object]] = {
        key: {"dtype": "float32", "shape": [DIM], "names": None}
        for key in ("observation.state", "action")
    }
    return found


def write_v3(root: Path, lengths: np.ndarray) -> None:
    """Write the rows, a file every 500 episodes, and the table of the episodes."""
    firsts = np.cumsum(lengths) - lengths
    cameras = [f"observation.images.camera_{index}" for index in range(NUM_CAMERAS)]
    for start in range(0, len(lengths), EPISODES_PER_FILE):
        path = root / DATA_PATH.format(chunk_index=0, file_index=start // EPISODES_PER_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = rows_of(0, 1, 0)
        with pq.ParquetWriter(path, rows.schema) as writer:
            for episode in range(start, min(start + EPISODES_PER_FILE, len(lengths))):
                writer.write_table(rows_of(episode, int(lengths[episode]), int(firsts[episode])))
    table = {
        "episode_index": np.arange(len(lengths)),
        "tasks": [[f"do task {episode % NUM_TASKS}"] for episode in range(len(lengths))],
        "length": lengths,
        "data/chunk_index": np.zeros(len(lengths), dtype=np.int64),
        "data/file_index": np.arange(len(lengths)) // EPISODES_PER_FILE,
        "dataset_from_index": firsts,
        "dataset_to_index": firsts + lengths,
    }
    for key in cameras:
        table[f"videos/{key}/chunk_index"] = np.zeros(len(lengths), dtype=np.int64)
        table[f"videos/{key}/file_index"] = np.arange(len(lengths)) // 50
        table[f"videos/{key}/from_timestamp"] = np.zeros(len(lengths))
        table[f"videos/{key}/to_timestamp"] = lengths / FPS
    values = np.random.default_rng(1).normal(size=(len(lengths), DIM)).tolist()
    for key in ("observation.state", "action"):
        table |= {f"stats/{key}/{name}": values for name in STATISTICS}
    pixels = np.random.default_rng(1).uniform(size=(len(lengths), 3, 1, 1)).tolist()
    for key in cameras:
        table |= {f"stats/{key}/{name}": pixels for name in STATISTICS}
    path = root / EPISODES_PATH.format(chunk_index=0, file_index=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)
    write_tasks(root, [f"do task {index}" for index in range(NUM_TASKS)])


def write_v2(root: Path, lengths: np.ndarray) -> None:
    """Write the rows, a file an episode, and the list of the episodes."""
    firsts = np.cumsum(lengths) - lengths
    lines = []
    for episode, length in enumerate(lengths.tolist()):
        chunk = episode // FILES_PER_CHUNK
        path = root / DATA_V2.format(episode_chunk=chunk, episode_index=episode)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows_of(episode, length, int(firsts[episode])), path)
        tasks = [f"do task {episode % NUM_TASKS}"]
        lines.append(json.dumps({"episode_index": episode, "tasks": tasks, "length": length}))
    (root / "meta").mkdir()
    (root / layout_v2.EPISODES_FILE).write_text("\n".join(lines))
    tasks = [{"task_index": index, "task": f"do task {index}"} for index in range(NUM_TASKS)]
    (root / layout_v2.TASKS_FILE).write_text("\n".join(json.dumps(task) for task in tasks))


def write(root: Path, layout: str, num_frames: int, num_episodes: int) -> None:
    """Write a dataset of either layout."""
    lengths = lengths_of(num_frames, num_episodes)
    (write_v2 if layout == "v2.1" else write_v3)(root, lengths)
    described = features()
    if layout == "v3.0":
        for index in range(NUM_CAMERAS):
            camera = {"dtype": "video", "shape": [480, 640, 3], "names": None}
            described[f"observation.images.camera_{index}"] = camera
    write_info(
        root, described, num_episodes=num_episodes, num_steps=num_frames, num_tasks=NUM_TASKS,
        fps=FPS, robot_type=None, file_mb=100,
    )  # fmt: skip
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    if layout == "v2.1":
        info |= {"codebase_version": "v2.1", "data_path": DATA_V2}
    else:
        info["video_path"] = VIDEO_PATH
    path.write_text(json.dumps(info))


def main() -> None:
    """Write the dataset and open it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--episodes", type=int, default=3000)
    parser.add_argument("--layout", choices=["v2.1", "v3.0"], default="v3.0")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        write(root, options.layout, options.frames, options.episodes)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        print(f"LeRobot {options.layout}, {size / 2**20:.0f} MiB on disk")
        for _ in range(3):
            subprocess.run([sys.executable, "-c", OPEN, str(root)], check=True)


if __name__ == "__main__":
    main()
