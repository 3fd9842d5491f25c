"""Statistics of actions as a head predicts them: after the transform, over whole chunks."""

from collections.abc import Iterator

import torch
from jaxtyping import Float32, Int64
from numpy import ndarray

from plait.data.actions import ActionTransform
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer, NormStats
from plait.data.stream_stats import BLOCK_STEPS, StreamStats
from plait.errors import DataError

TRAIN_ABSOLUTE = "Train with absolute actions"


def fit_normalizer(
    transform: ActionTransform,
    demonstrations: Demonstrations,
    episodes: Int64[ndarray, " episodes"],
) -> Normalizer:
    """Build the normaliser of a policy from its training episodes.

    Raises:
        DataError: If there is no step, or actions need a state and none was recorded.
    """
    steps = demonstrations.steps_of(episodes)
    if transform.needs_state:
        steps = steps[demonstrations.has_states(steps)]
        if not len(steps):
            expected = "the states that actions are to be relative to"
            raise DataError(demonstrations.root, "no state was recorded", expected, TRAIN_ABSOLUTE)
    actions = StreamStats.of_blocks(lambda: represented_actions(transform, demonstrations, steps))
    stats = NormStats(demonstrations.norm_stats(episodes).proprio, actions)
    return Normalizer.from_stats(stats, actions=transform.normalizations)


def represented_actions(
    transform: ActionTransform, demonstrations: Demonstrations, steps: Int64[ndarray, " steps"]
) -> Iterator[Float32[ndarray, "actions represented_dim"]]:
    """Yield the recorded actions of all chunks that start at some steps, in blocks.

    An action occurs once for every chunk that it is in, each time as that chunk tells it.
    """
    size = max(BLOCK_STEPS // demonstrations.action_horizon, 1)
    for start in range(0, len(steps), size):
        chosen = steps[start : start + size]
        chunk, states = demonstrations.chunks(chosen), demonstrations.states(chosen)
        yield transform.represent(chunk.actions, torch.from_numpy(states))[chunk.mask].numpy()
