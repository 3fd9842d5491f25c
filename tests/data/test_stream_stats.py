"""Statistics of a stream: NumPy's numbers, whatever the blocks, and never averages of episodes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plait.data.lerobot.reader import LeRobotReader
from plait.data.stream_stats import StreamStats, ordered_bits, ordered_values
from plait.errors import DataError

G1 = Path(__file__).parent / "fixtures" / "g1_two_episodes"


def numbers(steps=4001, seed=0):
    """Ten scales, both signs, a constant, and a switch that is hardly ever on."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(steps, 12)) * 10.0 ** np.arange(-6, 6) + rng.normal(size=12)
    values[:, 3], values[:, 4] = -0.3, rng.random(steps) < 0.012
    return values.astype(np.float32)


def in_blocks(values, *places):
    return StreamStats.of_blocks(lambda: iter(np.split(values, places)))


def test_statistics_of_known_numbers():
    values = np.arange(101, dtype=np.float32)[:, None] * np.float32([1, -2])
    found = StreamStats.of(values)
    assert found.count == 101
    np.testing.assert_allclose(found.mean, [50, -100])
    # Var(0..n-1) = (n² - 1) / 12.
    np.testing.assert_allclose(found.std, np.sqrt((101**2 - 1) / 12) * np.array([1, 2]))
    np.testing.assert_allclose([found.min, found.max], [[0, -200], [100, 0]])
    np.testing.assert_allclose([found.q01, found.q99], [[1, -198], [99, -2]])


@pytest.mark.parametrize("steps", [1, 2, 3, 99, 4001])
def test_in_one_block_every_number_is_that_of_numpy(steps):
    values = numbers(steps)
    found, wide = StreamStats.of(values), values.astype(np.float64)
    for name in ("mean", "std", "min", "max"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wide, name)(axis=0), name)
    expected = np.quantile(wide, [0.01, 0.99], axis=0)
    np.testing.assert_allclose([found.q01, found.q99], expected, rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    values=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 60), st.integers(1, 3)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    data=st.data(),
)
def test_blocks_do_not_matter(values, data):
    places = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    found, whole = in_blocks(values, *places), values.astype(np.float64)
    assert found.count == len(values)
    scale = np.abs(whole).max(axis=0) + 1e-30
    np.testing.assert_allclose(found.mean / scale, whole.mean(axis=0) / scale, atol=1e-12)
    np.testing.assert_allclose(found.std / scale, whole.std(axis=0) / scale, atol=1e-7)
    np.testing.assert_array_equal([found.min, found.max], [whole.min(axis=0), whole.max(axis=0)])
    expected = np.quantile(whole, [0.01, 0.99], axis=0)
    np.testing.assert_allclose([found.q01, found.q99] / scale, expected / scale, atol=1e-12)


def test_large_offsets_do_not_cost_precision():
    values = np.float32(4096) + np.array([[0], [1], [2]], dtype=np.float32)
    for found in (StreamStats.of(values), in_blocks(values, 1, 2)):
        np.testing.assert_allclose(found.std, [np.sqrt(2 / 3)], rtol=1e-12)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=20))
def test_the_bits_of_floats_are_put_in_order_and_back(values):
    values = np.array(values, dtype=np.float32)
    bits = ordered_bits(values)
    np.testing.assert_array_equal(ordered_values(bits), values)
    np.testing.assert_array_equal(values[np.argsort(bits, kind="stable")], np.sort(values))


def test_nothing_has_no_statistics():
    with pytest.raises(DataError, match="no step; expected at least one training episode"):
        StreamStats.of(np.zeros((0, 3), np.float32))


def share_outside(values, low, high):
    """Share of the numbers that leave [-1, 1] when `low` and `high` are mapped to its ends."""
    varies = high - low > 1e-4
    scaled = (2 * values - low - high)[:, varies] / (high - low)[varies]
    return float((np.abs(scaled) > 1).mean())


def test_averaged_quantiles_of_episodes_are_no_quantiles_of_a_real_robot():
    reader = LeRobotReader.open(G1)
    whole = StreamStats.of(reader.action)
    assert share_outside(reader.action, whole.q01, whole.q99) == pytest.approx(0.02, abs=0.005)
    bounds = reader.episode_bounds
    each = [StreamStats.of(reader.action[start:end]) for start, end in bounds]
    low, high = (
        np.average([getattr(one, name) for one in each], axis=0, weights=np.diff(bounds).ravel())
        for name in ("q01", "q99")
    )
    # With 93 episodes instead of these two it is more than half.
    assert share_outside(reader.action, low, high) > 0.3
