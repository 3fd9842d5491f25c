"""From action chunks to one action a control step, for many episodes at once.

    executor = ChunkExecutor(policy, execution_horizon=2)
    actions = executor.act({episode: observation, ...})   # {episode: float32 [action_dim]}
    executor.reset(episode)                                # when it has ended

A policy predicts `action_horizon` actions and `execution_horizon` of them are executed before it
looks again. All episodes that need a look in this control step share one call of the policy; what
each remembers (past observations, actions yet to execute) is its own.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray

from plait.data.corrupt import with_raw_masks
from plait.errors import OptionError, PlaitError, UnknownNameError
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION, ActionChunk, Observation

# One environment's observation: `images {camera: uint8 [height width_px 3]}`, `proprio`
# float32 [proprio_dim], `instruction` str; with `camera_mask {camera: bool}` and
# `modality_mask {modality: bool}` where something is missing (see `plait.data.corrupt`).
RawObservation = Mapping[str, Any]
MASK_KEYS = ("camera_mask", "modality_mask")
Episode = Hashable
Action = Float32[ndarray, " action_dim"]


@runtime_checkable
class PredictsChunks(Protocol):
    """What anything must offer to be rolled out; `plait.policy.Policy` does."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras it reads."""

    @property
    def observation_window(self) -> int:
        """Past steps it sees."""

    @property
    def action_horizon(self) -> int:
        """Steps per action chunk."""

    def predict(self, observation: Observation) -> ActionChunk:
        """Predict chunks in the environment's own units."""


class LatestChunk:
    """Executes the newest chunk and forgets the ones before it."""

    def __init__(self) -> None:
        self._actions: deque[Action] = deque()

    def add(self, chunk: Float[ndarray, "horizon action_dim"]) -> None:
        """Take a chunk whose first action is for the step that comes now."""
        self._actions = deque(chunk.astype(np.float32))

    def pop(self) -> Action:
        """Return the action of this step and move on to the next."""
        return self._actions.popleft()


class TemporalEnsemble:
    """Averages all chunks that cover a step, the oldest with the most weight.

    `a = Σ w_i a_i / Σ w_i`, `w_i = exp(-decay · i)`, i = 0 for the oldest prediction of this step.
    Computed online: only the running average of each step to come is kept.

    Args:
        decay: Nonnegative; 0 is the plain mean, larger trusts the oldest more.

    Reference: Zhao et al., 2023 (ACT), §IV-B, algorithm 2.
    """

    def __init__(self, decay: float = 0.01) -> None:
        if not decay >= 0:
            raise OptionError(f"the decay of a temporal ensemble must be at least 0, not {decay}")
        self._decay = decay
        self._mean = np.zeros((0, 0))
        self._count = np.zeros(0, dtype=np.int64)
        self._weight = np.zeros(0)

    def add(self, chunk: Float[ndarray, "horizon action_dim"]) -> None:
        """Take a chunk whose first action is for the step that comes now."""
        missing = len(chunk) - len(self._mean)
        if missing > 0:
            mean = self._mean.reshape(-1, chunk.shape[1])
            self._mean = np.pad(mean, ((0, missing), (0, 0)))
            self._count = np.pad(self._count, (0, missing))
            self._weight = np.pad(self._weight, (0, missing))
        covered = slice(0, len(chunk))
        new_weight = np.exp(-self._decay * self._count[covered])
        self._weight[covered] += new_weight
        share = (new_weight / self._weight[covered])[:, None]
        self._mean[covered] += share * (chunk - self._mean[covered])
        self._count[covered] += 1

    def pop(self) -> Action:
        """Return the averaged action of this step and move on to the next."""
        action = self._mean[0].astype(np.float32)
        self._mean, self._count = self._mean[1:], self._count[1:]
        self._weight = self._weight[1:]
        return action


@dataclass
class _Memory:
    """What one episode remembers between control steps."""

    history: deque[RawObservation]
    chunks: LatestChunk | TemporalEnsemble
    num_steps: int = 0
    steps_until_look: int = 0


