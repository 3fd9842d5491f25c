"""RLDS: TFRecord files as TensorFlow Datasets writes them, one record an episode (Open-X)."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from plait.data.convert.base import COPY_AGAIN, Selection, Source, choose, make_episode
from plait.data.convert.example import ExampleError, Values, parse_example
from plait.data.convert.limits import refuse_implausible
from plait.data.convert.pictures import decode_frames
from plait.data.convert.tfds import (
    FEATURES_FILE,
    INFO_FILE,
    Feature,
    read_features,
    shard_lengths,
    split_files,
    version_folder,
)
from plait.data.convert.tfrecord import index_records, read_record
from plait.data.episode import EpisodeData
from plait.errors import DataError, OptionError, UnknownNameError

STEPS, OBSERVATION = "steps/", "observation/"
STATES = ("observation/state", "observation/proprio")
ACTIONS = ("action",)
INSTRUCTIONS = (
    "language_instruction",
    "observation/natural_language_instruction",
    "natural_language_instruction",
    "observation/language_instruction",
)
# What the format calls a step's outcome, and what LeRobot does.
OUTCOMES = {"reward": "next.reward", "is_last": "next.done"}


@dataclass(frozen=True)
class RldsSource(Source):
    """One split of one version.

    Attributes:
        path: The folder with the records.
        split: Name of the split.
        shards: Its files.
        offsets: Where the records of each file begin.
        features: All features of a step.
        cameras: Names of cameras, and their features.
        state: Features that make up the state.
        action: Features that make up the action.
        instruction: The feature of the command, or None.
        command: The command of every episode, where it was given.
    """

    path: Path
    split: str
    shards: tuple[Path, ...]
    offsets: tuple[ndarray, ...]
    features: Mapping[str, Feature]
    cameras: Mapping[str, str]
    state: tuple[str, ...]
    action: tuple[str, ...]
    instruction: str | None
    command: str | None

    @classmethod
    def open(cls, path: Path, selection: Selection) -> "RldsSource":
        """Open a split, checking the framing of its files and their number of episodes."""
        folder = version_folder(path)
        features = read_features(folder)
        split, shards = split_files(folder, selection.split)
        offsets = tuple(index_records(shard) for shard in shards)
        lengths = shard_lengths(folder, split)
        found = [len(shard) for shard in offsets]
        if lengths is not None and lengths != found:
            text = f"{found} episodes in the files of split {split}"
            raise DataError(folder, text, f"{lengths}, as {INFO_FILE} says", COPY_AGAIN)
        cameras = {_camera(name): name for name in sorted(features) if features[name].is_picture}
        numbers = [name for name, item in features.items() if item.is_numbers]
        instruction = next((name for name in INSTRUCTIONS if name in features), None)
        if instruction is None and selection.instruction is None:
            raise OptionError(
                f"{folder / FEATURES_FILE} names no instruction among {', '.join(features)}; "
                "give the command of all episodes with --instruction"
            )
        return cls(
            folder,
            split,
            shards,
            offsets,
            features,
            {name: cameras[name] for name in choose("camera", selection.cameras, list(cameras))},
            _columns("state", selection.state, STATES, numbers),
            _columns("action", selection.action, ACTIONS, numbers),
            instruction,
            selection.instruction,
        )

    @property
    def num_episodes(self) -> int:
        """Number of records."""
        return sum(map(len, self.offsets))

    @property
    def files(self) -> Sequence[Path]:
        """The records and what describes them."""
        return (self.path / FEATURES_FILE, *self.shards)

    @property
    def taken(self) -> dict[str, Any]:
        """Features by use."""
        return {
            "split": self.split,
            "cameras": dict(self.cameras),
            "state": list(self.state),
            "action": list(self.action),
            "instruction": self.instruction if self.command is None else None,
        }

    def read(self, index: int) -> EpisodeData:
        """Read one record."""
        shard, place = 0, index
        while place >= len(self.offsets[shard]):
            place -= len(self.offsets[shard])
            shard += 1
        path = self.shards[shard]
        data = read_record(path, place, int(self.offsets[shard][place]))
        where = f"{path}, record {place}"
        try:
            values = parse_example(data)
        except ExampleError as error:
            raise DataError(where, str(error), "a tf.train.Example", COPY_AGAIN) from error
        return _Record(where, values, self.features).episode(self)


@dataclass(frozen=True)
class _Record:
    """One parsed record.

    Args:
        where: File and record, for messages.
        values: Its features, flattened over the steps.
        features: What they should be.
    """

    where: str
    values: Mapping[str, Values]
    features: Mapping[str, Feature]

    def episode(self, source: RldsSource) -> EpisodeData:
        """Put the episode together."""
        action = self._join(source.action)
        return make_episode(
            self.where,
            images={
                camera: decode_frames(self._contents(name), self.where, STEPS + name)
                for camera, name in source.cameras.items()
            },
            proprio=self._join(source.state),
            action=action,
            instruction=self._text(source.instruction)
            if source.command is None
            else source.command,
            extras={
                key: self._numbers(name)
                for name, key in OUTCOMES.items()
                if self._has_one_a_step(name, len(action))
            },
        )

    def _has_one_a_step(self, name: str, num_steps: int) -> bool:
        feature = self.features.get(name)
        return (
            feature is not None
            and feature.is_numbers
            and feature.size == 1
            and len(self.values.get(STEPS + name, ())) == num_steps
        )

    def _join(self, names: Iterable[str]) -> Float32[ndarray, "steps dims"]:
        """Return vectors of several features side by side."""
        parts = {name: self._numbers(name).astype(np.float32) for name in names}
        first = next(iter(parts))
        for name, part in parts.items():
            if len(part) != len(parts[first]):
                found = f"{len(part)} steps of {STEPS}{name}"
                raise DataError(self.where, found, f"{len(parts[first])}, as of {first}")
        return np.concatenate(list(parts.values()), axis=1)

    def _numbers(self, name: str) -> ndarray:
        """Return a feature as `[steps, size]` of its own type."""
        feature, field, values = self.features[name], STEPS + name, self._values(name)
        if feature.encoding != "none":
            return self._encoded(name, feature)
        if isinstance(values, list):
            raise DataError(self.where, f"{field} as bytes", "numbers", COPY_AGAIN)
        if len(values) % feature.size:
            found = f"{len(values)} numbers of {field}"
            raise DataError(self.where, found, f"a multiple of {feature.size}", COPY_AGAIN)
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(feature.dtype).reshape(-1, feature.size)

    def _encoded(self, name: str, feature: Feature) -> ndarray:
        """Return a feature whose steps are raw or compressed bytes of an array each."""
        size = feature.size * np.dtype(feature.dtype).itemsize
        rows = []
        for step, content in enumerate(self._contents(name)):
            field = f"{STEPS}{name} at step {step}"
            if feature.encoding == "zlib":
                refuse_implausible(self.where, field, size, len(content))
                content = self._inflated(content, size, field)
            if len(content) != size:
                found = f"{field} of {len(content):,} bytes"
                raise DataError(self.where, found, f"{size:,}", COPY_AGAIN)
            rows.append(np.frombuffer(content, np.dtype(feature.dtype).newbyteorder("<")))
        return np.stack(rows).astype(feature.dtype)

    def _inflated(self, content: bytes, size: int, field: str) -> bytes:
        try:
            return zlib.decompressobj().decompress(content, size + 1)
        except zlib.error as error:
            raise DataError(self.where, f"{field}: {error}", "zlib data", COPY_AGAIN) from error

    def _contents(self, name: str) -> list[bytes]:
        values = self._values(name)
        if not isinstance(values, list) or not values:
            raise DataError(self.where, f"{STEPS}{name} holds no bytes", "one a step", COPY_AGAIN)
        return values

    def _text(self, name: str | None) -> str:
        """Return the command, which every step repeats."""
        if name is None:
            return ""
        contents = self._contents(name)
        for step, content in enumerate(contents):
            if content != contents[0]:
                found = f"{STEPS}{name} changes at step {step}"
                todo = "Give one command with --instruction"
                raise DataError(self.where, found, "one command an episode", todo)
        try:
            return contents[0].decode("utf-8")
        except UnicodeDecodeError as error:
            found = f"{STEPS}{name} is not UTF-8 ({error.reason})"
            raise DataError(self.where, found, "text", COPY_AGAIN) from error

    def _values(self, name: str) -> Values:
        try:
            return self.values[STEPS + name]
        except KeyError as error:
            known = ", ".join(key for key in self.values if key.startswith(STEPS)) or "nothing"
            found = f"no {STEPS}{name} among {known[:500]}"
            raise DataError(
                self.where, found, f"it, as {FEATURES_FILE} says", COPY_AGAIN
            ) from error


def _camera(name: str) -> str:
    """Return a camera's name: its feature's without the leading `observation/`."""
    return name.removeprefix(OBSERVATION).replace("/", "_")


def _columns(
    use: str, wanted: Sequence[str], usual: Sequence[str], known: Sequence[str]
) -> tuple[str, ...]:
    """Return the features wanted, or the usual one."""
    for name in wanted:
        if name not in known:
            raise UnknownNameError(f"feature for the {use}", name, known)
    found = tuple(wanted) or tuple(name for name in usual if name in known)[:1]
    if not found:
        raise OptionError(
            f"the source has none of the usual features for the {use} ({', '.join(usual)}); "
            f"choose from {', '.join(known)} with --{use}"
        )
    return found
