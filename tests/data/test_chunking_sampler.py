"""Index arithmetic: hand-computed integers, and order as a pure function of (seed, index)."""

import numpy as np
import pytest

from plait.data.chunking import chunk_indices, window_indices
from plait.data.sampler import StepSampler
from plait.errors import OptionError


def test_a_window_repeats_the_first_step_of_its_episode():
    # Episodes are steps 0..3 and 4..9.
    steps, first = np.array([0, 2, 3, 4, 5, 9]), np.array([0, 0, 0, 4, 4, 4])
    expected = [[0, 0, 0], [0, 1, 2], [1, 2, 3], [4, 4, 4], [4, 4, 5], [7, 8, 9]]
    assert window_indices(steps, first, 3).tolist() == expected


def test_a_window_of_one_is_the_step_itself():
    assert window_indices(np.array([4, 7]), np.array([4, 4]), 1).tolist() == [[4], [7]]


def test_a_chunk_repeats_the_last_step_of_its_episode_and_masks_it():
    steps, last = np.array([0, 2, 3, 4, 8]), np.array([3, 3, 3, 9, 9])
    indices, mask = chunk_indices(steps, last, 3)
    assert indices.tolist() == [[0, 1, 2], [2, 3, 3], [3, 3, 3], [4, 5, 6], [8, 9, 9]]
    assert mask.tolist() == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
        [True, True, True],
        [True, True, False],
    ]


def test_indices_equal_the_slow_obvious_version():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 8, 20)
    ends = np.cumsum(lengths)
    first, last = np.repeat(ends - lengths, lengths), np.repeat(ends - 1, lengths)
    steps = rng.permutation(ends[-1])
    window = window_indices(steps, first[steps], 4)
    chunk, mask = chunk_indices(steps, last[steps], 5)
    for row, step in enumerate(steps):
        assert window[row].tolist() == [max(first[step], step + past) for past in (-3, -2, -1, 0)]
        assert chunk[row].tolist() == [min(last[step], step + ahead) for ahead in range(5)]
        assert mask[row].tolist() == [step + ahead <= last[step] for ahead in range(5)]


def test_an_epoch_visits_every_step_once():
    steps = np.arange(100, 123)
    sampler = StepSampler(steps, 5, seed=3)
    drawn = np.concatenate([sampler.batch(index) for index in range(23)])
    for epoch in range(5):
        assert sorted(drawn[23 * epoch : 23 * (epoch + 1)]) == steps.tolist()
    assert drawn[:23].tolist() != drawn[23:46].tolist()


def test_all_batches_are_full_even_when_larger_than_the_data():
    sampler = StepSampler(np.arange(3), 7, seed=0)
    assert [len(sampler.batch(index)) for index in range(4)] == [7] * 4
    assert sorted(sampler.batch(0)[:3]) == [0, 1, 2]


def test_resuming_needs_no_state():
    steps = np.arange(17)
    unbroken = StepSampler(steps, 4, seed=1)
    expected = [unbroken.batch(index).tolist() for index in range(20)]
    resumed = StepSampler(steps, 4, seed=1)
    assert [resumed.batch(index).tolist() for index in range(9, 20)] == expected[9:]
    # Going back is possible too, as validation or a retry may.
    assert resumed.batch(0).tolist() == expected[0]
    assert StepSampler(steps, 4, seed=2).batch(0).tolist() != expected[0]


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(OptionError, match="no step to draw batches from"):
        StepSampler(np.arange(0), 4, seed=0)
    with pytest.raises(OptionError, match="batch size is 0, but must be at least 1"):
        StepSampler(np.arange(3), 0, seed=0)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_what_one_process_would_take(world_size):
    steps = np.arange(100, 137)
    whole = StepSampler(steps, 4 * world_size, seed=3)
    ranks = [
        StepSampler(steps, 4, seed=3, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for index in (0, 1, 7, 40):
        together = np.concatenate([rank.batch(index) for rank in ranks])
        assert together.tolist() == whole.batch(index).tolist()


def test_a_rank_that_is_none_is_refused():
    for rank in (-1, 2):
        with pytest.raises(OptionError, match="below 2"):
            StepSampler(np.arange(5), 2, seed=0, rank=rank, world_size=2)
