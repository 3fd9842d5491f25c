"""Normalisation with exact statistics of the training episodes, kept in the policy's weights.

    normalised = (value - center) / scale

| mode     | center          | scale           | normalised range                        |
| -------- | --------------- | --------------- | --------------------------------------- |
| zscore   | mean            | std             | unbounded                               |
| minmax   | (max + min) / 2 | (max - min) / 2 | [-1, 1]                                 |
| quantile | (q99 + q01) / 2 | (q99 - q01) / 2 | [-1, 1] for 98 % of the training values |
| none     | 0               | 1               | that of the values                      |

Nothing is clipped here (see `plait.data.actions`). A head whose output is bounded to [-1, 1]
reaches every training action only with `minmax`, the default.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from plait.action_spec import NORMALIZATIONS
from plait.data.stream_stats import StreamStats
from plait.errors import UnknownNameError

MIN_STD = 1e-3
MIN_RANGE = 1e-4


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


def center_and_scale(
    stats: StreamStats, mode: str
) -> tuple[Float64[np.ndarray, " dims"], Float64[np.ndarray, " dims"]]:
    """Return what a mode subtracts, and what it divides by.

    Raises:
        UnknownNameError: If there is no such mode.
    """
    if mode == "none":
        return np.zeros_like(stats.mean), np.ones_like(stats.mean)
    if mode == "zscore":
        return stats.mean, stats.std
    if mode == "minmax":
        return (stats.max + stats.min) / 2, (stats.max - stats.min) / 2
    if mode == "quantile":
        return (stats.q99 + stats.q01) / 2, (stats.q99 - stats.q01) / 2
    raise UnknownNameError("normalisation", mode, NORMALIZATIONS)


def of_each_dimension(
    stats: StreamStats, modes: Sequence[str]
) -> tuple[Float64[np.ndarray, " dims"], Float64[np.ndarray, " dims"]]:
    """Return what is subtracted from actions, and what they are divided by.

    A dimension that rests nearly always, but not always, has no spread to divide by though it is
    not constant: its extremes are taken then.

    Args:
        stats: Of the actions.
        modes: One a dimension.

    Raises:
        UnknownNameError: If there is no such mode.
    """
    center, scale = center_and_scale(stats, "minmax")
    for mode in set(modes):
        own_center, own_scale = center_and_scale(stats, mode)
        chosen = np.array([each == mode for each in modes]) & (own_scale >= MIN_RANGE)
        center, scale = np.where(chosen, own_center, center), np.where(chosen, own_scale, scale)
    return center, scale


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
        cls,
        stats: NormStats,
        *,
        proprio: str = "zscore",
        actions: str | Sequence[str] = "minmax",
    ) -> "Normalizer":
        """Build a normaliser from statistics.

        Args:
            stats: Of the training episodes.
            proprio: Mode of the state.
            actions: Mode of the actions, or of each of their dimensions.

        Raises:
            UnknownNameError: If there is no such mode.
        """
        modes = [actions] * len(stats.action.mean) if isinstance(actions, str) else actions
        proprio_center, proprio_scale = center_and_scale(stats.proprio, proprio)
        action_center, action_scale = of_each_dimension(stats.action, modes)
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
