"""What a LeRobot v3.0 dataset looks like on disk: names, templates and feature descriptions.

Reference: the LeRobotDataset v3.0 format of huggingface/lerobot (0.4 to 0.6).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

VERSION = "v3.0"
INFO_FILE = "meta/info.json"
STATS_FILE = "meta/stats.json"
TASKS_FILE = "meta/tasks.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
FILES_PER_CHUNK = 1000

IMAGE_PREFIX = "observation.images."
STATE, ACTION = "observation.state", "action"
AUTOMATIC = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def describe_features(
    images: Mapping[str, tuple[int, int]], proprio_dim: int, action_dim: int, storage: str, fps: int
) -> dict[str, dict[str, Any]]:
    """Describe every feature as `info.json` does.

    Args:
        images: Height and width of each camera's images.
        proprio_dim: Size of the state.
        action_dim: Size of an action.
        storage: `image` or `video`.
        fps: Steps a second.
    """
    features: dict[str, dict[str, Any]] = {}
    for camera, (height, width) in images.items():
        feature: dict[str, Any] = {
            "dtype": storage,
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
        if storage == "video":
            feature["info"] = {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.fps": fps,
                "video.channels": 3,
                "video.is_depth_map": False,
                "has_audio": False,
            }
        features[IMAGE_PREFIX + camera] = feature
    for key, size in ((STATE, proprio_dim), (ACTION, action_dim)):
        features[key] = {"dtype": "float32", "shape": [size], "names": None}
    for key, dtype in AUTOMATIC.items():
        features[key] = {"dtype": dtype, "shape": [1], "names": None}
    return features


def data_schema(features: Mapping[str, Mapping[str, Any]]) -> pa.Schema:
    """Return the schema of the data files: one row a step; videos have no column."""
    fields = []
    for key, feature in features.items():
        if feature["dtype"] == "video":
            continue
        if feature["dtype"] == "image":
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        else:
            kind = pa.from_numpy_dtype(np.dtype(feature["dtype"]))
            if feature["shape"] != [1]:
                kind = pa.list_(kind, feature["shape"][0])
        fields.append(pa.field(key, kind))
    return pa.schema(fields)


def column_stats(values: np.ndarray) -> dict[str, list[Any]]:
    """Compute exact statistics of `[rows, dims]` values, as `stats.json` holds them."""
    wide = values.astype(np.float64)
    stats: dict[str, list[Any]] = {
        "min": wide.min(axis=0).tolist(),
        "max": wide.max(axis=0).tolist(),
        "mean": wide.mean(axis=0).tolist(),
        "std": wide.std(axis=0).tolist(),
        "count": [len(wide)],
    }
    for name, share in QUANTILES.items():
        stats[name] = np.quantile(wide, share, axis=0).tolist()
    return stats


def image_stats(frames: np.ndarray) -> dict[str, list[Any]]:
    """Compute per-channel statistics of uint8 frames `[frames, height, width, 3]` in [0, 1]."""
    pixels = frames.reshape(-1, 3)
    flat = column_stats(pixels / np.float32(255))
    shaped: dict[str, list[Any]] = {
        key: [[[value]] for value in values] for key, values in flat.items()
    }
    shaped["count"] = [len(frames)]
    return shaped
