import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from evaluation_fakes import CAMERAS

from plait.errors import PlaitError
from plait.evaluation.offline import action_error
from plait.types import PROPRIO, ActionChunk, Batch, Observation

HORIZON, ACTION_DIM = 5, 3


@dataclass
class ProprioPolicy:
    """Predicts the proprioception at every step of the horizon."""

    action_horizon: int = HORIZON
    observation_window: int = 1
    cameras: tuple[str, ...] = CAMERAS

    def predict(self, observation):
        values = torch.where(
            observation.modality_mask[PROPRIO][:, None], observation.proprio[:, -1], 0.0
        )
        actions = values[:, None].expand(-1, HORIZON, -1)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def make_batch(size, generator, lengths):
    images = {camera: torch.zeros(size, 1, 3, 4, 4, dtype=torch.uint8) for camera in CAMERAS}
    proprio = torch.from_numpy(generator.normal(size=(size, 1, ACTION_DIM)).astype(np.float32))
    actions = torch.from_numpy(
        generator.normal(size=(size, HORIZON, ACTION_DIM)).astype(np.float32)
    )
    mask = torch.arange(HORIZON) < torch.tensor(lengths)[:, None]
    actions = torch.where(mask[..., None], actions, math.nan)
    observation = Observation.complete(images, ("go",) * size, proprio)
    return Batch(observation, ActionChunk(actions, mask))


def test_error_equals_the_loop_and_never_reads_padding():
    generator = np.random.default_rng(0)
    batches = [make_batch(3, generator, [5, 2, 1]), make_batch(2, generator, [3, 4])]
    found = action_error(ProprioPolicy(), iter(batches))

    entries = [
        (step, dim, abs(float(batch.observation.proprio[s, 0, dim] - actions[s, step, dim])))
        for batch in batches
        for actions in [batch.action_chunk.actions]
        for s, step, dim in np.ndindex(*actions.shape)
        if bool(batch.action_chunk.mask[s, step])
    ]
    assert found.num_steps == 15
    assert found.mean == pytest.approx(np.mean([e for *_, e in entries]))
    assert found.per_dim == pytest.approx(
        [np.mean([e for _, d, e in entries if d == dim]) for dim in range(ACTION_DIM)]
    )
    assert found.per_step == pytest.approx(
        [np.mean([e for s, _, e in entries if s == step]) for step in range(HORIZON)]
    )


def test_a_step_that_was_never_recorded_has_no_error():
    found = action_error(ProprioPolicy(), [make_batch(2, np.random.default_rng(1), [3, 2])])

    assert found.per_step[3:] == (0, 0)


def test_masked_modalities_are_withheld():
    batch = make_batch(4, np.random.default_rng(2), [5] * 4)
    found = action_error(ProprioPolicy(), [batch], masked_modalities=(PROPRIO,))

    assert found.mean == pytest.approx(float(batch.action_chunk.actions.abs().mean()))


@pytest.mark.parametrize("lengths", [[], [0, 0]])
def test_no_recorded_action_is_refused(lengths):
    batches = [make_batch(2, np.random.default_rng(3), lengths)] if lengths else []
    with pytest.raises(PlaitError, match="no held-out action to compare with"):
        action_error(ProprioPolicy(), batches)
