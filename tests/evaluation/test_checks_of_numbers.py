"""Checks of times, lengths, numbers and statistics, each with its mistake and without."""

import numpy as np
import pytest

from inspection_fakes import ACTION, FPS, STATE, make_rows, told, vars_of, with_vector
from plait.data.lerobot.format import column_stats
from plait.data.survey import Rows
from plait.evaluation.inspection.numbers import (
    check_constant,
    check_finite,
    check_first_action,
    histograms,
)
from plait.evaluation.inspection.stored_stats import averaged_quantiles, check_stored
from plait.evaluation.inspection.stretches import check_stretches, is_idle, on_limits
from plait.evaluation.inspection.times import check_lengths, check_times, count_lengths


def stats_of(rows):
    return {key: column_stats(values) for key, values in rows.vectors.items()}


def test_healthy_numbers_raise_nothing():
    rows = make_rows()
    found = [
        *check_times(rows, FPS),
        *check_lengths(rows, FPS),
        *check_finite(rows, ACTION),
        *check_first_action(rows, ACTION),
        *check_constant(ACTION, rows.vectors[ACTION], ()),
        *check_constant(STATE, rows.vectors[STATE], ()),
        *check_stored(rows, stats_of(rows), (STATE, ACTION)),
        *check_stretches(rows, STATE, ACTION, FPS, ())[0],
    ]
    assert told(found) == []


# --- time stamps ----------------------------------------------------------------------------------


def retimed(change):
    rows = make_rows()
    times = rows.timestamp.copy()
    change(times)
    return Rows(**{**vars_of(rows), "timestamp": times})


def test_a_gap_is_named_with_its_length_and_episode():
    def late(times):
        times[45:90] += 0.7

    ((severity, text),) = told(check_times(retimed(late), FPS))
    assert severity == "warning"
    assert text.startswith("timestamp of episode 1: Before 1 row there is a gap of more than 1.5")
    assert "of up to 0.80 s" in text


def test_the_long_step_between_two_episodes_is_no_gap():
    rows = make_rows()
    shifted = rows.timestamp + 100.0 * rows.episode_index
    found = told(check_times(Rows(**{**vars_of(rows), "timestamp": shifted}), FPS))
    assert [text for _, text in found if "gap" in text] == []
    assert found == [
        (
            "warning",
            "timestamp of episodes 1, 2, 3 and 4: In 4 rows an episode begins at another time "
            "than 0.",
        )
    ]


def test_time_that_stands_still_or_runs_back_is_an_error():
    def stand(times):
        times[10] = times[9]

    found = dict(told(check_times(retimed(stand), FPS)))
    assert "In 1 row the time is not later than in the row before" in found["error"]


def test_time_stamps_that_are_missing_are_an_error():
    def lose(times):
        times[50:53] = np.nan

    assert told(check_times(retimed(lose), FPS)) == [
        ("error", "timestamp of episode 1: In 3 rows there is no time stamp.")
    ]


def test_jitter_is_told_from_the_rounding_of_single_precision():
    rng = np.random.default_rng(1)

    def shake(times):
        times += rng.uniform(-0.02, 0.02, len(times))

    assert any("early or late" in text for _, text in told(check_times(retimed(shake), FPS)))
    # A whole day at 30 Hz: steps of 1 / 128 s in float32, and nothing else wrong.
    step = np.arange(1000) + 30 * 86_400
    start = np.float32(step[0] / 30)
    times = (step / 30).astype(np.float32).astype(np.float64)
    rows = make_rows((1000,), timestamp=times)
    found = [text for _, text in told(check_times(rows, 30.0)) if "early or late" in text]
    assert found == []
    assert start > 0


def test_a_rate_that_is_not_the_declared_one_is_an_error():
    ((severity, text),) = told(check_times(make_rows(), 30.0))
    assert (severity, text) == (
        "error",
        "meta/info.json: fps is 30, but by the time stamps there are 10 rows a second.",
    )


# --- lengths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "severity", "words"),
    [
        ((40, 41, 42, 5), "warning", "episode 3: 1 episode shorter than a fifth of the median"),
        ((40, 41, 42, 400), "note", "episode 3: 1 episode longer than five times the median"),
        ((40, 41, 42, 1), "warning", "episode 3: 1 episode of a single step"),
    ],
)
def test_episodes_of_odd_length_are_named(lengths, severity, words):
    ((found_severity, text),) = told(check_lengths(make_rows(lengths), FPS))
    assert found_severity == severity
    assert text.startswith(words)


