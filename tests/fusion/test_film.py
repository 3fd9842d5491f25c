"""FiLM: language and state scale and shift the vision trunk."""

from dataclasses import replace

import pytest
import torch

from plait.fusion.film import FiLMFusion
from plait.layers import grid_to_tokens, tokens_to_grid
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import LANGUAGE, PROPRIO, VISION


def build():
    torch.manual_seed(0)
    return FiLMFusion(FAKE_SPECS, 24, hidden_dim=13)


def close_gates(fusion):
    """Make γ = β = 0 whatever the condition."""
    with torch.no_grad():
        fusion.condition.contract.weight.zero_()
        fusion.condition.contract.bias.zero_()


def vision_values(fusion, tokens):
    return fusion(tokens).groups[0].values[:, :70]


def test_zero_gates_equal_the_unconditioned_trunk():
    fusion, tokens = build(), fake_tokens()
    close_gates(fusion)
    projected = fusion.project(tokens)[VISION]
    grid = tokens_to_grid(projected.values, FAKE_SPECS[VISION])
    for block in fusion.blocks:
        grid = block(grid)
    expected = grid_to_tokens(grid, 2) + torch.cat([fusion.position, fusion.position])
    real = projected.mask
    torch.testing.assert_close(vision_values(fusion, tokens)[real], expected[real])


def test_the_instruction_reaches_the_patches_through_the_gates_only():
    fusion, tokens = build(), fake_tokens()
    words = tokens[LANGUAGE]
    other = {**tokens, LANGUAGE: words.with_values(words.values.flip(-1))}
    changed = (vision_values(fusion, tokens) - vision_values(fusion, other)).abs()
    assert changed[0].amin(dim=0).max() > 1e-4
    close_gates(fusion)
    assert torch.equal(vision_values(fusion, tokens), vision_values(fusion, other))


def test_the_state_reaches_the_patches_too():
    fusion, tokens = build(), fake_tokens()
    state = tokens[PROPRIO]
    other = {**tokens, PROPRIO: state.with_values(state.values.flip(-1))}
    changed = (vision_values(fusion, tokens) - vision_values(fusion, other)).abs()
    assert changed[0].max() > 1e-4


def test_every_view_gets_the_gates_of_its_own_sample():
    fusion, tokens = build(), fake_tokens()
    words = tokens[LANGUAGE]
    second = words.values.clone()
    second[1] = second[1].flip(-1)
    before = vision_values(fusion, tokens)
    after = vision_values(fusion, {**tokens, LANGUAGE: words.with_values(second)})
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert (before[1, :35] - after[1, :35]).abs().max() > 1e-4


def test_words_and_state_follow_the_patches():
    fusion, tokens = build(), fake_tokens()
    group = fusion(tokens).groups[0]
    masks = [tokens[name].mask for name in FAKE_SPECS]
    assert torch.equal(group.mask, torch.cat(masks, dim=1))
    projected = fusion.project(tokens)[LANGUAGE].values
    assert torch.equal(group.values[:, 70:81], projected)
    assert torch.equal(group.values[1, 35:70], torch.zeros(35, 24))


def test_vision_without_a_grid_is_refused():
    specs = {**FAKE_SPECS, VISION: replace(FAKE_SPECS[VISION], grid=None)}
    with pytest.raises(ValueError, match="but the vision tokens have no grid"):
        FiLMFusion(specs, 24)
