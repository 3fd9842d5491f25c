"""Action errors on held-out demonstrations, episode by episode and by step of the horizon.

    e = mean over the recorded steps of a chunk and all varying dimensions of |â - a| / σ

σ is the standard deviation of each dimension over the training actions. An action dimension that
never varies is left out: there is nothing to predict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray
from torch import Tensor

from plait.data.dataset import Demonstrations
from plait.errors import DataError
from plait.evaluation.sensitivity import SMALLEST_STD
from plait.execution import PredictsChunks, mask_modalities
from plait.results.open_loop import EpisodeError

BATCH_SIZE = 256
# Spread evenly over the held-out episodes; more do not make the intervals much smaller.
MAX_STEPS = 4096


@dataclass(frozen=True)
class Recorded:
    """What was done at held-out steps, and how actions vary in training.

    Attributes:
        data: The demonstrations.
        steps: Held-out steps, in order.
        episodes: The episode of each.
        actions: Chunks that start there, in the robot's own units.
        mask: Which of their steps were recorded.
        scale: Standard deviation of each action dimension over the training episodes.
    """

    data: Demonstrations
    steps: Int64[ndarray, " samples"]
    episodes: Int64[ndarray, " samples"]
    actions: Float64[Tensor, "samples horizon action_dim"]
    mask: Bool[Tensor, "samples horizon"]
    scale: Float64[Tensor, " action_dim"]

    @classmethod
    def of(
        cls,
        data: Demonstrations,
        steps: Int64[ndarray, " samples"],
        scale: Float[ndarray, " action_dim"],
    ) -> "Recorded":
        """Gather the chunks that start at some steps.

        Raises:
            DataError: If no action dimension varies in training.
        """
        if not (scale > SMALLEST_STD).any():
            raise DataError(
                data.root, "actions that never vary", "a dataset with something to predict"
            )
        chunks = data.chunks(steps)
        return cls(
            data,
            steps,
            np.searchsorted(data.episode_bounds[:, 0], steps, side="right") - 1,
            chunks.actions.double(),
            chunks.mask,
            torch.from_numpy(np.asarray(scale, dtype=np.float64)),
        )

    @property
    def num_episodes(self) -> int:
        """Number of episodes that the steps are of."""
        return len(np.unique(self.episodes))


def predict_chunks(
    policy: PredictsChunks,
    recorded: Recorded,
    masked_modalities: Sequence[str] = (),
    on_progress: Callable[[float], None] | None = None,
) -> Float64[Tensor, "samples horizon action_dim"]:
    """Ask a policy what it would do at every held-out step.

    Args:
        policy: Anything that predicts chunks.
        recorded: The steps.
        masked_modalities: Withheld from the policy, as in its training.
        on_progress: Called with the share that is done.
    """
    horizon, chunks = recorded.actions.shape[1], []
    for places in _batches(len(recorded.steps)):
        observation = recorded.data.gather(recorded.steps[places]).observation
        chunk = policy.predict(mask_modalities(observation, masked_modalities))
        chunks.append(chunk.actions.cpu().double()[:, :horizon])
        if on_progress is not None:
            on_progress((int(places[-1]) + 1) / len(recorded.steps))
    return torch.cat(chunks)


def episode_errors(
    predicted: Float64[Tensor, "samples horizon action_dim"], recorded: Recorded
) -> tuple[EpisodeError, ...]:
    """Return the error of every held-out episode.

    Args:
        predicted: A chunk for every held-out step, in the robot's own units.
        recorded: What was done instead.
    """
    varies = recorded.scale > SMALLEST_STD
    distance = (predicted - recorded.actions).abs()[:, :, varies] / recorded.scale[varies]
    errors = torch.where(recorded.mask, distance.mean(dim=2), torch.zeros(()).double())
    found = []
    for episode in np.unique(recorded.episodes):
        chosen = torch.from_numpy(recorded.episodes == episode)
        total, count = errors[chosen].sum(dim=0), recorded.mask[chosen].sum(dim=0)
        per_step = [float(t / c) if c else None for t, c in zip(total, count.tolist(), strict=True)]
        found.append(
            EpisodeError(
                episode=int(episode),
                error=float(total.sum() / count.sum()),
                per_step=tuple(per_step),
            )
        )
    return tuple(found)


def _batches(count: int) -> list[Int64[ndarray, " batch"]]:
    return [np.arange(at, min(at + BATCH_SIZE, count)) for at in range(0, count, BATCH_SIZE)]
