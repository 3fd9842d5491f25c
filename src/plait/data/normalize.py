"""Normalisation with exact statistics of the training episodes, kept in the policy's weights.

    normalised = (value - center) / scale

| mode     | center          | scale           | normalised range                        |
| -------- | --------------- | --------------- | --------------------------------------- |
| zscore   | mean            | std             | unbounded                               |
| minmax   | (max + min) / 2 | (max - min) / 2 | [-1, 1]                                 |
| quantile | (q99 + q01) / 2 | (q99 - q01) / 2 | [-1, 1] for 98 % of the training values |

Nothing is clipped. A head whose output is bounded to [-1, 1] reaches every training action only
with `minmax`, the default.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from plait.errors import DataError, UnknownNameError

MIN_STD = 1e-3
MIN_RANGE = 1e-4
MODES = ("zscore", "minmax", "quantile")


@dataclass(frozen=True)
class StreamStats:
    """Exact per-dimension statistics of one stream of numbers.

    Attributes:
        count: Steps they are computed from.
    """

    mean: Float[np.ndarray, " dims"]
    std: Float[np.ndarray, " dims"]
    min: Float[np.ndarray, " dims"]
    max: Float[np.ndarray, " dims"]
    q01: Float[np.ndarray, " dims"]
    q99: Float[np.ndarray, " dims"]
    count: int

    @classmethod
    def of(cls, values: Float[np.ndarray, "steps dims"]) -> "StreamStats":
        """Compute the statistics in float64.

        Raises:
            DataError: If there is no step.
        """
        if not len(values):
            raise DataError("normalisation", "no step", "at least one training episode")
        wide = values.astype(np.float64)
        q01, q99 = np.quantile(wide, [0.01, 0.99], axis=0)
        return cls(
            wide.mean(axis=0),
            wide.std(axis=0),
            wide.min(axis=0),
            wide.max(axis=0),
            q01,
            q99,
            len(wide),
        )

    def center_and_scale(
        self, mode: str
    ) -> tuple[Float[np.ndarray, " dims"], Float[np.ndarray, " dims"]]:
        """Return what a mode subtracts, and what it divides by.

        Raises:
            UnknownNameError: If there is no such mode.
        """
        if mode == "zscore":
            return self.mean, self.std
        if mode == "minmax":
            return (self.max + self.min) / 2, (self.max - self.min) / 2
        if mode == "quantile":
            return (self.q99 + self.q01) / 2, (self.q99 - self.q01) / 2
        raise UnknownNameError("normalisation", mode, MODES)


@dataclass(frozen=True)
class NormStats:
    """Exact statistics of the training episodes."""

    proprio: StreamStats
    action: StreamStats

    @classmethod
    def of(
        cls,
        proprio: Float[np.ndarray, "steps proprio_dim"],
        action: Float[np.ndarray, "steps action_dim"],
    ) -> "NormStats":
        """Compute the statistics of both streams.

        Raises:
            DataError: If there is no step.
        """
        return cls(StreamStats.of(proprio), StreamStats.of(action))


class Normalizer(nn.Module):
    """Normalises proprioception and actions; the identity until statistics are loaded.

    An action dimension that never changes maps to 0 and back to its one value; a state dimension
    that hardly changes is not blown up beyond 1 / MIN_STD.

    Args:
        proprio_dim: Size of the state.
        action_dim: Size of an action.
    """

    proprio_mean: Tensor
    proprio_std: Tensor
    action_center: Tensor
    action_scale: Tensor

    def __init__(self, *, proprio_dim: int, action_dim: int) -> None:
        super().__init__()
        self.register_buffer("proprio_mean", torch.zeros(proprio_dim))
        self.register_buffer("proprio_std", torch.ones(proprio_dim))
        self.register_buffer("action_center", torch.zeros(action_dim))
        self.register_buffer("action_scale", torch.ones(action_dim))

    @classmethod
    def from_stats(
        cls, stats: NormStats, *, proprio: str = "zscore", actions: str = "minmax"
    ) -> "Normalizer":
        """Build a normaliser from statistics.

        Args:
            stats: Of the training episodes.
            proprio: Mode of the state.
            actions: Mode of the actions.

        Raises:
            UnknownNameError: If there is no such mode.
        """
        proprio_center, proprio_scale = stats.proprio.center_and_scale(proprio)
        action_center, action_scale = stats.action.center_and_scale(actions)
        values = {
            "proprio_mean": proprio_center,
            "proprio_std": np.maximum(proprio_scale, MIN_STD),
            "action_center": action_center,
            "action_scale": action_scale,
        }
        normalizer = cls(proprio_dim=len(proprio_center), action_dim=len(action_center))
        state = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in values.items()}
        normalizer.load_state_dict(state)
        return normalizer

    def normalize_proprio(
        self, proprio: Float[Tensor, "*axes proprio_dim"]
    ) -> Float[Tensor, "*axes proprio_dim"]:
        """Centre the state and divide it by its spread."""
        return (proprio - self.proprio_mean) / self.proprio_std

    def normalize_actions(
        self, actions: Float[Tensor, "*axes action_dim"]
    ) -> Float[Tensor, "*axes action_dim"]:
        """Bring the training range of every dimension to [-1, 1]."""
        safe = self.action_scale.clamp(min=MIN_RANGE)
        scaled = (actions - self.action_center) / safe
        return torch.where(self.action_scale < MIN_RANGE, torch.zeros_like(scaled), scaled)

    def unnormalize_actions(
        self, actions: Float[Tensor, "*axes action_dim"]
    ) -> Float[Tensor, "*axes action_dim"]:
        """Undo `normalize_actions`."""
        return actions * self.action_scale + self.action_center
