"""The objects that flow through Plait."""

import dataclasses

import pytest
import torch

from plait.testing import fake_batch, fake_observation
from plait.testing.fake import FAKE_DATA, fake_tokens
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION, Fused, Observation, Tokens


def test_concatenate_keeps_values_with_their_masks():
    first = Tokens(torch.arange(6.0).view(1, 2, 3), torch.tensor([[True, False]]))
    second = Tokens(torch.arange(6.0, 15.0).view(1, 3, 3), torch.tensor([[False, True, True]]))
    joined = Tokens.concatenate([first, second])
    assert torch.equal(joined.values, torch.arange(15.0).view(1, 5, 3))
    assert joined.mask.tolist() == [[True, False, False, True, True]]


def test_with_values_keeps_the_mask():
    tokens = fake_tokens()[LANGUAGE]
    changed = tokens.with_values(torch.zeros(3, 11, 2))
    assert changed.mask is tokens.mask
    assert torch.equal(changed.values, torch.zeros(3, 11, 2))


def test_shapes_that_do_not_belong_together_are_refused_in_tests():
    with pytest.raises(Exception, match="Tokens"):
        Tokens(torch.zeros(2, 3, 5), torch.ones(2, 7, dtype=torch.bool))
    with pytest.raises(Exception, match="Tokens"):
        Tokens(torch.zeros(2, 3, 5), torch.ones(2, 3))


def test_a_complete_observation_has_everything_present():
    observation = fake_observation()
    assert observation.batch_size == 3
    assert set(observation.modality_mask) == set(MODALITIES)
    assert set(observation.camera_mask) == set(FAKE_DATA.cameras)
    masks = [*observation.modality_mask.values(), *observation.camera_mask.values()]
    assert all(mask.tolist() == [True] * 3 for mask in masks)


def test_without_marks_one_modality_and_keeps_its_values():
    observation = fake_observation()
    hidden = observation.without(PROPRIO)
    assert hidden.modality_mask[PROPRIO].tolist() == [False] * 3
    assert hidden.modality_mask[VISION].tolist() == [True] * 3
    assert torch.equal(hidden.proprio, observation.proprio)
    assert observation.modality_mask[PROPRIO].tolist() == [True] * 3
    with pytest.raises(KeyError, match="smell"):
        observation.without("smell")


def test_objects_are_frozen():
    observation = fake_observation()
    with pytest.raises(dataclasses.FrozenInstanceError, match="proprio"):
        observation.proprio = torch.zeros(1)


def test_map_tensors_reaches_every_tensor_and_leaves_the_words():
    observation = fake_observation()
    seen = []

    def note(tensor):
        seen.append(tensor)
        return tensor[:1]

    mapped = observation.map_tensors(note)
    assert len(seen) == 2 + 1 + 3 + 2  # images, proprio, modality masks, camera masks
    assert mapped.instruction == observation.instruction
    assert torch.equal(mapped.images["wrist"], observation.images["wrist"][:1])
    assert isinstance(mapped, Observation)


def test_batch_moves_every_tensor():
    moved = fake_batch().to("meta")
    assert moved.action_chunk.actions.is_meta
    assert moved.action_chunk.mask.is_meta
    assert all(image.is_meta for image in moved.observation.images.values())
    assert moved.observation.modality_mask[VISION].is_meta
    assert moved.observation.images["base"].dtype == torch.uint8


def test_a_single_group_has_weight_one_of_the_tokens_dtype():
    tokens = fake_tokens(dtype=torch.float64)[VISION]
    fused = Fused.single(tokens)
    assert torch.equal(fused.weights, torch.ones(3, 1, dtype=torch.float64))
    assert fused.groups == (tokens,)
    assert fused.losses == {}
    assert fused.diagnostics == {}


def test_fakes_depend_on_their_seed_alone():
    first, again, other = fake_batch(seed=5), fake_batch(seed=5), fake_batch(seed=6)
    assert torch.equal(first.action_chunk.actions, again.action_chunk.actions)
    assert torch.equal(first.observation.images["base"], again.observation.images["base"])
    assert first.observation.instruction == again.observation.instruction
    assert not torch.equal(first.action_chunk.actions, other.action_chunk.actions)


def test_fake_batch_has_every_form_of_padding():
    batch = fake_batch()
    assert batch.action_chunk.mask.tolist() == [[True] * 5, [True] * 4 + [False], [True] * 5]
    assert batch.action_chunk.actions.abs().max() <= 1
    lengths = [len(text.split()) for text in batch.observation.instruction]
    assert len(set(lengths)) == 3
    words = {word for text in batch.observation.instruction for word in text.split()}
    assert words <= set(FAKE_DATA.vocabulary)
    assert {tuple(part.mask.sum(1).tolist()) for part in fake_tokens().values()} == {
        (70, 35, 70),
        (11, 8, 5),
        (13, 10, 7),
    }
