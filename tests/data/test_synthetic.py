"""The tasks are what their table says: answers follow from the tokens, and only from them."""

import itertools

import pytest
import torch

from plait.data.synthetic import NUM_PATCHES, SPECS, TASKS, Binding
from plait.fusion.concat import ConcatFusion
from plait.masks import pooled_mean
from plait.types import LANGUAGE, PROPRIO, VISION

NUM = 4000


def decode(tokens, codes):
    """Return the nearest code of each sample's mean token."""
    return torch.cdist(tokens.values.mean(dim=1), codes).argmin(dim=1)


@pytest.mark.parametrize("name", TASKS)
def test_seeds_decide_the_samples_and_shapes_are_declared(name):
    task = TASKS[name]
    first, again, other = (task.draw(32, seed) for seed in (3, 3, 4))
    for modality, spec in SPECS.items():
        assert torch.equal(first.tokens[modality].values, again.tokens[modality].values)
        assert not torch.equal(first.tokens[modality].values, other.tokens[modality].values)
        assert first.tokens[modality].values.shape[-1] == spec.width
    assert torch.equal(first.answer, again.answer)
    counts = torch.bincount(task.draw(NUM, 0).answer, minlength=task.num_classes) / NUM
    assert counts == pytest.approx(torch.full_like(counts, 1 / task.num_classes), abs=0.03)


def test_xor_is_decided_by_both_and_independent_of_each():
    from plait.data.synthetic import _BIT_CODES

    sample = TASKS["xor"].draw(NUM, 0)
    seen = decode(sample.tokens[VISION], _BIT_CODES[VISION])
    told = decode(sample.tokens[LANGUAGE], _BIT_CODES[LANGUAGE])
    assert torch.equal(seen ^ told, sample.answer)
    for bit in (seen, told):
        assert (bit == sample.answer).float().mean() == pytest.approx(0.5, abs=0.03)


def test_redundant_witnesses_are_right_as_often_as_stated():
    from plait.data.synthetic import _BIT_CODES

    task = TASKS["redundancy"]
    sample = task.draw(NUM, 0)
    votes = torch.stack([decode(sample.tokens[name], _BIT_CODES[name]) for name in SPECS])
    for vote in votes:
        assert (vote == sample.answer).float().mean() == pytest.approx(0.85, abs=0.02)
    for one, two in itertools.combinations(votes, 2):
        wrong = (one != sample.answer).float() * (two != sample.answer).float()
        assert wrong.mean() == pytest.approx(0.15**2, abs=0.01)
    majority = (votes.sum(dim=0) >= 2).long()
    assert (majority == sample.answer).float().mean() == pytest.approx(task.best, abs=0.015)


def test_what_is_missing_is_masked_and_somebody_always_knows():
    task = TASKS["missing"]
    training, test = task.draw(NUM, 0), task.draw(NUM, 0, is_test=True)
    present = {name: part.mask.any(dim=1) for name, part in training.tokens.items()}
    assert (present[VISION] | present[LANGUAGE]).all()
    for name in (VISION, LANGUAGE):
        assert present[name].float().mean() == pytest.approx(0.7, abs=0.03)
    assert not test.tokens[VISION].mask.any()
    assert test.tokens[LANGUAGE].mask.all()
    assert test.tokens[PROPRIO].mask.all()


def test_binding_cannot_be_seen_in_the_mean_of_linear_features():
    sample = Binding().draw(64, 0)
    vision = sample.tokens[VISION]
    mean = pooled_mean(vision.values, vision.mask)
    torch.testing.assert_close(mean, mean[:1].expand_as(mean))
    fusion = ConcatFusion(SPECS, 32)
    told = {**sample.tokens, LANGUAGE: sample.tokens[LANGUAGE].with_values(torch.zeros(64, 3, 16))}
    told[PROPRIO] = sample.tokens[PROPRIO].with_values(torch.zeros(64, 1, 16))
    fused = fusion(told).groups[0].values
    torch.testing.assert_close(fused, fused[:1].expand_as(fused))


def test_binding_names_the_colour_at_the_answer():
    task = Binding()
    sample = task.draw(NUM, 0)
    named = decode(sample.tokens[LANGUAGE], task._words)
    patches = sample.tokens[VISION].values - task._places
    colours = torch.cdist(patches, task._colours).argmin(dim=-1)
    assert torch.equal(colours.gather(1, sample.answer.unsqueeze(1)).squeeze(1), named)
    everywhere = torch.arange(NUM_PATCHES).expand_as(colours)
    assert torch.equal(colours.sort(dim=1).values, everywhere)
