"""What a LeRobot v3.0 dataset looks like on disk: names, templates, features, statistics.

Reference: the LeRobotDataset v3.0 format of huggingface/lerobot (0.4 to 0.6).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Shaped, UInt8
from numpy import ndarray

VERSION = "v3.0"
INFO_FILE = "meta/info.json"
# Key of our own in it: where the data come from and what was done to them.
ORIGIN = "plait"
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
    images: Mapping[str, tuple[int, int]],
    columns: Mapping[str, Shaped[ndarray, "steps *dims"]],
    storage: str,
    fps: int,
) -> dict[str, dict[str, Any]]:
    """Describe every feature as `info.json` does.

    Args:
        images: Height and width of each camera's images in pixels.
        columns: One episode's other columns.
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
    for key, values in columns.items():
        size = int(np.prod(values.shape[1:], dtype=np.int64))
        features[key] = {"dtype": values.dtype.name, "shape": [size], "names": None}
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
            # LeRobot holds features of one number as plain scalars, longer ones as fixed lists.
            if feature["shape"] != [1]:
                kind = pa.list_(kind, feature["shape"][0])
        fields.append(pa.field(key, kind))
    return pa.schema(fields)


def column_stats(values: Shaped[ndarray, "rows dims"]) -> dict[str, list[Any]]:
    """Compute exact statistics of every dimension, as `stats.json` holds them.

    Released LeRobot averages the quantiles of episodes instead, which are no quantiles of the
    whole (lerobot #4156).
    """
    wide = values.astype(np.float64)
    stats: dict[str, list[Any]] = {
        "min": wide.min(axis=0).tolist(),
        "max": wide.max(axis=0).tolist(),
        "mean": wide.mean(axis=0).tolist(),
        "std": wide.std(axis=0).tolist(),
        "count": [len(wide)],
    }
    quantiles = np.quantile(wide, list(QUANTILES.values()), axis=0)
    return stats | dict(zip(QUANTILES, quantiles.tolist(), strict=True))


def channel_histogram(
    frames: UInt8[ndarray, "frames height width_px 3"],
) -> Int64[ndarray, "3 256"]:
    """Count how often each value occurs in each channel."""
    bins = frames.reshape(-1, 3) + np.array([0, 256, 512], dtype=np.uint16)
    return np.bincount(bins.ravel(), minlength=3 * 256).reshape(3, 256).astype(np.int64)


def histogram_stats(histogram: Int64[ndarray, "3 256"], num_pixels: int) -> dict[str, list[Any]]:
    """Compute per-channel statistics of counted pixels in [0, 1]; `count` is in frames.

    Args:
        histogram: Sum of the histograms of many frames of one size.
        num_pixels: Pixels of one frame.
    """
    levels = np.arange(256) / 255
    total = histogram.sum(axis=1)
    mean = histogram @ levels / total
    cumulative = np.cumsum(histogram, axis=1)
    stats = {
        "min": levels[(histogram > 0).argmax(axis=1)],
        "max": levels[255 - (histogram[:, ::-1] > 0).argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(histogram @ levels**2 / total - mean**2, 0)),
    }
    for name, share in QUANTILES.items():
        stats[name] = levels[(cumulative >= share * total[:, None]).argmax(axis=1)]
    nested: dict[str, list[Any]] = {
        key: value[:, None, None].tolist() for key, value in stats.items()
    }
    return nested | {"count": [int(total[0]) // num_pixels]}
