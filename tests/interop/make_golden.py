"""Write the golden dataset of the normal suite with LeRobot, and what LeRobot reads in it.

    .venv-lerobot/bin/python tests/interop/make_golden.py

Made once and kept in `tests/data/fixtures`; made again only when the format moves on.
"""

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
from lerobot_side import HEIGHT, IMAGE_PREFIX, WIDTH, read, write

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
NAME = "lerobot_three_episodes"
NUMBERS = ("observation.state", "action", "action_is_pad", "frame_index", "episode_index")
BLOCK_PX = 8


def block_means(frames: np.ndarray) -> np.ndarray:
    """Average each 8×8 block: decoders of video differ in the last bit, pictures do not."""
    rows, columns = HEIGHT // BLOCK_PX, WIDTH // BLOCK_PX
    blocks = frames.reshape(len(frames), 3, rows, BLOCK_PX, columns, BLOCK_PX)
    return blocks.mean(axis=(3, 5)).round(2)


def main() -> None:
    """Write the dataset and the report."""
    root = FIXTURES / NAME
    shutil.rmtree(root, ignore_errors=True)
    write(root, {"base": "image", "wrist": "video"})
    for path in root.rglob("*.mp4"):
        path.chmod(0o644)
    found = read(root)
    base, wrist = (found[IMAGE_PREFIX + camera][:, -1] for camera in ("base", "wrist"))
    report = {
        "lerobot": version("lerobot"),
        "fps": int(found["fps"]),
        "task": found["task"].tolist(),
        **{key: found[key].tolist() for key in NUMBERS},
        "base_sha256": [hashlib.sha256(frame.tobytes()).hexdigest() for frame in base],
        "wrist_block_means": block_means(wrist).tolist(),
    }
    (FIXTURES / f"{NAME}.json").write_text(json.dumps(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
