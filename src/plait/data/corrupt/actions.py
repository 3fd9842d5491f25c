"""Corruptions of actions: they come late."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from plait.data.corrupt.base import ACTION, Action, Corruption, EpisodeCorruptor
from plait.errors import ShapeError


@dataclass(frozen=True)
class ActionDelay(Corruption):
    """Actions are executed some steps after they were asked for.

    Args:
        severity: 1 to 5.
        idle: What is executed before the first action arrives; zeros, which hold still where
            actions are displacements, if empty.
    """

    name = "action_delay"
    modality = ACTION
    keeps = "Every action and their order."
    measure = "control steps"
    strengths = (1, 2, 3, 5, 8)
    idle: tuple[float, ...] = field(default=(), kw_only=True)

    def start_episode(self, seed: int) -> EpisodeCorruptor:
        """Queue the actions of an episode."""
        return _LateActions(self, seed)


class _LateActions(EpisodeCorruptor):
    """A queue of actions that are under way."""

    def __init__(self, corruption: ActionDelay, seed: int) -> None:
        self.corruption = corruption
        super().__init__(seed)

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._under_way: deque[Action] = deque()

    def act(self, action: Action) -> Action:
        idle = np.array(self.corruption.idle or np.zeros_like(action), dtype=np.float32)
        if idle.shape != action.shape:
            raise ShapeError(
                "idle", idle.shape, action.shape, "Give one number an action dimension"
            )
        self._under_way.append(action.copy())
        if len(self._under_way) <= self.corruption.strength:
            return idle
        return self._under_way.popleft()
