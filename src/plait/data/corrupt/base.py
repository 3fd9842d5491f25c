"""What a corruption is, and how one is applied: to a batch in training, step by step in a rollout.

    blur = GaussianBlur(3)                                   # severity 1 to 5
    corrupted = blur(batch.observation, seeds, steps)        # a batch, in training

    corruptor = blur.start_episode(seed)                     # one episode, in a rollout
    observation = corruptor.observe(observation)
    action = corruptor.act(action)

A seed stands for an episode. What stays as it is through an episode, such as a patch on the lens or
the wording of an instruction, is drawn from the seed alone; what comes anew at every step, such as
noise, from seed and step. Nothing else is drawn from, so a sample is corrupted alike in every
batch, and two corruptions with the same seed are independent. Severities share their draws: what is
hit at one severity is hit at every higher one too.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from numpy import ndarray
from torch import Tensor

from plait.data.corrupt.raw import RawObservation, from_raw, into_raw
from plait.errors import OptionError, ShapeError
from plait.types import Observation

ACTION = "action"
SEVERITIES = range(1, 6)
Action = Float32[ndarray, " action_dim"]


class EpisodeCorruptor:
    """What stands between an environment and an executor for one episode; this one changes nothing.

    Args:
        seed: Of all that is drawn in the episode.
    """

    def __init__(self, seed: int = 0) -> None:
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Forget what was seen and start another episode."""
        self.seed = seed
        self.step = 0

    def observe(self, observation: RawObservation) -> RawObservation:
        """Return what the policy gets to see of this step; called once a step, in order."""
        return observation

    def act(self, action: Action) -> Action:
        """Return what the robot is made to do in this step; called once a step, in order."""
        return action


class CorruptorChain(EpisodeCorruptor):
    """Several corruptions in one episode, one after the other.

    Delays belong before what masks: an absence is not delayed.

    Args:
        corruptions: The first gets the environment's observations, and the policy's actions.
        seed: Of all of them.
    """

    def __init__(self, corruptions: "Sequence[Corruption]", seed: int = 0) -> None:
        self.parts = [corruption.start_episode(seed) for corruption in corruptions]
        super().__init__(seed)

    def reset(self, seed: int) -> None:
        """Start another episode in every part."""
        super().reset(seed)
        for part in self.parts:
            part.reset(seed)

    def observe(self, observation: RawObservation) -> RawObservation:
        """Pass the observation through every part."""
        for part in self.parts:
            observation = part.observe(observation)
        return observation

    def act(self, action: Action) -> Action:
        """Pass the action through every part."""
        for part in self.parts:
            action = part.act(action)
        return action


@dataclass(frozen=True)
class Corruption(ABC):
    """One thing that goes wrong, at one of five severities.

    A subclass is a frozen dataclass whose further fields are its options, keyword-only.

    Attributes:
        name: What it is called on the command line.
        modality: What it changes: `vision`, `language`, `proprio` or `action`.
        keeps: What it does not change, in one sentence.
        measure: What the numbers in `strengths` are.
        strengths: One number a severity, from 1 to 5.
        severity: Which of them.
    """

    name: ClassVar[str]
    modality: ClassVar[str]
    keeps: ClassVar[str]
    measure: ClassVar[str]
    strengths: ClassVar[tuple[float, float, float, float, float]]
    severity: int

    def __post_init__(self) -> None:
        """Refuse a severity there is none of."""
        if self.severity not in SEVERITIES:
            raise OptionError(
                f"the severity of {self.name} is {self.severity}, but must be 1, 2, 3, 4 or 5"
            )

    @property
    def strength(self) -> float:
        """The number that belongs to the severity."""
        return float(self.strengths[int(self.severity) - 1])

    @abstractmethod
    def start_episode(self, seed: int) -> EpisodeCorruptor:
        """Return what applies it through one episode of a rollout."""


@dataclass(frozen=True)
class Draws:
    """The sources of randomness of a batch: each sample has its own.

    Attributes:
        path: What is drawn: the corruption's name, a camera.
        seeds: The episode of each sample.
        steps: The step of each sample.
    """

    path: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]

    def of(self, part: str) -> "Draws":
        """Return sources for one part, such as a camera, that no other part shares."""
        return replace(self, path=(*self.path, part))

    def episode_generators(self) -> Iterator[np.random.Generator]:
        """Yield each sample's source of what stays as it is through its episode."""
        return (generator(*self.path, seed) for seed in self.seeds)

    def step_generators(self) -> Iterator[np.random.Generator]:
        """Yield each sample's source of what comes anew at every step."""
        moments = zip(self.seeds, self.steps, strict=True)
        return (generator(*self.path, "step", *moment) for moment in moments)

    def per_episode(self, draw: Callable[[np.random.Generator], Any]) -> Shaped[Tensor, "batch *_"]:
        """Stack what each sample draws once an episode."""
        return stack_draws([draw(rng) for rng in self.episode_generators()])

    def per_step(self, draw: Callable[[np.random.Generator], Any]) -> Shaped[Tensor, "batch *_"]:
        """Stack what each sample draws anew at every step."""
        return stack_draws([draw(rng) for rng in self.step_generators()])


