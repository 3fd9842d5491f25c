"""Shards of a recording: the encoded episodes of a range of seeds, in one file, whole or absent."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from plait.data.episode import EncodedEpisode
from plait.data.files import output_errors, whole_file

COLUMN, IMAGES, SIZE, HISTOGRAM, LENGTHS = "column:", "images:", "size:", "histogram:", "png:"


def write_shard(path: Path, episodes: list[EncodedEpisode]) -> None:
    """Write the episodes of a shard, possibly none.

    Raises:
        OutputError: If the folder cannot be written.
    """
    arrays: dict[str, ndarray] = {"num_steps": np.array([e.num_steps for e in episodes], np.int64)}
    if episodes:
        arrays["instruction"] = np.array([episode.instruction for episode in episodes])
        for key in episodes[0].columns:
            parts = [np.asarray(episode.columns[key]) for episode in episodes]
            arrays[COLUMN + key] = np.concatenate(parts)
        for camera in episodes[0].sizes:
            pngs = [png for episode in episodes for png in episode.images[camera]]
            arrays[SIZE + camera] = np.array([episode.sizes[camera] for episode in episodes])
            arrays[HISTOGRAM + camera] = np.stack([e.histograms[camera] for e in episodes])
            arrays[LENGTHS + camera] = np.array([len(png) for png in pngs], np.int64)
            arrays[IMAGES + camera] = np.frombuffer(b"".join(pngs), np.uint8)
    temporary = path.with_name(f".{path.name}.partial")
    with output_errors(path), whole_file(path, temporary) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def count_episodes(path: Path) -> int | None:
    """Return how many episodes a shard holds; None where it is absent or torn."""
    try:
        # NumPy leaves a file that it opened itself open when it is torn.
        with path.open("rb") as file, np.load(file) as arrays:
            return len(arrays["num_steps"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def read_shard(path: Path) -> Iterator[EncodedEpisode]:
    """Yield the episodes of a shard in the order of their seeds."""
    with np.load(path) as archive:
        arrays: dict[str, ndarray] = {key: archive[key] for key in archive.files}
    lengths = arrays["num_steps"]
    starts = np.cumsum(lengths) - lengths
    images = {key.removeprefix(IMAGES): _pngs(arrays, key) for key in _with(arrays, IMAGES)}
    for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        rows = slice(int(start), int(start + length))
        yield EncodedEpisode(
            {key.removeprefix(COLUMN): arrays[key][rows] for key in _with(arrays, COLUMN)},
            str(arrays["instruction"][index]),
            {camera: _size(arrays[SIZE + camera][index]) for camera in images},
            {camera: arrays[HISTOGRAM + camera][index] for camera in images},
            {camera: pngs[rows] for camera, pngs in images.items()},
        )


def _with(arrays: Mapping[str, Any], prefix: str) -> list[str]:
    return [key for key in arrays if key.startswith(prefix)]


def _size(values: ndarray) -> tuple[int, int]:
    height, width = values.tolist()
    return height, width


def _pngs(arrays: Mapping[str, ndarray], key: str) -> list[bytes]:
    content = arrays[key].tobytes()
    ends = np.cumsum(arrays[LENGTHS + key.removeprefix(IMAGES)]).tolist()
    return [content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
