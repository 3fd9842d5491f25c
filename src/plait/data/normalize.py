"""Normalisation with exact statistics of the training episodes, kept in the policy's weights."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

MIN_STD = 1e-3
MIN_RANGE = 1e-4


@dataclass(frozen=True)
class NormStats:
    """Exact per-dimension statistics of the training episodes."""

    proprio_mean: Float[np.ndarray, " proprio_dim"]
    proprio_std: Float[np.ndarray, " proprio_dim"]
    action_min: Float[np.ndarray, " action_dim"]
    action_max: Float[np.ndarray, " action_dim"]

    @classmethod
    def of(
        cls,
        proprio: Float[np.ndarray, "steps proprio_dim"],
        action: Float[np.ndarray, "steps action_dim"],
    ) -> "NormStats":
        """Compute the statistics in float64."""
        wide = proprio.astype(np.float64)
        return cls(wide.mean(axis=0), wide.std(axis=0), action.min(axis=0), action.max(axis=0))


class Normalizer(nn.Module):
    """z-scores proprioception and maps actions to [-1, 1] by their range.

    A dimension that never changes maps to 0 and back to its one value.

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
    def from_stats(cls, stats: NormStats) -> "Normalizer":
        """Build a normaliser from statistics."""
        normalizer = cls(proprio_dim=len(stats.proprio_mean), action_dim=len(stats.action_min))
        center = (stats.action_max + stats.action_min) / 2
        scale = (stats.action_max - stats.action_min) / 2
        values = {
            "proprio_mean": stats.proprio_mean,
            "proprio_std": np.maximum(stats.proprio_std, MIN_STD),
            "action_center": center,
            "action_scale": scale,
        }
        state = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in values.items()}
        normalizer.load_state_dict(state)
        return normalizer

    def normalize_proprio(
        self, proprio: Float[Tensor, "*axes proprio_dim"]
    ) -> Float[Tensor, "*axes proprio_dim"]:
        """Bring the state to zero mean and unit deviation."""
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
