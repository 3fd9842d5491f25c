"""Corruptions of the proprio: their size, what they leave alone, what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from corrupt_fakes import samples

from plait.data.corrupt import corruption
from plait.data.corrupt.base import generator
from plait.errors import OptionError, ShapeError
from plait.types import Observation

SCALE = (0.5, 1.0, 2.0, 0.0, 4.0, 8.0, 16.0)


def many(num=4000, window=2):
    """Samples whose proprio is 3 throughout."""
    image = torch.zeros(num, window, 3, 2, 2, dtype=torch.uint8)
    proprio = torch.full((num, window, 7), 3.0)
    return Observation.complete({"base": image}, ("go",) * num, proprio)


def changes(name, severity, seeds, **options):
    return corruption(name, severity, **options)(many(len(seeds)), seeds).proprio - 3


def test_noise_is_as_large_as_each_dimension_varies():
    noise = changes("proprio_noise", 3, torch.arange(4000), scale=SCALE).double()
    expected = 0.4 * torch.tensor(SCALE)
    # The standard error of a deviation is σ/√(2n), and n is 8,000.
    bound = 5 * expected / math.sqrt(16_000) + 1e-9
    assert ((noise.std(dim=(0, 1)) - expected).abs() <= bound).all()
    assert (noise[:, 0] != noise[:, 1]).any(dim=0).tolist() == [size > 0 for size in SCALE]


def test_noise_is_drawn_from_seed_and_step():
    moved = corruption("proprio_noise", 5, scale=SCALE)(
        samples(), torch.tensor([4, 5, 6]), torch.tensor([7, 8, 9])
    )
    drawn = generator("proprio_noise", "step", 5, 8).standard_normal((3, 7), dtype=np.float32)
    expected = samples().proprio[1] + torch.from_numpy(drawn) * torch.tensor(SCALE)
    torch.testing.assert_close(moved.proprio[1], expected)


def test_a_bias_is_the_same_size_up_or_down_and_constant_over_the_window():
    bias = changes("proprio_bias", 2, torch.arange(4000), scale=SCALE)
    torch.testing.assert_close(bias.abs(), (0.2 * torch.tensor(SCALE)).expand(4000, 2, 7))
    assert torch.equal(bias[:, 0], bias[:, 1])
    up = (bias[:, 0] > 0).double().mean(dim=0)
    assert ((up - 0.5).abs() < 5 * 0.5 / math.sqrt(4000))[torch.tensor(SCALE) > 0].all()


def test_dropout_masks_and_blanks_a_share_of_the_samples():
    observation = many()
    last = None
    for severity, share in enumerate((0.1, 0.25, 0.5, 0.75, 1.0), start=1):
        dropped = corruption("proprio_dropout", severity)(observation, torch.arange(4000))
        present = dropped.modality_mask["proprio"]
        assert abs(float((~present).double().mean()) - share) <= 5 * math.sqrt(
            share * (1 - share) / 4000
        )
        assert (dropped.proprio[present] == 3).all()
        assert (dropped.proprio[~present] == 0).all()
        assert last is None or bool((present <= last).all())
        last = present
    assert dropped.modality_mask["vision"].all()


def test_what_was_absent_stays_absent():
    observation = many(8).without("proprio")
    observation = replace(observation, proprio=torch.full((8, 2, 7), float("nan")))
    for name, options in (("proprio_dropout", {}), ("proprio_noise", {"scale": SCALE})):
        corrupted = corruption(name, 1, **options)(observation, torch.arange(8))
        assert not corrupted.modality_mask["proprio"].any()


@pytest.mark.parametrize("name", ["proprio_noise", "proprio_bias"])
def test_a_scale_that_does_not_fit_is_refused(name):
    with pytest.raises(ShapeError, match=r"^scale has shape \(2,\), but \(7,\) was expected"):
        corruption(name, 1, scale=(1.0, 1.0))(samples(), torch.arange(3))
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match=f"the scale of {name} is .*{bad}.*, but must be"):
            corruption(name, 1, scale=(bad, 1.0))
