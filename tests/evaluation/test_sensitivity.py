from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from evaluation_fakes import CAMERAS

from plait.errors import PlaitError
from plait.evaluation.sensitivity import (
    ablation_sensitivity,
    instruction_sensitivity,
    sensitivity_diagnostic,
    swap_instructions,
)
from plait.types import LANGUAGE, PROPRIO, VISION, ActionChunk, Batch, Observation

WORDS = {"": 0.0, "one": 1.0, "two": 2.0, "four": 4.0}


@dataclass
class LinearPolicy:
    """`a = weights · (brightness, number named, first proprio)` in each dimension."""

    weights: tuple[tuple[float, ...], ...]
    action_horizon: int = 3
    observation_window: int = 1
    cameras: tuple[str, ...] = CAMERAS

    def predict(self, observation):
        brightness = observation.images["base"].float().mean(dim=(1, 2, 3, 4))
        number = torch.tensor([WORDS[text] for text in observation.instruction])
        inputs = torch.stack([brightness, number, observation.proprio[:, -1, 0]], dim=1)
        actions = (inputs @ torch.tensor(self.weights).T)[:, None].expand(-1, 3, -1)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def make_batch(brightness, instructions, proprio, actions):
    size = len(instructions)
    pixels = torch.tensor(brightness, dtype=torch.uint8)[:, None, None, None, None]
    images = {camera: pixels.expand(size, 1, 3, 4, 4) for camera in CAMERAS}
    state = torch.tensor(proprio, dtype=torch.float32)[:, None, None].expand(size, 1, 2)
    observation = Observation.complete(images, tuple(instructions), state)
    values = torch.tensor(actions, dtype=torch.float32)[:, None].expand(size, 3, -1)
    return Batch(observation, ActionChunk(values, torch.ones(size, 3, dtype=torch.bool)))


# Recorded actions have standard deviations 1, 2 and 0.
BATCH = make_batch([10, 20], ["one", "four"], [3.0, -5.0], [[1.0, 0.0, 0.5], [-1.0, 4.0, 0.5]])


def test_each_modality_counts_by_how_far_it_moves_the_actions():
    policy = LinearPolicy(((0.1, 0.0, 0.0), (0.0, 1.0, 0.5), (9.0, 9.0, 9.0)))
    found = ablation_sensitivity(policy, [BATCH])

    # Per modality: mean |input| · weight / std, over the two dimensions that vary.
    assert found == pytest.approx(
        {
            VISION: (15 * 0.1 / 1 + 0) / 2,
            LANGUAGE: (0 + 2.5 * 1.0 / 2) / 2,
            PROPRIO: (0 + 4 * 0.5 / 2) / 2,
        }
    )


def test_batches_are_taken_together():
    policy = LinearPolicy(((0.1, 0.3, 0.0), (0.0, 1.0, 0.5), (0.0, 0.0, 0.0)))
    halves = [
        make_batch([10], ["one"], [3.0], [[1.0, 0.0, 0.5]]),
        make_batch([20], ["four"], [-5.0], [[-1.0, 4.0, 0.5]]),
    ]

    assert ablation_sensitivity(policy, iter(halves)) == pytest.approx(
        ablation_sensitivity(policy, [BATCH])
    )


def test_a_policy_that_ignores_a_modality_has_none():
    policy = LinearPolicy(((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)))

    assert ablation_sensitivity(policy, [BATCH])[LANGUAGE] == 0
    assert instruction_sensitivity(policy, [BATCH]) == 0


def test_samples_that_lack_the_modality_already_are_left_out():
    policy = LinearPolicy(((0.0, 1.0, 0.0),) * 3)
    masks = {**BATCH.observation.modality_mask, LANGUAGE: torch.tensor([False, True])}
    batch = replace(BATCH, observation=replace(BATCH.observation, modality_mask=masks))

    # Only "four" counts: 4 / 1 and 4 / 2.
    assert ablation_sensitivity(policy, [batch])[LANGUAGE] == pytest.approx(3)


def test_swapped_instructions_differ_wherever_they_can():
    texts = ["one", "one", "two", "one", "four"]
    batch = make_batch([0] * 5, texts, [0.0] * 5, [[0.0]] * 5)
    swapped, has_changed = swap_instructions(batch.observation)

    assert swapped.instruction == ("two", "two", "one", "four", "one")
    assert has_changed.tolist() == [True] * 5
    assert swapped.proprio is batch.observation.proprio


def test_a_single_instruction_cannot_be_swapped():
    batch = make_batch([0, 0], ["one", "one"], [0.0, 0.0], [[0.0], [1.0]])
    swapped, has_changed = swap_instructions(batch.observation)

    assert swapped.instruction == ("one", "one")
    assert has_changed.tolist() == [False, False]
    assert instruction_sensitivity(LinearPolicy(((0.0, 1.0, 0.0),)), [batch]) == 0


def test_the_swap_is_measured_where_it_changes_something():
    policy = LinearPolicy(((0.0, 1.0, 0.0),) * 3)
    lonely = make_batch([0, 0], ["two", "two"], [0.0, 0.0], [[1.0, 0.0, 0.5], [-1.0, 4.0, 0.5]])

    # |4 - 1| in stds of 1 and 2; the batch with one instruction adds nothing.
    assert instruction_sensitivity(policy, [BATCH, lonely]) == pytest.approx((3 + 1.5) / 2)


def test_bars_for_the_report():
    policy = LinearPolicy(((0.1, 0.0, 0.0), (0.0, 1.0, 0.5), (9.0, 9.0, 9.0)))
    record = sensitivity_diagnostic(policy, [BATCH])

    assert (record.name, record.kind) == ("modality_sensitivity", "bars")
    assert record.labels == (VISION, LANGUAGE, PROPRIO, "instruction swapped")
    assert record.values == pytest.approx((0.75, 0.625, 0.5, 0.75))
    assert record.note.startswith("Mean change of the predicted actions")
    assert all(type(value) is float for value in record.values)


@pytest.mark.parametrize("actions", [[[2.0], [2.0]], None])
def test_actions_that_never_vary_give_no_scale(actions):
    batches = [make_batch([0, 1], ["one", "two"], [0.0, 0.0], actions)] if actions else []
    count = 2 if actions else 0
    with pytest.raises(PlaitError, match=f"the {count} held-out actions never vary"):
        ablation_sensitivity(LinearPolicy(((1.0, 1.0, 1.0),)), batches)


def test_padding_never_sets_the_scale():
    policy = LinearPolicy(((0.1, 0.0, 0.0), (0.0, 1.0, 0.5), (9.0, 9.0, 9.0)))
    doubled = make_batch(
        [10, 20, 10, 20],
        ["one", "four"] * 2,
        [3.0, -5.0] * 2,
        [[1.0, 0.0, 0.5], [-1.0, 4.0, 0.5], [np.nan] * 3, [np.nan] * 3],
    )
    mask = torch.tensor([True, True, False, False])[:, None].expand(4, 3)
    batch = replace(doubled, action_chunk=ActionChunk(doubled.action_chunk.actions, mask))

    assert ablation_sensitivity(policy, [batch]) == pytest.approx(
        ablation_sensitivity(policy, [BATCH])
    )