def test_lengths_are_counted_from_the_shortest_to_the_longest():
    counted = count_lengths(np.array([4, 4, 5, 9]))
    assert (counted.shortest, counted.median, counted.longest) == (4, 4.5, 9)
    assert counted.counts == (2, 1, 0, 0, 0, 1)
    assert count_lengths(np.array([7, 7])).counts == (2,)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_with_its_place(value):
    def spoil(values):
        values[43, 1] = value

    rows = with_vector(make_rows(), ACTION, spoil)
    ((severity, text),) = told(check_finite(rows, ACTION))
    assert severity == "error"
    assert text.startswith("action of episode 1: In 1 row there are numbers that are not finite")
    assert f"first {value} in dimension 1 at step 3 of episode 1" in text
    # The other checks go on with the rest.
    check_stretches(rows, STATE, ACTION, FPS, ())
    assert len(histograms(ACTION, rows.vectors[ACTION][:40], (), {})) == 2


def test_a_state_that_was_not_recorded_is_no_mistake_but_an_action_is():
    absent = np.zeros(250, dtype=bool)
    absent[:40] = True

    def lose(values):
        values[:40] = np.nan

    rows = make_rows()
    for key, severity in ((STATE, "note"), (ACTION, "error")):
        broken = with_vector(rows, key, lose)
        broken = Rows(**{**vars_of(broken), "absent": {key: absent}})
        assert told(check_finite(broken, ACTION)) == [
            (severity, f"{key} of episode 0: In 40 rows it was not recorded (null).")
        ]


def test_a_constant_dimension_is_a_note_and_a_constant_feature_a_warning():
    values = make_rows().vectors[ACTION].copy()
    values[:, 0] = 0.5
    assert told(check_constant(ACTION, values, ("reach", "grip"))) == [
        ("note", "action[0] (reach): 1 dimension with the same value in every row.")
    ]
    values[:, 1] = 0.0
    assert told(check_constant(ACTION, values, ()))[0][0] == "warning"


def test_a_value_too_rare_for_quantiles_is_a_warning():
    values = make_rows().vectors[ACTION].copy()
    values[:, 1] = 0.0
    values[7, 1] = 1.0
    ((severity, text),) = told(check_constant(ACTION, values, ()))
    assert severity == "warning"
    assert "action[1] it is another in 0.4% of the steps" in text


def test_a_first_action_of_zero_is_a_placeholder_but_a_zero_elsewhere_is_not():
    rows = make_rows()

    def zero_first(values):
        values[rows.is_first] = 0.0

    ((severity, text),) = told(check_first_action(with_vector(rows, ACTION, zero_first), ACTION))
    assert severity == "warning"
    assert "The first action of an episode is 0 in dimensions 0 and 1" in text

    def zero_often(values):
        values[::2] = 0.0
        values[rows.is_first] = 0.0

    assert told(check_first_action(with_vector(rows, ACTION, zero_often), ACTION)) == []


def test_histograms_count_every_step_and_mark_exact_and_stored_quantiles():
    values = np.arange(1000, dtype=np.float32)[:, None] * np.array([[1.0, 0.0]], np.float32)
    stored = {"q01": [5.0, 0.0], "q99": [900.0, 0.0]}
    first, constant = histograms(STATE, values, ("x", "y"), stored)
    assert (first.minimum, first.maximum, sum(first.counts)) == (0.0, 999.0, 1000)
    assert (first.q01, first.q99) == pytest.approx((9.99, 989.01), abs=1e-3)
    assert (first.stored_q01, first.stored_q99) == (5.0, 900.0)
    assert constant.counts == (1000,)
    assert histograms(STATE, values, (), {"q01": ["a"], "q99": [1.0]})[0].stored_q01 is None


# --- stretches ------------------------------------------------------------------------------------


def rested(start, stop, keys=(STATE, ACTION)):
    rows = make_rows()

    def rest(values):
        values[start:stop] = values[start]

    for key in keys:
        rows = with_vector(rows, key, rest)
    return rows