def generator(*key: str | int) -> np.random.Generator:
    """Return a source of randomness; other keys, however alike, give unrelated ones."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def stack_draws(drawn: Sequence[Any]) -> Shaped[Tensor, "batch *_"]:
    """Stack what the samples drew, numbers or arrays."""
    return torch.from_numpy(np.stack([np.asarray(each) for each in drawn]))


class StatelessCorruption(Corruption):
    """A corruption of one observation, whatever came before it."""

    def __call__(
        self,
        observation: Observation,
        seeds: Int64[Tensor, " batch"],
        steps: Int64[Tensor, " batch"] | None = None,
    ) -> Observation:
        """Return a corrupted copy of a batch.

        Args:
            observation: Not changed.
            seeds: The seed of each sample's episode.
            steps: The step of each sample within its episode; 0 where None. All steps of a
                window count as one.

        Raises:
            ShapeError: If there is not one seed and one step a sample.
        """
        steps = torch.zeros_like(seeds) if steps is None else steps
        for name, given in (("seeds", seeds), ("steps", steps)):
            if len(given) != observation.batch_size:
                todo = f"Give {name} one entry a sample"
                raise ShapeError(name, tuple(given.shape), (observation.batch_size,), todo)
        draws = Draws((self.name,), tuple(seeds.tolist()), tuple(steps.tolist()))
        return self.corrupt(observation, draws)

    @abstractmethod
    def corrupt(self, observation: Observation, draws: Draws) -> Observation:
        """Return a corrupted copy of a batch, drawing from nothing but `draws`."""

    def start_episode(self, seed: int) -> EpisodeCorruptor:
        """Apply it to every observation of an episode, each by itself."""
        return _EveryStep(self, seed)


class _EveryStep(EpisodeCorruptor):
    """A stateless corruption in a rollout: each observation is a batch of one."""

    def __init__(self, corruption: StatelessCorruption, seed: int) -> None:
        self.corruption = corruption
        super().__init__(seed)

    def observe(self, observation: RawObservation) -> RawObservation:
        draws = Draws((self.corruption.name,), (self.seed,), (self.step,))
        self.step += 1
        return into_raw(self.corruption.corrupt(from_raw(observation), draws), observation)


class SensorDelay(Corruption):
    """A corruption that shows, at a step, what a sensor read at an earlier one.

    In a rollout it remembers the readings; in training, `shown_steps` says from which step of the
    episode to take each.
    """

    @abstractmethod
    def shown_step(self, step: int, seed: int, sensor: str) -> int:
        """Return the step whose reading is shown at `step`: never a later one, never going back."""

    @abstractmethod
    def readings(self, observation: RawObservation) -> Mapping[str, ndarray]:
        """Return what is delayed, by sensor."""

    @abstractmethod
    def with_readings(
        self, observation: RawObservation, readings: Mapping[str, ndarray]
    ) -> RawObservation:
        """Return a copy of the observation with these readings."""

    def shown_steps(
        self, steps: Int64[Tensor, " batch"], seeds: Int64[Tensor, " batch"], sensor: str
    ) -> Int64[Tensor, " batch"]:
        """Return the steps whose readings are shown, counted within their episodes.

        Args:
            steps: Steps within their episodes.
            seeds: Seeds of the episodes.
            sensor: A camera, or `proprio`.
        """
        moments = zip(steps.tolist(), seeds.tolist(), strict=True)
        shown = [self.shown_step(step, seed, sensor) for step, seed in moments]
        return torch.tensor(shown, dtype=torch.int64)

    def start_episode(self, seed: int) -> EpisodeCorruptor:
        """Remember what the sensors read and show it later."""
        return _Replay(self, seed)


class _Replay(EpisodeCorruptor):
    """A delay of sensors in a rollout."""

    def __init__(self, corruption: SensorDelay, seed: int) -> None:
        self.corruption = corruption
        super().__init__(seed)

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._kept: dict[str, dict[int, ndarray]] = {}

    def observe(self, observation: RawObservation) -> RawObservation:
        shown = {
            sensor: self._exchange(sensor, reading)
            for sensor, reading in self.corruption.readings(observation).items()
        }
        self.step += 1
        return self.corruption.with_readings(observation, shown)

    def _exchange(self, sensor: str, reading: ndarray) -> ndarray:
        """Keep a sensor's new reading, forget what will not be shown again, return what is due."""
        kept = self._kept.get(sensor, {})
        due = self.corruption.shown_step(self.step, self.seed, sensor)
        # An environment may draw its next image into this very array.
        kept = {step: old for step, old in kept.items() if step >= due}
        kept[self.step] = reading.copy()
        self._kept[sensor] = kept
        return kept[due].copy()
