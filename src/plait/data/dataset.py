"""Demonstrations for training: numbers in memory, images memory-mapped, batches by index."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from plait.data.chunking import chunk_indices, window_indices
from plait.data.frames import Frames, FrameStorage, open_cameras
from plait.data.frames.cache import frames_key
from plait.data.frames.storage import JPEG
from plait.data.lerobot.info import recorded_view
from plait.data.lerobot.reader import LeRobotReader
from plait.data.normalize import NormStats
from plait.data.stream_stats import StreamStats
from plait.errors import DataError, OptionError, UnknownNameError, require_at_least_one
from plait.types import LANGUAGE, PROPRIO, VISION, ActionChunk, Batch, Observation


class Demonstrations:
    """A dataset opened for training; make it with `open`.

    Attributes:
        cameras: Cameras that are read.
        instructions: Distinct instructions.
        episode_bounds: First step and the step after the last, of every episode.
        storage: How the frames are kept: `raw`, `jpeg` or `direct`.
        fingerprint: Changes with the numbers, the tasks or the cameras.
        action_horizon: Steps per chunk.
    """

    def __init__(
        self,
        reader: LeRobotReader,
        images: dict[str, Frames],
        *,
        storage: str,
        image_size: int | None = None,
        observation_window: int,
        action_horizon: int,
    ) -> None:
        self.storage = storage
        self._images = images
        self._reader, self._image_size = reader, image_size
        self._proprio, self._action = reader.proprio, reader.action
        self._task_index = reader.task_index
        self._texts = np.array(reader.tasks, dtype=object)
        self._window, self.action_horizon = observation_window, action_horizon
        self.cameras = tuple(images)
        self.instructions = tuple(dict.fromkeys(text for text in reader.tasks if text))
        self.episode_bounds = reader.episode_bounds
        self.fps = reader.fps
        lengths = np.diff(reader.episode_bounds, axis=1)[:, 0]
        self._first = np.repeat(reader.episode_bounds[:, 0], lengths)
        self._last = np.repeat(reader.episode_bounds[:, 1] - 1, lengths)
        has_images = {camera: reader.has_images(camera) for camera in images}
        self._has_images = {name: np.repeat(has, lengths) for name, has in has_images.items()}
        self._has_text = np.array([bool(text) for text in reader.tasks], dtype=np.bool_)
        self._has_proprio = reader.has_proprio
        self.fingerprint = _fingerprint(reader, has_images)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        cameras: Sequence[str] | None = None,
        image_size: int | None = None,
        observation_window: int = 1,
        action_horizon: int = 4,
        storage: FrameStorage = FrameStorage(),  # noqa: B008
        on_progress: Callable[[int, int], None] | None = None,
    ) -> "Demonstrations":
        """Open a LeRobot dataset and decode its images where that was not done yet.

        Args:
            path: Folder of the dataset, or its id on the Hugging Face hub.
            cameras: Cameras to read; all where None.
            image_size: Height and width to resize to in pixels; as recorded where None.
            observation_window: Steps seen.
            action_horizon: Steps per chunk.
            storage: How frames are kept.
            on_progress: Called with frames decoded and frames in all.

        Raises:
            DataError: If the dataset is missing, damaged or inconsistent.
            OptionError: If a size is below 1.
            OutputError: If there is no room for the decoded images.
            UnknownNameError: If it has no such camera.
        """
        sizes = {"observation window": observation_window, "action horizon": action_horizon}
        for name, size in (sizes | {"image size": image_size}).items():
            if size is not None:
                require_at_least_one(name, size)
        reader = LeRobotReader.open(Path(path), cameras or ())
        if not reader.cameras:
            raise DataError(path, "no image or video feature", "at least one camera")
        wanted = tuple(cameras) if cameras else reader.cameras
        for camera in wanted:
            if camera not in reader.cameras:
                raise UnknownNameError(f"camera of {path}", camera, reader.cameras)
        kind, images = open_cameras(reader, wanted, image_size, storage, on_progress)
        return cls(
            reader,
            images,
            storage=kind,
            image_size=image_size,
            observation_window=observation_window,
            action_horizon=action_horizon,
        )

    @property
    def num_episodes(self) -> int:
        """Number of episodes."""
        return len(self.episode_bounds)

    @property
    def num_steps(self) -> int:
        """Number of steps in all episodes."""
        return len(self._action)

    @property
    def proprio_dim(self) -> int:
        """Size of the state."""
        return int(self._proprio.shape[1])

    @property
    def action_dim(self) -> int:
        """Size of an action."""
        return int(self._action.shape[1])

    @property
    def actions(self) -> Float32[ndarray, "steps action_dim"]:
        """Recorded actions of all steps."""
        return self._action

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the dimensions of an action; none where the dataset does not name each."""
        return self._reader.action_names

    @property
    def proprio_names(self) -> tuple[str, ...]:
        """Names of the dimensions of a state; none where the dataset does not name each."""
        return self._reader.proprio_names

    @property
    def view(self) -> Mapping[str, Any]:
        """How the pictures were taken, as their recorder says it; empty where nothing says so."""
        return recorded_view(self._reader.info)

    def steps_of(self, episodes: Int64[ndarray, " episodes"]) -> Int64[ndarray, " steps"]:
        """Return the steps of some episodes, in order."""
        ranges = [np.arange(*self.episode_bounds[episode]) for episode in episodes]
        return np.concatenate(ranges) if ranges else np.zeros(0, dtype=np.int64)

    def split(
        self, validation_fraction: float, seed: int
    ) -> tuple[Int64[ndarray, " training"], Int64[ndarray, " validation"]]:
        """Divide the episodes; at least one goes to either side.

        Copies of an episode go to the same side, so that none is trained on and held out.

        Raises:
            OptionError: If there are fewer than two distinct episodes.
        """
        groups = self._copies()
        num_groups = len(np.unique(groups))
        if num_groups < 2:
            raise OptionError(
                f"the dataset has {self.num_episodes} episode{'s' if self.num_episodes > 1 else ''}"
                f"{', all copies of one' if self.num_episodes > 1 else ''}; one to train on and "
                "one to validate on are needed"
            )
        order = np.random.default_rng(seed).permutation(num_groups)
        count = round(validation_fraction * num_groups)
        count = min(max(count, 1), num_groups - 1)
        is_held_out = np.isin(groups, order[:count])
        return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)

    def _copies(self) -> Int64[ndarray, " episodes"]:
        """Number the distinct episodes; copies, equal in every state and action, share a number."""
        numbers: dict[bytes, int] = {}
        found = []
        for start, end in self.episode_bounds:
            digest = hashlib.sha256(self._action[start:end].tobytes())
            digest.update(self._proprio[start:end].tobytes())
            found.append(numbers.setdefault(digest.digest(), len(numbers)))
        return np.array(found, dtype=np.int64)

    def norm_stats(self, episodes: Int64[ndarray, " episodes"]) -> NormStats:
        """Compute exact statistics over the steps of some episodes, those of states where any is.

        Where no state was recorded at all, they are those of the zeros that stand for it.
        """
        steps = self.steps_of(episodes)
        with_state = steps[self._has_proprio[steps]]
        states = self._proprio[with_state if len(with_state) else steps]
        return NormStats(StreamStats.of(states), StreamStats.of(self._action[steps]))

    @property
    def root(self) -> Path:
        """Folder of the dataset."""
        return self._reader.root

    def frames(self, camera: str) -> Frames:
        """Return the images of a camera, one a step."""
        return self._images[camera]

    def frames_key(self, camera: str) -> str:
        """Return a key that changes with the recording of a camera and with the image size."""
        key = frames_key(self._reader, camera, self._image_size)
        # Of all storages only this one changes pixels.
        return f"{key}-{JPEG}" if self.storage == JPEG else key

    def window(self, steps: Int64[ndarray, " batch"]) -> Int64[ndarray, "batch window"]:
        """Return the steps that are seen at some steps; an episode's first is repeated."""
        return window_indices(steps, self._first[steps], self._window)

    def gather(self, steps: Int64[ndarray, " batch"]) -> Batch:
        """Return a batch: windows ending at these steps and the chunks that start there.

        What was not recorded is masked: a camera by episode, a state anywhere in the window, an
        instruction.
        """
        window = self.window(steps)
        images = {
            camera: torch.from_numpy(frames[window]) for camera, frames in self._images.items()
        }
        tasks = self._task_index[steps]
        cameras = {name: torch.from_numpy(has[steps]) for name, has in self._has_images.items()}
        observation = Observation(
            images,
            tuple(self._texts[tasks]),
            torch.from_numpy(self._proprio[window]),
            modality_mask={
                VISION: torch.stack(list(cameras.values())).any(dim=0),
                LANGUAGE: torch.from_numpy(self._has_text[tasks]),
                PROPRIO: torch.from_numpy(self._has_proprio[window].all(axis=1)),
            },
            camera_mask=cameras,
        )
        return Batch(observation, self.chunks(steps))

    def chunks(self, steps: Int64[ndarray, " batch"]) -> ActionChunk:
        """Return the chunks that start at some steps; past an episode's end its last action."""
        chunk, mask = chunk_indices(steps, self._last[steps], self.action_horizon)
        return ActionChunk(torch.from_numpy(self._action[chunk]), torch.from_numpy(mask))

    def states(self, steps: Int64[ndarray, " batch"]) -> Float32[ndarray, "batch proprio_dim"]:
        """Return the state at some steps; 0 where none was recorded."""
        return self._proprio[steps]

    def has_states(self, steps: Int64[ndarray, " batch"]) -> Bool[ndarray, " batch"]:
        """Return at which of some steps a state was recorded."""
        return self._has_proprio[steps]


def _fingerprint(reader: LeRobotReader, has_images: dict[str, ndarray]) -> str:
    digest = hashlib.sha256()
    # Nothing is added where all was recorded, as in most datasets.
    for name, present in {**has_images, PROPRIO: reader.has_proprio}.items():
        if not present.all():
            digest.update(name.encode() + present.tobytes())
    for values in (reader.proprio, reader.action, reader.task_index, reader.episode_bounds):
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update("\0".join((*reader.tasks, *has_images)).encode())
    return digest.hexdigest()[:16]