class ChunkExecutor:
    """Turns a policy's chunks into actions, one a control step, for many episodes at once.

    Args:
        policy: Anything that predicts chunks.
        execution_horizon: Steps executed before the next look, 1 to the action horizon.
        ensemble_decay: Decay of a `TemporalEnsemble`; None executes the newest chunk alone.
        masked_modalities: Withheld from the policy: the mask says absent, the values are blank.

    Raises:
        OptionError: If `execution_horizon` does not fit the policy.
        UnknownNameError: If a masked modality does not exist.
    """

    def __init__(
        self,
        policy: PredictsChunks,
        execution_horizon: int,
        *,
        ensemble_decay: float | None = None,
        masked_modalities: Sequence[str] = (),
    ) -> None:
        if not 1 <= execution_horizon <= policy.action_horizon:
            raise OptionError(
                f"execution_horizon must be 1 to {policy.action_horizon}, the policy's action "
                f"horizon, but is {execution_horizon}"
            )
        for modality in masked_modalities:
            if modality not in MODALITIES:
                raise UnknownNameError("modality", modality, MODALITIES)
        self.policy = policy
        self.execution_horizon = execution_horizon
        self._ensemble_decay = ensemble_decay
        self._masked_modalities = tuple(masked_modalities)
        self._memories: dict[Episode, _Memory] = {}
        self._blanks: dict[str, Any] = {}

    def reset(self, episode: Episode) -> None:
        """Forget an episode; if its name comes again, it starts anew."""
        self._memories.pop(episode, None)

    def act(self, observations: Mapping[Episode, RawObservation]) -> dict[Episode, Action]:
        """Return one action for every episode given; the others wait as they are.

        Args:
            observations: The newest observation of each episode that is to act now. A name not
                seen before starts an episode: its history is its first observation, repeated.

        Raises:
            UnknownNameError: If an observation lacks a key or a camera the policy reads.
            PlaitError: If the policy predicts NaN or infinity.
        """
        for episode, observation in observations.items():
            self._remember(episode, observation)
        due = [name for name in observations if self._memories[name].steps_until_look == 0]
        if due:
            self._look(due)
        actions: dict[Episode, Action] = {}
        for episode in observations:
            memory = self._memories[episode]
            actions[episode] = memory.chunks.pop()
            memory.num_steps += 1
            memory.steps_until_look -= 1
        return actions

    def _remember(self, episode: Episode, observation: RawObservation) -> None:
        window, decay = self.policy.observation_window, self._ensemble_decay
        memory = self._memories.get(episode)
        if memory is not None:
            # What is out of the window by the next look is not read: its picture need not be taken.
            if memory.steps_until_look < window:
                memory.history.append(self._read(observation))
            return
        observation = self._read(observation)
        chunks = LatestChunk() if decay is None else TemporalEnsemble(decay)
        self._memories[episode] = _Memory(deque([observation] * window, maxlen=window), chunks)

    def _look(self, due: Sequence[Episode]) -> None:
        histories = [self._memories[episode].history for episode in due]
        observation = stack_observations(histories, self.policy.cameras)
        observation = mask_modalities(observation, self._masked_modalities)
        chunks = self.policy.predict(observation).actions.detach().cpu().numpy()
        for episode, chunk in zip(due, chunks, strict=True):
            memory = self._memories[episode]
            if not np.isfinite(chunk).all():
                raise PlaitError(
                    f"the policy predicted NaN or infinity at step {memory.num_steps} of episode "
                    f"{episode}; its training has diverged, or its weights are damaged"
                )
            memory.chunks.add(chunk)
            memory.steps_until_look = self.execution_horizon

    def _read(self, observation: RawObservation) -> RawObservation:
        """Copy what the policy needs: an environment may draw its next image into this array."""
        for key in ("images", "proprio", "instruction"):
            if key not in observation:
                raise UnknownNameError("key of the environment's observation", key, observation)
        return {
            "images": self._pictures(observation["images"]),
            "proprio": observation["proprio"].copy(),
            "instruction": observation["instruction"],
            **{key: dict(observation[key]) for key in MASK_KEYS if key in observation},
        }

    def _pictures(self, images: Mapping[str, Any]) -> dict[str, Any]:
        """Copy the pictures; those that are withheld are looked at once, for their size alone."""
        if self._blanks:
            return self._blanks
        for camera in self.policy.cameras:
            if camera not in tuple(images):
                raise UnknownNameError("camera of the environment", camera, images)
        if VISION in self._masked_modalities:
            self._blanks = {c: np.zeros_like(images[c]) for c in self.policy.cameras}
            return self._blanks
        return {camera: images[camera].copy() for camera in self.policy.cameras}


def stack_observations(
    histories: Sequence[Iterable[RawObservation]], cameras: Sequence[str]
) -> Observation:
    """Stack the windows of several episodes, oldest step first, into one batch.

    What the newest observation of a window says is missing is masked.

    Args:
        histories: Per episode, the observations of its window; all of the same length.
        cameras: Which images to take.
    """
    windows = [list(history) for history in histories]
    images = {}
    for camera in cameras:
        views = np.stack([[step["images"][camera] for step in window] for window in windows])
        images[camera] = torch.from_numpy(views).permute(0, 1, 4, 2, 3).contiguous()
    proprio = np.stack([[step["proprio"] for step in window] for window in windows])
    instruction = tuple(str(window[-1]["instruction"]) for window in windows)
    observation = Observation.complete(
        images, instruction, torch.from_numpy(proprio.astype(np.float32, copy=False))
    )
    return with_raw_masks(observation, [window[-1] for window in windows])


def mask_modalities(observation: Observation, modalities: Sequence[str]) -> Observation:
    """Withhold modalities: marked absent, and blank in case a policy forgets to look at the mask.

    Blank is black images, the empty instruction, zeros as proprioception.
    """
    for modality in modalities:
        observation = observation.without(modality)
    if VISION in modalities:
        blank = {camera: torch.zeros_like(image) for camera, image in observation.images.items()}
        observation = replace(observation, images=blank)
    if LANGUAGE in modalities:
        observation = replace(observation, instruction=("",) * observation.batch_size)
    if PROPRIO in modalities:
        observation = replace(observation, proprio=torch.zeros_like(observation.proprio))
    return observation