def test_idle_steps_are_exactly_those_of_the_planted_stretch():
    rows = rested(100, 130)
    assert np.flatnonzero(is_idle(rows, (STATE, ACTION), 20)).tolist() == list(range(100, 130))
    found, motion = check_stretches(rows, STATE, ACTION, FPS, ())
    assert motion.idle == pytest.approx(30 / 250)
    assert told(found)[0] == (
        "warning",
        "episode 2: In 12.0% of all steps neither state nor action has moved for 2 s or more; "
        "0.0% of these are at the start or the end of an episode.",
    )


def test_idle_at_the_end_of_an_episode_is_said_to_be_there():
    found, _ = check_stretches(rested(20, 40), STATE, ACTION, FPS, ())
    assert "100.0% of these are at the start or the end" in told(found)[0][1]


def test_a_rest_that_is_short_or_crosses_into_the_next_episode_is_not_idle():
    assert not is_idle(rested(100, 115), (STATE, ACTION), 20).any()
    # Steps 25 to 39 end episode 0, 40 to 54 begin episode 1: fifteen each.
    assert not is_idle(rested(25, 55), (STATE, ACTION), 20).any()


def test_standing_still_while_actions_change_is_not_idle():
    assert not is_idle(rested(100, 130, keys=(STATE,)), (STATE, ACTION), 20).any()


def test_actions_on_their_limit_are_found_and_a_gripper_is_not():
    rows = make_rows()

    def saturate(values):
        values[60:80, 0] = values[:, 0].max()
        values[:, 1] = np.where(np.arange(len(values)) % 60 < 30, 0.0, 1.0)

    rows = with_vector(rows, ACTION, saturate)
    limits = on_limits(rows.vectors[ACTION], rows, 10)
    assert np.flatnonzero(limits[:, 0]).tolist() == list(range(60, 80))
    assert not limits[:, 1].any()
    found, motion = check_stretches(rows, STATE, ACTION, FPS, ("reach", "grip"))
    assert motion.saturated == pytest.approx((20 / 250, 0.0))
    assert "this share of the steps: action[0] (reach) 8.0%" in told(found)[0][1]


# --- stored statistics ----------------------------------------------------------------------------


def resting_places():
    """Each episode at a place of its own, as objects lie: quantiles differ by episode."""
    rows = make_rows((100, 100, 100, 100))
    places = np.repeat([-3.0, -1.0, 1.0, 3.0], 100)[:, None]
    rng = np.random.default_rng(0)
    action = places + 0.1 * rng.normal(size=(400, 2))
    return Rows(**{**vars_of(rows), "vectors": {ACTION: action.astype(np.float32)}})


def test_averaged_quantiles_are_found_with_how_far_they_are_off_and_where_they_come_from():
    rows = resting_places()
    stats = stats_of(rows)
    assert told(check_stored(rows, stats, (ACTION,))) == []
    low, high = averaged_quantiles(rows, ACTION)
    stats[ACTION] |= {"q01": low.tolist(), "q99": high.tolist()}
    ((severity, text),) = told(check_stored(rows, stats, (ACTION,)))
    assert severity == "warning"
    # All four places lie outside the mean of the episodes' quantiles, which is about ±0.25.
    assert "100.0% of the values lie outside the stored 1% and 99% quantiles" in text
    assert "look like the mean of the episodes' quantiles" in text


def test_averaged_quantiles_are_the_weighted_mean_computed_by_hand():
    rows = make_rows((10, 30))
    values = rows.vectors[ACTION]
    expected = (
        10 * np.quantile(values[:10], 0.99, 0) + 30 * np.quantile(values[10:], 0.99, 0)
    ) / 40
    np.testing.assert_allclose(averaged_quantiles(rows, ACTION)[1], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "max",
            [0.1, 9.0],
            "of the rows lie outside the stored minimum and maximum, in dimension 0",
        ),
        ("mean", [0.0, 2.0], "The stored mean is off by up to"),
        ("min", [0.0], "It has no usable min and max"),
    ],
)
def test_statistics_of_other_data_are_found(name, value, words):
    rows = make_rows()
    stats = stats_of(rows)
    stats[ACTION][name] = value
    assert words in told(check_stored(rows, stats, (STATE, ACTION)))[0][1]


def test_no_statistics_at_all_is_a_note():
    assert told(check_stored(make_rows(), {}, (ACTION,)))[0][0] == "note"
