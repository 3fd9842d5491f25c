"""Predictions that need neither images nor a network: what a policy has to be better than.

Where the actions are joint targets, copying the state is often nearly right, since a robot can
move only so far within a step; see `plait inspect`.
"""

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray
from torch import Tensor

from plait.data.dataset import Demonstrations
from plait.evaluation.open_loop.errors import Recorded
from plait.evaluation.ridge import ridge_predict, unit_kernel
from plait.results.open_loop import COPY_STATE, LINEAR_STATE, MEAN_ACTION

# Training steps that the linear map is fitted on, spread over all episodes.
MAX_FIT_STEPS = 3000


def baseline_chunks(
    recorded: Recorded, training: Int64[ndarray, " steps"], seed: int
) -> dict[str, Float64[Tensor, "samples horizon action_dim"]]:
    """Predict every held-out chunk by each baseline that the data allow.

    Copying needs a state of as many numbers as an action.

    Args:
        recorded: The held-out steps.
        training: Steps of the training episodes.
        seed: Of the episodes that the linear map's penalty is chosen by.
    """
    data = recorded.data
    training = training[
        np.linspace(0, len(training) - 1, min(len(training), MAX_FIT_STEPS)).astype(np.int64)
    ]
    shape = recorded.actions.shape
    # Past the end of an episode its last action stands: the robot is to stay where it is.
    states, chunks = _states(data, training), data.chunks(training).actions.double()
    held_out = _states(data, recorded.steps)
    mean = chunks[:, 0].mean(dim=0)
    found = {MEAN_ACTION: mean.expand(shape).clone()}
    if held_out.shape[1] == shape[2]:
        found[COPY_STATE] = held_out.unsqueeze(1).expand(shape).clone()
    episodes = np.searchsorted(data.episode_bounds[:, 0], training, side="right") - 1
    kernel = unit_kernel(states, held_out, each=True)
    linear = ridge_predict(kernel, chunks.flatten(1), episodes, seed)
    found[LINEAR_STATE] = linear.reshape(shape)
    return found


def _states(
    data: Demonstrations, steps: Int64[ndarray, " steps"]
) -> Float64[Tensor, "steps proprio_dim"]:
    return torch.from_numpy(data.states(steps)).double()
