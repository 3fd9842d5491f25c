"""Print how fast shuffled training samples come from Plait and from LeRobot, on the same files.

    python benchmarks/loader.py DATASET [--episodes 20] [--lerobot .venv-lerobot/bin/python]

DATASET is a LeRobot dataset of real episodes; some of them are written anew as h264 with a key
frame every second frame, as LeRobot records, and both sides read these very files: a frame of every
camera, the state, a chunk of actions with its padding, and the instruction, in batches of 32. Plait
keeps frames in each of its ways: `raw` and `jpeg` are caches, `direct` is none.
LeRobot runs in its own environment (`make interop` makes one) with no worker and with two; the
better of the two in a round is what it is compared to. Rounds alternate, so that what else the
machine does falls on both.
"""

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from plait.data.dataset import Demonstrations
from plait.data.episode import EpisodeData
from plait.data.frames.storage import DIRECT, JPEG, RAW, FrameStorage
from plait.data.lerobot.writer import LeRobotWriter
from plait.results import describe_machine

BATCH_SIZE, HORIZON = 32, 16
WORKERS = (0, 2)
NUM_BATCHES = {RAW: 400, JPEG: 60, DIRECT: 20}
LEROBOT_SIDE = Path(__file__).with_name("lerobot_loader.py")


def write_anew(source: Path, num_episodes: int, root: Path) -> None:
    """Write the first episodes of a dataset as video."""
    data = Demonstrations.open(source)
    with LeRobotWriter(root, fps=data.fps, storage="video") as writer:
        for start, end in data.episode_bounds[:num_episodes]:
            batch = data.gather(np.arange(start, end))
            observation = batch.observation
            images = {
                camera: image[:, -1].permute(0, 2, 3, 1).numpy()
                for camera, image in observation.images.items()
            }
            proprio = observation.proprio[:, -1].numpy()
            actions = batch.action_chunk.actions[:, 0].numpy()
            writer.add(EpisodeData(images, proprio, actions, observation.instruction[0]))


def plait_side(data: Demonstrations, rng: np.random.Generator) -> float:
    """Gather shuffled batches and return samples a second."""
    count = NUM_BATCHES[data.storage] * BATCH_SIZE
    epochs = -(-count // data.num_steps)
    steps = np.concatenate([rng.permutation(data.num_steps) for _ in range(epochs)])[:count]
    start = time.perf_counter()
    for first in range(0, len(steps), BATCH_SIZE):
        data.gather(steps[first : first + BATCH_SIZE])
    return len(steps) / (time.perf_counter() - start)


class LeRobotSide:
    """A process of LeRobot that times batches when asked.

    Args:
        python: Interpreter of LeRobot's environment.
        root: Folder of the dataset.
        workers: Workers of its loader.
    """

    def __init__(self, python: str, root: Path, workers: int) -> None:
        command = [python, str(LEROBOT_SIDE), str(root), "--workers", str(workers)]
        command += ["--batch-size", str(BATCH_SIZE), "--horizon", str(HORIZON)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.backend = self._answer("ready")

    def rate(self, num_batches: int) -> float:
        """Return samples a second."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{num_batches}\n")
        self._process.stdin.flush()
        return float(self._answer("rate"))

    def _answer(self, word: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(f"{word} "):
                return line.split()[1]
        raise SystemExit(f"{LEROBOT_SIDE.name} ended; its message is above")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def main() -> None:
    """Write the episodes, time both sides in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lerobot-batches", type=int, default=20)
    parser.add_argument("--lerobot", default=".venv-lerobot/bin/python")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        root = Path(folder) / "episodes"
        write_anew(options.dataset, options.episodes, root)
        plait = {}
        for kind in NUM_BATCHES:
            start = time.perf_counter()
            storage = FrameStorage(kind)
            data = Demonstrations.open(root, action_horizon=HORIZON, storage=storage)
            plait[kind] = data
            print(f"{kind}: opened the first time in {time.perf_counter() - start:.1f} s")
        print(
            f"{data.num_episodes} episodes, {data.num_steps} steps, {len(data.cameras)} camera(s)"
        )
        lerobot = {number: LeRobotSide(options.lerobot, root, number) for number in WORKERS}
        sides: dict[str, Callable[[], float]] = {
            f"LeRobot, {number} workers ({side.backend})": (
                lambda side=side: side.rate(options.lerobot_batches)
            )
            for number, side in lerobot.items()
        }
        for kind, data in plait.items():
            sides[f"Plait, {kind}"] = lambda data=data: plait_side(data, rng)
        rates = [{name: run() for name, run in sides.items()} for _ in range(options.rounds)]
        for side in lerobot.values():
            side.close()
    print("\n| loader | samples/s | of LeRobot's better, median of rounds |")
    print("| --- | ---: | ---: |")
    for name in sides:
        ratios = [each[name] / max(list(each.values())[: len(WORKERS)]) for each in rates]
        median = statistics.median(each[name] for each in rates)
        print(f"| {name} | {median:,.0f} | {statistics.median(ratios):.2f} |")
    machine = describe_machine()
    print(f"\n{machine.processor}, {machine.num_cores} cores, Python {machine.python}")


if __name__ == "__main__":
    main()
