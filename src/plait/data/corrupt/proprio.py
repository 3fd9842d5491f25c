"""Corruptions of the robot's sense of itself: noise, bias, dropout, delay."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from plait.data.corrupt.base import Draws, SensorDelay, StatelessCorruption
from plait.data.corrupt.raw import RawObservation
from plait.errors import OptionError, ShapeError
from plait.types import PROPRIO, Observation


@dataclass(frozen=True)
class _ScaledOffset(StatelessCorruption):
    """Something is added to the proprio, in units of how much each of its dimensions varies.

    Args:
        severity: 1 to 5.
        scale: Standard deviation of each dimension in the training episodes.

    Raises:
        OptionError: If a standard deviation is negative or not finite.
    """

    modality = PROPRIO
    scale: Sequence[float] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= value < float("inf") for value in self.scale):
            raise OptionError(
                f"the scale of {self.name} is {list(self.scale)}, but must be the standard "
                "deviation of each dimension of the proprio: finite, 0 or more"
            )

    def corrupt(self, observation: Observation, draws: Draws) -> Observation:
        """Add the offset to every sample."""
        proprio = observation.proprio
        scale = torch.tensor([float(value) for value in self.scale], dtype=proprio.dtype)
        if len(scale) != proprio.shape[-1]:
            expected = (proprio.shape[-1],)
            todo = "Give one standard deviation a dimension of the proprio"
            raise ShapeError("scale", (len(scale),), expected, todo)
        offset = self.strength * self.offset(proprio, draws) * scale
        return replace(observation, proprio=proprio + offset.to(proprio.device))

    @abstractmethod
    def offset(
        self, proprio: Float[Tensor, "batch window proprio_dim"], draws: Draws
    ) -> Float[Tensor, "batch #window proprio_dim"]:
        """Draw offsets of about unit size."""


@dataclass(frozen=True)
class ProprioNoise(_ScaledOffset):
    """Independent Gaussian noise on every reading of every dimension."""

    name = "proprio_noise"
    keeps = "The mean of the readings over time."
    measure = "standard deviations"
    strengths = (0.1, 0.2, 0.4, 0.7, 1.0)

    def offset(self, proprio: Tensor, draws: Draws) -> Tensor:
        """Draw anew at every step."""
        shape = tuple(proprio.shape[1:])
        return draws.per_step(lambda rng: rng.standard_normal(shape, dtype=np.float32))


@dataclass(frozen=True)
class ProprioBias(_ScaledOffset):
    """A sensor badly calibrated: every dimension is off by the same amount through the episode."""

    name = "proprio_bias"
    keeps = "How the readings change over time."
    measure = "standard deviations, up or down"
    strengths = (0.1, 0.2, 0.4, 0.7, 1.0)

    def offset(self, proprio: Tensor, draws: Draws) -> Tensor:
        """Draw a sign for each dimension, once an episode."""
        size = proprio.shape[-1]
        signs = draws.per_episode(lambda rng: rng.choice([-1.0, 1.0], size).astype(np.float32))
        return signs.unsqueeze(1)


@dataclass(frozen=True)
class ProprioDropout(StatelessCorruption):
    """The proprio is absent in some steps: masked, and zeros in case a policy ignores its mask.

    It goes as a whole: a mask says so, where a zero among the numbers would be taken for a reading.
    """

    name = "proprio_dropout"
    modality = PROPRIO
    keeps = "The readings that do arrive."
    measure = "share of the steps"
    strengths = (0.1, 0.25, 0.5, 0.75, 1.0)

    def corrupt(self, observation: Observation, draws: Draws) -> Observation:
        """Drop the proprio of some samples."""
        proprio, mask = observation.proprio, observation.modality_mask[PROPRIO]
        is_kept = (draws.per_step(lambda rng: rng.random()) >= self.strength).to(mask.device)
        blank = torch.zeros_like(proprio)
        return replace(
            observation,
            proprio=torch.where(is_kept[:, None, None], proprio, blank),
            modality_mask={**observation.modality_mask, PROPRIO: mask & is_kept},
        )


@dataclass(frozen=True)
class ProprioDelay(SensorDelay):
    """The proprio is some steps old; before there was any that old, it is the episode's first."""

    name = "proprio_delay"
    modality = PROPRIO
    keeps = "Every reading and their order."
    measure = "control steps"
    strengths = (1, 2, 3, 5, 8)

    def shown_step(self, step: int, seed: int, sensor: str) -> int:
        """Look back by the delay."""
        del seed, sensor
        return max(step - int(self.strength), 0)

    def readings(self, observation: RawObservation) -> Mapping[str, ndarray]:
        """Return the proprio."""
        return {PROPRIO: observation["proprio"]}

    def with_readings(
        self, observation: RawObservation, readings: Mapping[str, ndarray]
    ) -> RawObservation:
        """Replace the proprio."""
        return {**observation, "proprio": readings[PROPRIO]}
