"""Statistics of a dataset of version 3 from one of version 2."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from plait.data.lerobot.format import STATS_FILE, column_stats
from plait.data.lerobot.json_files import read_lines, read_object
from plait.data.lerobot.reader import LeRobotReader

EPISODE_STATS_FILE = "meta/episodes_stats.jsonl"
MOMENTS = ("min", "max", "mean", "std", "count")


def upgrade_stats(
    reader: LeRobotReader, columns: Mapping[str, list[ndarray]]
) -> dict[str, dict[str, Any]]:
    """Return exact statistics of all numbers, and the source's own of its images.

    Images are not decoded for it: where the source has no statistics of theirs, none are written.

    Args:
        reader: The source.
        columns: Its numbers by feature, `[rows, dims]` an episode.

    Raises:
        DataError: If a file of the source is damaged.
    """
    stats: dict[str, dict[str, Any]] = {
        key: column_stats(np.concatenate(rows))
        for key, rows in columns.items()
        if len(rows) == len(reader.episode_bounds) and np.isfinite(np.concatenate(rows)).all()
    }
    own = _image_stats(reader)
    keys = [reader.feature(camera)[0] for camera in reader.cameras]
    return stats | {key: own[key] for key in keys if key in own}


def _image_stats(reader: LeRobotReader) -> dict[str, Any]:
    """Return what the source says of its images: of each episode in v2.1, of all in v2.0."""
    if (reader.root / EPISODE_STATS_FILE).exists():
        lines = read_lines(reader.root / EPISODE_STATS_FILE, "statistics of the episodes")
        found = [line["stats"] for line in lines if isinstance(line.get("stats"), dict)]
        keys = set.intersection(*(set(stats) for stats in found)) if found else set()
        merged = {key: _merge([stats[key] for stats in found]) for key in sorted(keys)}
        return {key: stats for key, stats in merged.items() if stats is not None}
    if (reader.root / STATS_FILE).exists():
        return read_object(reader.root / STATS_FILE, "statistics")
    return {}


def _merge(parts: list[Any]) -> dict[str, Any] | None:
    """Merge moments of several episodes; None where they are no statistics of one shape."""
    try:
        arrays = {name: np.array([part[name] for part in parts], np.float64) for name in MOMENTS}
    except (KeyError, TypeError, ValueError):
        return None
    count = arrays["count"].reshape(len(parts))
    mean = arrays["mean"]
    if mean.ndim < 2 or not np.isfinite(mean).all() or count.min() < 1:
        return None
    share = (count / count.sum()).reshape(-1, *[1] * (mean.ndim - 1))
    whole = (share * mean).sum(axis=0)
    spread = (share * (arrays["std"] ** 2 + (mean - whole) ** 2)).sum(axis=0)
    return {
        "min": arrays["min"].min(axis=0).tolist(),
        "max": arrays["max"].max(axis=0).tolist(),
        "mean": whole.tolist(),
        "std": np.sqrt(spread).tolist(),
        "count": [int(count.sum())],
    }
