"""Phases of hand-made gripper traces: every sign and form that robots have, and no gripper."""

import numpy as np
import pytest

from plait.evaluation.stress.phases import first_closings, gripper_dims, phases_of

LETTERS = {
    "approach": "a",
    "grasp": "g",
    "place": "p",
    "early third": "1",
    "middle third": "2",
    "last third": "3",
}


def recorded(*traces, before=3):
    """Make actions whose last dimension is the gripper, and the bounds of the episodes."""
    rng = np.random.default_rng(0)
    lengths = [len(trace) for trace in traces]
    gripper = np.concatenate([np.asarray(trace, dtype=float) for trace in traces])
    moves = rng.normal(size=(sum(lengths), before))
    ends = np.cumsum(lengths)
    bounds = np.stack([ends - lengths, ends], axis=1)
    return np.column_stack([moves, gripper]), bounds


def trace(text, is_open=-1.0, is_closed=1.0):
    return [{"o": is_open, "c": is_closed}[letter] for letter in text]


def written(actions, bounds, **options):
    names = phases_of(actions, bounds, **options)
    letters = "".join(LETTERS[name] for name in names)
    return [letters[start:end] for start, end in bounds.tolist()]


SIGNS = [(-1, 1), (1, -1), (0, 1), (1, 0), (0.08, 0.0)]


@pytest.mark.parametrize(("is_open", "is_closed"), SIGNS)
def test_an_episode_that_grasps_and_lets_go_has_three_phases_whatever_the_sign(is_open, is_closed):
    traces = [trace("oooooccccccccccccooo", is_open, is_closed)] * 3
    assert written(*recorded(*traces)) == ["aaagggggpppppppppppp"] * 3


def test_the_first_closing_counts_and_the_rest_is_place():
    assert written(*recorded(trace("ooooccooccooo"), trace("oooooooocccco")))[0] == "aaagggppppppp"


def test_the_grasp_is_a_tenth_to_either_side_at_least_a_step_and_at_most_a_second():
    short, long = trace("oocc"), trace("o" * 200 + "c" * 200)
    actions, bounds = recorded(short, long)
    found = written(actions, bounds, fps=10)
    assert found[0] == "aggg"
    assert [found[1].count(letter) for letter in "agp"] == [190, 21, 189]
    assert [written(actions, bounds, fps=60)[1].count(letter) for letter in "agp"] == [160, 81, 159]


def test_an_episode_that_starts_closed_and_stays_so_is_divided_into_thirds():
    """A touch with a closed hand, beside episodes that grasp."""
    found = written(*recorded(trace("ccccccc"), *[trace("ooooooccccccoo")] * 2))
    assert found[0] == "1112233"
    assert set(found[1]) == {"a", "g", "p"}


def test_opening_is_not_closing():
    actions, bounds = recorded(*[trace("oooccc")] * 3, trace("cccooo"))
    assert first_closings(actions, bounds, (3,)).tolist() == [3, 9, 15, -1]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_gripper_that_never_moves_gives_thirds(value):
    assert written(*recorded([value] * 6, [value] * 2, [value])) == ["112233", "12", "1"]


def test_the_last_dimension_of_an_arm_without_gripper_is_none():
    actions, bounds = recorded(np.random.default_rng(1).normal(size=90))
    assert gripper_dims(actions) == ()
    assert written(actions, bounds) == ["1" * 30 + "2" * 30 + "3" * 30]


def test_a_gripper_is_found_by_its_name_wherever_it_is_and_whatever_it_looks_like():
    opening = np.concatenate([np.linspace(1, 0.7, 10), np.linspace(0.3, 0, 10)])
    actions, bounds = recorded(opening)
    actions = actions[:, ::-1]
    names = ("left_Gripper.pos", "x", "y", "z")
    assert gripper_dims(actions, names) == (0,)
    assert gripper_dims(actions) == ()
    assert written(actions, bounds, names=names) == ["aaaaaaaagggggppppppp"]


def test_names_that_name_no_gripper_leave_the_last_dimension_to_be_looked_at():
    actions, _ = recorded(trace("ooocccc"))
    assert gripper_dims(actions, ("motor_0", "motor_1", "motor_2", "motor_3")) == (3,)


def test_of_two_hands_the_one_that_closes_first_counts():
    actions, bounds = recorded(trace("ooooooocc"), trace("ooooooooo"), trace("occcccccc"))
    other = np.concatenate([trace(t, 0, 1) for t in ("occcccccc", "ooooooooc", "ooooooooc")])
    actions = np.column_stack([other, actions])
    names = ("left_gripper", "x", "y", "z", "right_gripper")
    dims = gripper_dims(actions, names)
    assert dims == (0, 4)
    assert first_closings(actions, bounds, dims).tolist() == [1, 17, 19]


def test_a_short_slip_halfway_is_a_closing_and_noise_near_an_end_is_not():
    rng = np.random.default_rng(2)
    still = 0.05 * rng.random(20)
    closing = np.concatenate([0.05 * rng.random(10), 1 - 0.05 * rng.random(10)])
    actions, bounds = recorded(still, closing, closing)
    assert first_closings(actions, bounds, (3,)).tolist() == [-1, 30, 50]
