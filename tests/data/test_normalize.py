"""Normalisation: exact statistics, exact inverses, and a state dict that carries them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.normalize import MIN_RANGE, MIN_STD, Normalizer, NormStats
from plait.data.stream_stats import StreamStats
from plait.errors import DataError, UnknownNameError


def stats(seed=0, steps=101):
    rng = np.random.default_rng(seed)
    proprio = (rng.normal(size=(steps, 5)) * [1, 10, 100, 0.1, 2] + 3).astype(np.float32)
    action = rng.uniform(-1, 1, (steps, 3)).astype(np.float32) * np.float32([0.02, 1, 40])
    return proprio, action, NormStats.of(proprio, action)


def test_proprio_has_zero_mean_and_unit_deviation():
    proprio, _, found = stats()
    out = Normalizer.from_stats(found).normalize_proprio(torch.from_numpy(proprio))
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std(dim=0, correction=0), torch.ones(5), atol=1e-4, rtol=0)


def test_actions_fill_minus_one_to_one():
    _, action, found = stats()
    out = Normalizer.from_stats(found).normalize_actions(torch.from_numpy(action))
    torch.testing.assert_close(out.amin(dim=0), torch.full((3,), -1.0))
    torch.testing.assert_close(out.amax(dim=0), torch.full((3,), 1.0))


def test_quantiles_bring_98_percent_into_range_and_clip_nothing():
    proprio, action, found = stats(steps=1000)
    normalizer = Normalizer.from_stats(found, proprio="quantile", actions="quantile")
    for out in (
        normalizer.normalize_actions(torch.from_numpy(action)),
        normalizer.normalize_proprio(torch.from_numpy(proprio)),
    ):
        assert (out.abs() <= 1).float().mean().item() == pytest.approx(0.98, abs=0.002)
        assert out.abs().max() > 1


@pytest.mark.parametrize("mode", ["zscore", "minmax", "quantile"])
@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(
        st.tuples(st.floats(-128, 128, width=32), st.floats(-0.0625, 0.0625, width=32)),
        min_size=2,
        max_size=30,
    )
)
def test_unnormalize_undoes_normalize(mode, values):
    action = np.array(values, dtype=np.float32)
    found = NormStats.of(np.zeros((len(action), 1), np.float32), action)
    normalizer = Normalizer.from_stats(found, actions=mode)
    actual = normalizer.unnormalize_actions(normalizer.normalize_actions(torch.from_numpy(action)))
    # A dimension whose range is below 1e-4 is taken for constant, so it returns within that.
    torch.testing.assert_close(actual, torch.from_numpy(action), atol=3e-4, rtol=1e-5)


def test_a_constant_action_is_zero_and_returns_exactly():
    action = np.full((7, 2), [0.3, -5], dtype=np.float32)
    normalizer = Normalizer.from_stats(NormStats.of(np.zeros((7, 1), np.float32), action))
    normalized = normalizer.normalize_actions(torch.from_numpy(action) + 1e-3)
    assert torch.equal(normalized, torch.zeros(7, 2))
    # Whatever the policy predicts there.
    actual = normalizer.unnormalize_actions(torch.full((7, 2), 0.7))
    assert torch.equal(actual, torch.from_numpy(action))


def normalizer_of(action, mode):
    proprio = np.zeros((len(action), 1), np.float32)
    return Normalizer.from_stats(NormStats.of(proprio, action), actions=mode)


@pytest.mark.parametrize("mode", ["quantile", "zscore"])
def test_a_dimension_that_rarely_moves_keeps_what_it_does_then(mode):
    # Both quantiles are 0, and the deviation nearly: what moves must not be lost, or blown up.
    action = np.zeros((10_000, 2), np.float32)
    action[5000, 0], action[:, 1] = 5 * MIN_RANGE, np.linspace(-1, 3, 10_000)
    normalizer = normalizer_of(action, mode)
    given = torch.from_numpy(action)
    normalized = normalizer.normalize_actions(given)
    assert set(normalized[:, 0].tolist()) == {-1.0, 1.0}
    restored = normalizer.unnormalize_actions(normalized)
    torch.testing.assert_close(restored, given, atol=1e-6, rtol=1e-5)
    alone = normalizer_of(action[:, 1:], mode).normalize_actions(given[:, 1:])
    assert torch.equal(normalized[:, 1:], alone)


def test_each_dimension_has_a_mode_of_its_own():
    _, action, found = stats()
    modes = ("none", "zscore", "minmax")
    out = Normalizer.from_stats(found, actions=modes).normalize_actions(torch.from_numpy(action))
    for dim, mode in enumerate(modes):
        alone = Normalizer.from_stats(found, actions=mode)
        assert torch.equal(out[:, dim], alone.normalize_actions(torch.from_numpy(action))[:, dim])
    assert torch.equal(out[:, 0], torch.from_numpy(action)[:, 0])


def test_a_constant_state_is_not_blown_up():
    proprio = np.full((7, 1), 2, dtype=np.float32)
    normalizer = Normalizer.from_stats(NormStats.of(proprio, np.zeros((7, 1), np.float32)))
    actual = normalizer.normalize_proprio(torch.tensor([[2.001]]))
    torch.testing.assert_close(actual, torch.tensor([[0.001 / MIN_STD]]), atol=1e-3, rtol=0)


def test_statistics_travel_in_the_state_dict():
    _, action, found = stats()
    saved = Normalizer.from_stats(found)
    loaded = Normalizer(proprio_dim=5, action_dim=3)
    plain = torch.randn(2, 4, 3)
    assert torch.equal(loaded.normalize_actions(plain), plain)
    loaded.load_state_dict(saved.state_dict())
    actions = torch.from_numpy(action)
    assert torch.equal(loaded.normalize_actions(actions), saved.normalize_actions(actions))
    assert not list(loaded.parameters())


def test_unknown_mode_and_no_step_are_refused():
    _, _, found = stats()
    with pytest.raises(UnknownNameError, match=r"unknown normalisation 'min_max'.*'minmax'"):
        Normalizer.from_stats(found, actions="min_max")
    with pytest.raises(DataError, match="no step; expected at least one training episode"):
        StreamStats.of(np.zeros((0, 3), np.float32))
