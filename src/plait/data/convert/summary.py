"""What came out of a conversion, read from what was written."""

from pathlib import Path
from typing import Any

import numpy as np

from plait.data.convert.base import read_json
from plait.data.lerobot.format import IMAGE_PREFIX, ORIGIN, STATS_FILE
from plait.data.lerobot.reader import LeRobotReader

# Share of an action's usual size below which it is rounding, not motion.
NO_MOTION = 1e-3


def summarize(root: Path) -> dict[str, Any]:
    """Open a converted dataset as any user would, and say what it holds.

    Raises:
        DataError: If it cannot be read.
    """
    reader = LeRobotReader.open(root)
    origin = reader.info[ORIGIN]
    notes = _notes(root, reader)
    return {
        "dataset": str(root),
        "format": origin["format"],
        "episodes": len(reader.episode_bounds),
        "steps": len(reader.action),
        "instructions": len(reader.tasks),
        "fps": reader.fps,
        "cameras": [f"{camera} {_size(reader, camera)}" for camera in reader.cameras],
        "state": reader.proprio.shape[1],
        "action": reader.action.shape[1],
        "orientation": origin["orientation"],
        **({"notes": notes} if notes else {}),
    }


def _size(reader: LeRobotReader, camera: str) -> str:
    height, width_px = reader.frame_size(camera)
    return f"{height}×{width_px}"


def _notes(root: Path, reader: LeRobotReader) -> list[str]:
    """Return what a user should know of the data before training on it."""
    stats = read_json(root / STATS_FILE, "statistics")
    brightest = {
        camera: stats.get(IMAGE_PREFIX + camera, {}).get("max") for camera in reader.cameras
    }
    notes = [
        f"{camera} is black in every frame that was counted; --cameras can leave it out"
        for camera, values in brightest.items()
        if values is not None and not np.any(values)
    ]
    origin = reader.info[ORIGIN]
    if origin["taken"].get("image_convention") == "opengl" and origin["orientation"] == "raw":
        notes.append("the source's images are upside down; see --orientation")
    starts = reader.episode_bounds[:, 0]
    # The last number is the gripper by convention, which is seldom zero.
    motion = reader.action[:, :-1]
    if (np.abs(motion[starts]) <= NO_MOTION * motion.std(axis=0)).all():
        notes.append("the first action of every episode is no motion; --drop-first leaves it out")
    num_silent = sum(not reader.tasks[int(task)].strip() for task in reader.task_index[starts])
    if num_silent:
        notes.append(f"{num_silent} episodes have no instruction")
    return notes
