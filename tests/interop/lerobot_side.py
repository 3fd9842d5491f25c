"""What LeRobot itself reads and writes; runs in LeRobot's environment, without Plait.

    python lerobot_side.py read OUT DATASET...     # OUT/NAME.npz: all that LeRobot gives for each
    python lerobot_side.py write OUT               # OUT/{image,video,mixed,resumed}: datasets

Arrays cross over as `.npz`, since the two sides have different versions of everything.
"""

import argparse
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from lerobot.datasets.lerobot_dataset import LeRobotDataset

WINDOW, HORIZON = 2, 4
HEIGHT, WIDTH = 32, 48
FPS = 10
STATE_DIM, ACTION_DIM = 5, 3
IMAGE_PREFIX = "observation.images."
# Per episode, its instructions with the number of steps of each.
EPISODES = (
    (("pick up the red cube", 9),),
    (("open the drawer", 6), ("close the drawer", 5)),
    (("pick up the red cube", 12),),
)


def read(root: Path) -> dict[str, np.ndarray]:
    """Return every step of a dataset as LeRobot gives it, with windows and action chunks."""
    plain = LeRobotDataset("local/set", root=root)
    past = [(step + 1 - WINDOW) / plain.fps for step in range(WINDOW)]
    deltas = dict.fromkeys((*plain.meta.camera_keys, "observation.state"), past)
    deltas["action"] = [step / plain.fps for step in range(HORIZON)]
    items = LeRobotDataset("local/set", root=root, delta_timestamps=deltas, return_uint8=True)
    steps = [items[index] for index in range(len(items))]
    found = {"fps": np.array(plain.fps), "cameras": np.array(plain.meta.camera_keys)}
    for key, value in steps[0].items():
        values = [step[key] for step in steps]
        # Embedded images come as floats, whatever was asked for.
        if key in plain.meta.camera_keys and value.is_floating_point():
            values = [(255 * image).round().byte() for image in values]
        found[key] = np.array(values) if isinstance(value, str) else np.stack(values)
    for key, stats in plain.meta.stats.items():
        found |= {f"stats/{key}/{name}": np.asarray(stat) for name, stat in stats.items()}
    return found


def picture(episode: int, step: int, camera: int) -> np.ndarray:
    """Draw a picture that says which it is: video keeps slow gradients nearly as they are."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    red = 30 + 2 * rows + 6 * step
    green = 40 + 2 * columns + 20 * episode
    blue = np.full_like(red, 60 + 90 * camera)
    return np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)


def features(storages: dict[str, str]) -> dict[str, dict[str, object]]:
    """Describe the features for `LeRobotDataset.create`, cameras with their storage."""
    described: dict[str, dict[str, object]] = {
        IMAGE_PREFIX + camera: {
            "dtype": storage,
            "shape": (HEIGHT, WIDTH, 3),
            "names": ["height", "width", "channels"],
        }
        for camera, storage in storages.items()
    }
    for key, size in {
        "observation.state": STATE_DIM,
        "action": ACTION_DIM,
        "next.reward": 1,
    }.items():
        described[key] = {"dtype": "float32", "shape": (size,), "names": None}
    return described


def add_episodes(dataset: LeRobotDataset, storages: dict[str, str], episodes: list[int]) -> None:
    """Record episodes the way LeRobot's own scripts do, then finish the files."""
    for episode in episodes:
        rng = np.random.default_rng(episode)
        tasks = [task for task, count in EPISODES[episode] for _ in range(count)]
        for step, task in enumerate(tasks):
            frame = {
                IMAGE_PREFIX + camera: picture(episode, step, index)
                for index, camera in enumerate(storages)
            }
            frame["observation.state"] = rng.normal(size=STATE_DIM).astype(np.float32)
            frame["action"] = rng.uniform(-1, 1, ACTION_DIM).astype(np.float32)
            frame["next.reward"] = np.array([step / 10], dtype=np.float32)
            dataset.add_frame({**frame, "task": task})
        dataset.save_episode()
    dataset.finalize()


def write(root: Path, storages: dict[str, str], *, resumed: bool = False) -> None:
    """Write a dataset; resumed, its last episode is added by a second recording."""
    dataset = LeRobotDataset.create("local/set", FPS, features(storages), root=root)
    indices = list(range(len(EPISODES)))
    add_episodes(dataset, storages, indices[:-1] if resumed else indices)
    if resumed:
        add_episodes(LeRobotDataset.resume("local/set", root=root), storages, indices[-1:])


def main() -> None:
    """Read or write what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("read", "write"))
    parser.add_argument("out", type=Path)
    parser.add_argument("datasets", type=Path, nargs="*")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.what == "read":
        for root in options.datasets:
            np.savez(options.out / f"{root.name}.npz", **read(root))
        return
    write(options.out / "image", {"base": "image", "wrist": "image"})
    write(options.out / "video", {"base": "video", "wrist": "video"})
    write(options.out / "mixed", {"base": "image", "wrist": "video"})
    write(options.out / "resumed", {"base": "video"}, resumed=True)


if __name__ == "__main__":
    main()
