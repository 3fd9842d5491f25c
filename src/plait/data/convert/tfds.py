"""What TFDS says of a dataset beside its records: features, splits, shards."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.data.convert.base import COPY_AGAIN, read_json
from plait.errors import DataError, UnknownNameError

FEATURES_FILE, INFO_FILE = "features.json", "dataset_info.json"
A_TFDS_FOLDER = "a TFDS folder (features.json beside *.tfrecord-* files)"
NUMBERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
NUMBERS += ("float16", "float32", "float64")
SHARD_NAME = re.compile(r"(?P<stem>.+)-(?P<split>[^-]+)\.tfrecord-(?P<index>\d+)-of-(?P<of>\d+)")


@dataclass(frozen=True)
class Feature:
    """One feature of a step.

    Attributes:
        kind: `tensor`, `image` or `text`.
        shape: Of one step.
        dtype: Of the values, e.g. `float32`.
        encoding: `none`, `bytes` or `zlib`: how a tensor lies in its record.
    """

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = "string"
    encoding: str = "none"

    @property
    def is_picture(self) -> bool:
        """Whether it holds colour images."""
        return self.kind == "image" and self.dtype == "uint8" and self.shape[-1:] == (3,)

    @property
    def is_numbers(self) -> bool:
        """Whether it holds a vector of numbers of known size."""
        return self.kind == "tensor" and self.dtype in NUMBERS and min(self.shape, default=1) > 0

    @property
    def size(self) -> int:
        """Numbers a step."""
        return math.prod(self.shape)


def version_folder(path: Path) -> Path:
    """Return the folder with the records: `path` itself, or the one version in it.

    Raises:
        DataError: If there is none, or several.
    """
    if (path / FEATURES_FILE).exists():
        return path
    found = sorted(file.parent for file in path.glob(f"*/{FEATURES_FILE}"))
    if len(found) != 1:
        names = ", ".join(folder.name for folder in found)
        text = f"versions {names}" if found else f"no {FEATURES_FILE}"
        raise DataError(path, text, A_TFDS_FOLDER, "Name the folder of one version")
    return found[0]


def read_features(folder: Path) -> dict[str, Feature]:
    """Return the features of a step by name, e.g. `observation/state`.

    Raises:
        DataError: If `features.json` is damaged or has no steps.
    """
    path = folder / FEATURES_FILE
    content = read_json(path, A_TFDS_FOLDER)
    try:
        steps = content["featuresDict"]["features"]["steps"]["sequence"]["feature"]
        found = dict(_flatten(steps, ""))
    except (
        *(KeyError, TypeError, AttributeError, ValueError),
        *(OverflowError, RecursionError),
    ) as error:
        text = f"no steps with features ({type(error).__name__}: {error})"
        raise DataError(path, text, "the features of an RLDS dataset", COPY_AGAIN) from error
    if not found:
        raise DataError(path, "steps without features", "the features of an RLDS dataset")
    return found


def _flatten(node: dict[str, Any], name: str) -> Iterator[tuple[str, Feature]]:
    """Yield what can be read below a node; sequences in a step cannot, and are left out."""
    if "featuresDict" in node:
        for key, child in node["featuresDict"]["features"].items():
            yield from _flatten(child, f"{name}/{key}" if name else key)
    elif "text" in node:
        yield name, Feature("text")
    else:
        for kind in ("tensor", "image"):
            if kind in node:
                yield name, _feature(kind, node[kind])


def _feature(kind: str, node: dict[str, Any]) -> Feature:
    shape = tuple(int(size) for size in node.get("shape", {}).get("dimensions", ()))
    return Feature(kind, shape, str(node["dtype"]), str(node.get("encoding") or "none").lower())


def split_files(folder: Path, split: str | None) -> tuple[str, tuple[Path, ...]]:
    """Return a split's name and files, all there.

    Args:
        folder: The folder of a version.
        split: Which; `train` where None, or the only one.

    Raises:
        UnknownNameError: If there is no such split.
        DataError: If a file of it is missing.
    """
    shards: dict[str, dict[int, Path]] = {}
    totals: dict[str, int] = {}
    for path in sorted(folder.iterdir()):
        match = SHARD_NAME.fullmatch(path.name)
        if match:
            shards.setdefault(match["split"], {})[int(match["index"])] = path
            totals[match["split"]] = int(match["of"])
    if not shards:
        raise DataError(folder, "no *.tfrecord-* file", A_TFDS_FOLDER)
    name = split or (next(iter(shards)) if len(shards) == 1 else "train")
    if name not in shards:
        raise UnknownNameError("split", name, shards, hint="Choose one with --split")
    if sorted(shards[name]) != list(range(len(shards[name]))) or len(shards[name]) != totals[name]:
        found = f"{len(shards[name])} files of split {name}"
        raise DataError(folder, found, f"{totals[name]}, as their names say", COPY_AGAIN)
    return name, tuple(shards[name][index] for index in range(totals[name]))


def shard_lengths(folder: Path, split: str) -> list[int] | None:
    """Return how many episodes each file has as `dataset_info.json` says; None where it does not.

    Raises:
        DataError: If the file is damaged.
    """
    path = folder / INFO_FILE
    if not path.exists():
        return None
    try:
        for entry in read_json(path, "a JSON object").get("splits", ()):
            if entry.get("name") == split and "shardLengths" in entry:
                return [int(length) for length in entry["shardLengths"]]
    except (AttributeError, TypeError, ValueError, KeyError, OverflowError) as error:
        found = f"splits that cannot be read ({error})"
        raise DataError(path, found, "name and shardLengths of each", COPY_AGAIN) from error
    return None
