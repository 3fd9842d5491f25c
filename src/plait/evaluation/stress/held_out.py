"""The held-out demonstrations that a policy is asked about in open loop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from plait.data.dataset import Demonstrations
from plait.errors import PlaitError
from plait.evaluation.sensitivity import SMALLEST_STD
from plait.evaluation.stress.phases import phases_of
from plait.results.stress import GRIPPER_PHASES, THIRDS
from plait.types import Batch

BATCH_SIZE = 256


@dataclass(frozen=True)
class HeldOut:
    """The held-out steps that every condition is asked about.

    Attributes:
        data: The demonstrations, opened with the policy's cameras, window and horizon.
        steps: Which steps, in order.
        mean_action: Mean action of the training episodes.
    """

    data: Demonstrations
    steps: Int64[ndarray, " samples"]
    mean_action: Float[ndarray, " action_dim"]

    @cached_property
    def episodes(self) -> Int64[ndarray, " samples"]:
        """The episode of each step."""
        starts = self.data.episode_bounds[:, 0]
        return np.searchsorted(starts, self.steps, side="right") - 1

    @cached_property
    def units(self) -> tuple[int, ...]:
        """The episodes, in order."""
        return tuple(np.unique(self.episodes).tolist())

    @cached_property
    def instructions(self) -> tuple[str, ...]:
        """Instruction of each episode's first step, one a unit."""
        _, first = np.unique(self.episodes, return_index=True)
        return self.data.gather(self.steps[first]).observation.instruction

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """The phase of each step in its episode."""
        data = self.data
        names = phases_of(data.actions, data.episode_bounds, data.action_names, data.fps)
        return tuple(names[self.steps])

    @cached_property
    def std(self) -> Float[Tensor, " action_dim"]:
        """Standard deviation of each action dimension over these steps.

        Raises:
            PlaitError: If no action ever varies.
        """
        actions = [batch.action_chunk.actions[:, 0] for _, batch in self.batches()]
        std = torch.cat(actions).double().std(dim=0, correction=0)
        if not bool((std > SMALLEST_STD).any()):
            raise PlaitError(
                f"the {len(self.steps)} held-out actions never vary, so there is nothing to predict"
            )
        return std

    def batches(self) -> Iterator[tuple[Int64[ndarray, " batch"], Batch]]:
        """Yield places in `steps`, and what was recorded there."""
        for start in range(0, len(self.steps), BATCH_SIZE):
            places = np.arange(start, min(start + BATCH_SIZE, len(self.steps)))
            yield places, self.data.gather(self.steps[places])

    def per_episode(self, values: Float[Tensor, " samples"]) -> tuple[float, ...]:
        """Average over the steps of each episode; those that are NaN are left out.

        An episode of which nothing is left is NaN.
        """
        is_there = ~torch.isnan(values)
        means = []
        for unit in self.units:
            chosen = torch.from_numpy(self.episodes == unit) & is_there
            means.append(float(values[chosen].mean()) if bool(chosen.any()) else float("nan"))
        return tuple(means)

    def per_phase(
        self, values: Float[Tensor, " samples"], kept: Sequence[int]
    ) -> dict[str, tuple[float | None, ...]]:
        """Average over the steps of each phase of each episode; None where there is none.

        Args:
            values: One a step.
            kept: Places of the episodes in `units` that are reported.
        """
        phases, nothing = np.array(self.phases), torch.full_like(values, float("nan"))
        found = {}
        for name in (*GRIPPER_PHASES, *THIRDS):
            if name in self.phases:
                inside = torch.where(torch.from_numpy(phases == name), values, nothing)
                means = self.per_episode(inside)
                found[name] = tuple(None if np.isnan(means[i]) else means[i] for i in kept)
        return found
