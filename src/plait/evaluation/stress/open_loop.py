"""Open loop under one condition: action errors on held-out demonstrations, without a simulator.

    e = mean over held-out episodes of the mean over their steps of |â - a|

in the actions' own units; the same steps for every condition, so that cells are paired. A small
error is not success: read it as how much a corruption changes what the policy would do.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray
from torch import Tensor

from plait.data.corrupt import StatelessCorruption
from plait.data.corrupt.base import Corruption, SensorDelay
from plait.errors import OptionError
from plait.evaluation.sensitivity import SMALLEST_STD, swap_instructions
from plait.evaluation.stress.held_out import HeldOut
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.policies import Checked, RefusedError, Withheld
from plait.execution import PredictsChunks
from plait.results.stress import (
    CAMERA,
    CORRUPTION,
    OPEN,
    PARAPHRASED,
    PERMUTED,
    SWAPPED,
    TRIVIAL,
    Cell,
    Condition,
)
from plait.types import LANGUAGE, PROPRIO, VISION, Batch, Observation

EVERYTHING_REWORDED = 5


Change = Callable[[Int64[ndarray, " batch"], Batch], tuple[Observation, Bool[Tensor, " batch"]]]


class OpenLoop:
    """Asks a policy about held-out steps, under one condition after the other.

    Args:
        policy: Anything that predicts chunks, checked.
        held_out: The steps.
        ingredients: What corruptions need.
    """

    def __init__(self, policy: Checked, held_out: HeldOut, ingredients: Ingredients) -> None:
        self.policy, self.held_out, self.ingredients = policy, held_out, ingredients

    def ask(self, condition: Condition) -> Cell:
        """Measure error and movement under one condition.

        Raises:
            PlaitError: Of the policy. What it does not understand of a corrupted instruction is
                not an error, but the cell's refusal.
        """
        start = time.monotonic()
        errors, moved, refusal = torch.zeros(0), torch.zeros(0), ""
        try:
            errors, moved = self._measure(condition)
        except RefusedError as error:
            if condition.modality != LANGUAGE:
                raise
            refusal = str(error)
        held_out, is_measured = self.held_out, not refusal
        values = held_out.per_episode(errors) if is_measured else ()
        kept = [index for index, value in enumerate(values) if not np.isnan(value)]
        moves = held_out.per_episode(moved) if is_measured else ()
        return Cell(
            condition=condition,
            loop=OPEN,
            units=tuple(held_out.units[index] for index in kept),
            values=tuple(values[index] for index in kept),
            phases=held_out.per_phase(errors, kept) if is_measured else {},
            moved=tuple(moves[index] for index in kept),
            refusal=refusal,
            seconds=time.monotonic() - start,
        )

    def trivial(self) -> Cell:
        """Return the errors of always predicting the mean action of the training episodes."""
        held_out = self.held_out
        mean = torch.from_numpy(held_out.mean_action).float()
        errors = torch.cat(
            [_error(batch, mean.expand_as(batch.action_chunk.actions)) for batch in self._all]
        )
        return Cell(
            condition=Condition(kind=TRIVIAL, name=TRIVIAL),
            loop=OPEN,
            units=held_out.units,
            values=held_out.per_episode(errors),
            instructions=held_out.instructions,
            phases=held_out.per_phase(errors, range(len(held_out.units))),
        )

    @property
    def _all(self) -> Iterator[Batch]:
        return (batch for _, batch in self.held_out.batches())

    @cached_property
    def _usual(self) -> Float[Tensor, "samples horizon action_dim"]:
        """What the policy predicts where nothing is wrong."""
        return torch.cat([self._predict(self.policy, batch.observation) for batch in self._all])

    def _measure(
        self, condition: Condition
    ) -> tuple[Float64[Tensor, " samples"], Float64[Tensor, " samples"]]:
        """Return error and movement of every step; NaN where the condition changed nothing."""
        cameras = (condition.name,) if condition.kind == CAMERA else ()
        policy = Withheld(self.policy, condition.missing, cameras)
        change, std = self._change(condition), self.held_out.std
        varies = std > SMALLEST_STD
        errors, moved = [], []
        for places, batch in self.held_out.batches():
            observation, has_changed = change(places, batch)
            predicted = self._predict(policy, observation)
            distance = (predicted - self._usual[torch.from_numpy(places)]).abs().mean(dim=1)
            in_stds = (distance / std)[:, varies].mean(dim=1)
            nothing = torch.full_like(in_stds, float("nan"))
            errors.append(torch.where(has_changed, _error(batch, predicted), nothing))
            moved.append(torch.where(has_changed, in_stds, nothing))
        return torch.cat(errors), torch.cat(moved)

    def _predict(
        self, policy: PredictsChunks, observation: Observation
    ) -> Float64[Tensor, "batch horizon action_dim"]:
        actions = policy.predict(observation).actions.cpu().double()
        return actions[:, : self.policy.action_horizon]

    def _change(self, condition: Condition) -> Change:
        if condition.kind == SWAPPED:
            return lambda _, batch: swap_instructions(batch.observation)
        if condition.kind == PERMUTED:
            return partial(self._permuted, self._strangers(condition.severity), condition.name)
        if condition.kind == PARAPHRASED:
            return self._corrupted(self.ingredients.make("paraphrase", EVERYTHING_REWORDED))
        if condition.kind == CORRUPTION:
            return self._corrupted(self.ingredients.make(condition.name, condition.severity))
        return lambda _, batch: (batch.observation, _everywhere(batch))

    def _corrupted(self, corruption: Corruption) -> Change:
        if isinstance(corruption, SensorDelay):
            return partial(self._late, corruption)
        if isinstance(corruption, StatelessCorruption):
            return partial(self._stateless, corruption)
        raise OptionError(
            f"{corruption.name} changes neither an observation nor when it arrives, so recorded "
            "demonstrations cannot show what it does"
        )

    def _moments(self, places: ndarray) -> tuple[Int64[Tensor, " batch"], Int64[Tensor, " batch"]]:
        """Return the episode of each sample, which is its seed, and its step in the episode."""
        episodes = self.held_out.episodes[places]
        first = self.held_out.data.episode_bounds[episodes, 0]
        inside = self.held_out.steps[places] - first
        return torch.from_numpy(episodes), torch.from_numpy(inside)

    def _stateless(
        self, corruption: StatelessCorruption, places: ndarray, batch: Batch
    ) -> tuple[Observation, Bool[Tensor, " batch"]]:
        return corruption(batch.observation, *self._moments(places)), _everywhere(batch)

    def _late(
        self, corruption: SensorDelay, places: ndarray, batch: Batch
    ) -> tuple[Observation, Bool[Tensor, " batch"]]:
        """Take the readings from the steps of the episode whose readings would be shown."""
        episodes, inside = self._moments(places)
        first = self.held_out.steps[places] - inside.numpy()
        observation = batch.observation

        def shown(sensor: str) -> Observation:
            steps = corruption.shown_steps(inside, episodes, sensor).numpy()
            return self.held_out.data.gather(first + steps).observation

        if corruption.modality == PROPRIO:
            changed = replace(observation, proprio=shown(PROPRIO).proprio)
        else:
            images = {camera: shown(camera).images[camera] for camera in observation.images}
            changed = replace(observation, images=images, features={})
        return changed, _everywhere(batch)

    def _strangers(self, draw: int) -> Int64[ndarray, " samples"]:
        """Permute the samples so that each gets one of another episode, where there are enough."""
        # Samples lie in the order of their episodes: turning them by more than the longest has is
        # enough.
        episodes = self.held_out.episodes
        count, longest = len(episodes), int(np.bincount(episodes).max())
        low, high = min(longest, count // 2), max(count - longest, count // 2)
        offset = int(np.random.default_rng([draw, 3]).integers(low, high + 1))
        return (np.arange(count) + offset) % count

    def _permuted(
        self, strangers: ndarray, modality: str, places: ndarray, batch: Batch
    ) -> tuple[Observation, Bool[Tensor, " batch"]]:
        """Take one modality from other episodes, and leave the others."""
        steps = self.held_out.steps[strangers[places]]
        other = self.held_out.data.gather(steps).observation
        observation = batch.observation
        if modality == VISION:
            changed = replace(observation, images=other.images, features={})
        elif modality == LANGUAGE:
            changed = replace(observation, instruction=other.instruction)
        else:
            changed = replace(observation, proprio=other.proprio)
        return changed, _everywhere(batch)


def _everywhere(batch: Batch) -> Bool[Tensor, " batch"]:
    return torch.ones(batch.observation.batch_size, dtype=torch.bool)


def _error(
    batch: Batch, predicted: Float[Tensor, "batch horizon action_dim"]
) -> Float64[Tensor, " batch"]:
    """Return the mean absolute error of each sample over its recorded steps and all dimensions."""
    chunk = batch.action_chunk
    error = (predicted.double() - chunk.actions.double()).abs().mean(dim=2)
    error = torch.where(chunk.mask, error, torch.zeros_like(error))
    return error.sum(dim=1) / chunk.mask.sum(dim=1).clamp(min=1)
