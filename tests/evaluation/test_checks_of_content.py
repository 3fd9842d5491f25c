"""Checks of tables, cameras, copies, splits and copying, each with its mistake and without."""

from pathlib import Path

import numpy as np
import pytest

from inspection_fakes import ACTION, FPS, STATE, make_rows, scenery, told, vars_of, wander
from plait.data.survey import EpisodeRecord, Rows
from plait.data.survey.videos import VideoFacts
from plait.errors import DataError
from plait.evaluation.inspection.cameras import (
    Views,
    check_camera,
    check_same_picture,
    describe_frame,
)
from plait.evaluation.inspection.copying import check_copying, measure_copying
from plait.evaluation.inspection.duplicates import (
    check_copies,
    check_splits,
    exact_copies,
    grouped,
    near_copies,
    seen_alike,
)
from plait.evaluation.inspection.files import (
    check_episodes,
    check_totals,
    check_videos,
    problems_found,
)
from plait.evaluation.inspection.instructions import check_instructions, count_instructions

# --- totals, episodes, videos ---------------------------------------------------------------------


def records(rows, **lengths):
    found = zip(rows.episodes.tolist(), rows.lengths.tolist(), strict=True)
    return {i: EpisodeRecord(lengths.get(f"e{i}", n), ("do it",)) for i, n in found}


def test_totals_and_episodes_that_fit_raise_nothing():
    rows = make_rows()
    info = {"total_episodes": 5, "total_frames": 250, "total_tasks": 1}
    assert [*check_totals(info, rows, 1), *check_episodes(rows, records(rows))] == []


def test_every_total_that_is_wrong_is_named_with_both_numbers():
    info = {"total_episodes": 6, "total_frames": 251, "total_tasks": 2}
    assert told(check_totals(info, make_rows(), 1)) == [
        ("error", "meta/info.json: total_episodes is 6, but 5 are there."),
        ("error", "meta/info.json: total_frames is 251, but 250 are there."),
        ("warning", "meta/info.json: total_tasks is 2, but 1 are there."),
    ]


def test_episodes_whose_rows_differ_from_the_table_are_named():
    rows = make_rows()
    table = records(rows, e1=51)
    del table[4]
    table[9] = EpisodeRecord(10)
    texts = [text for _, text in told(check_episodes(rows, table))]
    assert "episode 1 has 50 rows instead of 51" in texts[0]
    assert texts[1] == "episode 9: 1 episode in meta/episodes, but without any row."
    assert texts[2] == "episode 4: 1 episode with rows, but not in meta/episodes."


def test_a_row_that_is_doubled_breaks_the_counting():
    rows = make_rows()
    frame = rows.frame_index.copy()
    frame[45] = frame[44]
    ((severity, text),) = told(check_episodes(Rows(**{**vars_of(rows), "frame_index": frame}), {}))
    assert severity == "error"
    assert text.startswith("episode 1: frame_index does not count 0, 1, 2 ... in 1 row")


def video(**changes):
    fields = {
        "path": Path("a.mp4"),
        "camera": "base",
        "episodes": (0, 1),
        "num_rows": 90,
        "num_packets": 90,
        "fps": 10.0,
        "num_uneven": 0,
    }
    return VideoFacts(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        (
            {"num_packets": 88},
            "error",
            "88 frames for 90 rows of episodes 0 and 1: the last 2 have",
        ),
        ({"num_packets": 92, "episodes": (0,)}, "warning", "frames and rows may be shifted"),
        ({"fps": 15.0}, "error", "The frames come 15 times a second, not 10 as declared"),
        ({"num_uneven": 3}, "warning", "In 3 frames the time is early or late"),
    ],
)
def test_videos_that_do_not_fit_their_rows_are_named(changes, severity, words):
    assert told(check_videos([video()], FPS)) == []
    ((found_severity, text),) = told(check_videos([video(**changes)], FPS))
    assert (found_severity, words in text) == (severity, True)


def test_one_mistake_in_many_files_is_one_finding():
    problems = [DataError(f"f{i}", "no column 'x'", "it", "Copy again") for i in range(8)]
    (finding,) = problems_found(problems)
    assert finding.where == "f0, f1, f2, f3, f4 and 3 others"
    assert (finding.severity, finding.todo) == ("error", "Copy again.")


# --- instructions ---------------------------------------------------------------------------------


def tasked(*tasks):
    rows = make_rows((10, 10, 10))
    return Rows(**{**vars_of(rows), "task_index": np.repeat(tasks, 10)})


def test_instructions_that_fit_raise_nothing_and_are_counted():
    rows, tasks = tasked(0, 1, 1), {0: "pick", 1: "place"}
    table = {0: EpisodeRecord(10, ("pick",)), 1: EpisodeRecord(10, ("place", "stack"))}
    assert list(check_instructions(rows, tasks, table)) == []
    counted = [(c.text, c.num_episodes, c.num_steps) for c in count_instructions(rows, tasks)]
    assert counted == [("place", 2, 20), ("pick", 1, 10)]


@pytest.mark.parametrize(
    ("rows", "tasks", "severity", "words"),
    [
        (tasked(0, 0, 3), {0: "pick"}, "error", "episode 2: In 10 rows the task is 3, which the"),
        (
            tasked(0, 0, -1),
            {0: "pick"},
            "note",
            "episode 2: In 10 rows no instruction was recorded",
        ),
        (tasked(0, 0, 1), {0: "pick", 1: " "}, "warning", "In 10 steps the instruction is empty"),
        (tasked(0, 0, 0), {0: "pick", 1: "place"}, "note", "1 instruction without any step: 'pla"),
        (
            tasked(0, 1, 1),
            {0: "Pick  it.", 1: "pick it"},
            "warning",
            "One instruction in 2 spellings: 'Pick  it.' and 'pick it'",
        ),
    ],
)
def test_instructions_with_a_mistake(rows, tasks, severity, words):
    ((found_severity, text),) = told(check_instructions(rows, tasks, {}))
    assert found_severity == severity
    assert words in text


def test_rows_and_table_that_name_different_instructions_are_an_error():
    table = {0: EpisodeRecord(10, ("place",)), 1: EpisodeRecord(10, ("pick",))}
    ((severity, text),) = told(check_instructions(tasked(0, 0, 0), {0: "pick"}, table))
    assert (severity, text.split(":")[0]) == ("error", "episode 0")


# --- cameras --------------------------------------------------------------------------------------


def seen(rows, frame_of, per_episode=5):
    """Describe frames spread over every episode; `frame_of(episode, step)` makes them."""
    places = [
        (episode, int(step))
        for episode, part in rows.slices()
        for step in np.linspace(0, part.stop - part.start - 1, per_episode).round()
    ]
    frames = [frame_of(*place) for place in places]
    cells, brightness, contrast = zip(*(describe_frame(frame) for frame in frames), strict=True)
    return Views(
        np.array([episode for episode, _ in places]),
        np.array([step for _, step in places]),
        np.array(cells),
        np.array(brightness),
        np.array(contrast),
        tuple(frame.shape[:2] for frame in frames),
    )


def sliding(episode, step):
    background = scenery(np.random.default_rng(episode))
    noise = np.random.default_rng([episode, step]).integers(-3, 4, background.shape)
    return (np.roll(background, step, axis=1) + noise).clip(0, 255).astype(np.uint8)


def stuck(episode, step):
    noise = np.random.default_rng([episode, step]).integers(-3, 4, (32, 48, 3))
    still = scenery(np.random.default_rng(episode)).astype(np.int64)
    return np.where(step >= 0, still + (noise if episode < 0 else 0), 0).astype(np.uint8)


def test_a_camera_that_works_raises_nothing():
    rows = make_rows()
    assert list(check_camera("base", seen(rows, sliding), rows, STATE, (32, 48))) == []


def test_a_black_camera_is_an_error_and_a_few_black_episodes_a_warning():
    rows = make_rows()
    black = seen(rows, lambda *_: np.full((32, 48, 3), 3, np.uint8))
    assert told(check_camera("top", black, rows, STATE)) == [
        ("error", "camera top: 25 of 25 frames looked at are black: it shows nothing.")
    ]
    some = seen(rows, lambda e, s: sliding(e, s) * np.uint8(e != 2))
    assert told(check_camera("top", some, rows, STATE)) == [
        (
            "warning",
            "camera top, episode 2: 5 of 25 frames looked at are black, in 1 episode.",
        )
    ]


def test_a_dark_scene_and_two_colours_of_one_brightness_are_not_blank():
    rows = make_rows()
    night = seen(rows, lambda e, s: (sliding(e, s) // 12).astype(np.uint8))
    assert list(check_camera("top", night, rows, None)) == []
    image = np.zeros((32, 48, 3), np.uint8)
    # Red and green of about the same grey.
    image[:, :24, 0], image[:, 24:, 1] = 200, 102
    assert list(check_camera("top", seen(rows, lambda *_: image), rows, None)) == []
    white = seen(rows, lambda *_: np.full((32, 48, 3), 250, np.uint8))
    assert "of a single colour" in told(check_camera("top", white, rows, None))[0][1]


def test_a_frozen_camera_is_an_error_only_where_the_robot_moves():
    rows = make_rows()
    found = told(check_camera("base", seen(rows, stuck), rows, STATE))
    assert found == [
        (
            "error",
            "camera base: Frozen in 5 of 5 episodes in which the robot moves: frames seconds "
            "apart are the same picture.",
        )
    ]
    resting = {**rows.vectors, STATE: np.zeros_like(rows.vectors[STATE])}
    still = Rows(**{**vars_of(rows), "vectors": resting})
    assert list(check_camera("base", seen(still, stuck), still, STATE)) == []


def test_one_frozen_episode_is_a_warning_that_names_it():
    rows = make_rows()
    views = seen(rows, lambda e, s: stuck(e, s) if e == 3 else sliding(e, s))
    ((severity, text),) = told(check_camera("base", views, rows, STATE))
    assert severity == "warning"
    assert text.startswith("camera base, episode 3: Frozen in 1 of 5 episodes")


def test_sizes_that_differ_from_each_other_or_the_declared_one_are_named():
    rows = make_rows()
    views = seen(rows, sliding)
    assert (
        "Frames are 32×48 pixels; declared are 64×64"
        in told(check_camera("base", views, rows, None, (64, 64)))[0][1]
    )
    # The order of height and width is not fixed in the format.
    assert list(check_camera("base", views, rows, None, (32, 48))) == []


def test_two_cameras_with_the_same_picture_are_a_warning():
    rows = make_rows()
    first, second = seen(rows, sliding), seen(rows, lambda e, s: sliding(e + 50, s))
    assert list(check_same_picture({"a": first, "b": second})) == []
    assert told(check_same_picture({"a": first, "b": first})) == [
        ("warning", "cameras a and b: Both show the same picture.")
    ]


# --- copies and splits ----------------------------------------------------------------------------


def copied(noise=0.0, stretch=1):
    """Five episodes, of which the last is the second again."""
    rng = np.random.default_rng(3)
    paths = [wander(rng, 40 + episode, 2) for episode in range(4)]
    again = paths[1][::stretch] + noise * rng.normal(size=paths[1][::stretch].shape)
    paths.append(again.astype(np.float32))
    rows = make_rows(tuple(len(path) for path in paths))
    return Rows(**{**vars_of(rows), "vectors": {ACTION: np.concatenate(paths)}})


def test_an_exact_copy_is_found_and_one_bit_makes_it_none():
    assert exact_copies(copied(), [ACTION]) == [[1, 4]]
    rows = copied()
    rows.vectors[ACTION][-1, 0] = np.nextafter(rows.vectors[ACTION][-1, 0], np.float32(9))
    assert exact_copies(rows, [ACTION]) == []


def test_standing_still_twice_is_no_copy():
    rows = make_rows((10, 10))
    still = Rows(**{**vars_of(rows), "vectors": {ACTION: np.zeros((20, 2), np.float32)}})
    assert exact_copies(still, [ACTION]) == []
    assert near_copies(still, ACTION) == []


def test_a_noisy_copy_is_near_and_others_are_not():
    assert near_copies(copied(noise=0.01), ACTION) == [(1, 4)]
    assert near_copies(copied(noise=1.0), ACTION) == []
    assert near_copies(make_rows(), ACTION) == []


def test_a_copy_of_another_length_is_none():
    assert near_copies(copied(noise=0.01, stretch=2), ACTION) == []


def test_near_copies_among_many_are_found_without_comparing_all():
    rng = np.random.default_rng(0)
    paths = [wander(rng, 30, 2) for _ in range(400)]
    for episode in range(0, 400, 40):
        noise = 0.005 * rng.normal(size=(30, 2))
        paths.append((paths[episode] + noise).astype(np.float32))
    rows = make_rows((30,) * 410)
    rows = Rows(**{**vars_of(rows), "vectors": {ACTION: np.concatenate(paths)}})
    assert near_copies(rows, ACTION) == [(40 * i, 400 + i) for i in range(10)]


def test_pairs_that_look_different_are_left_out_and_others_are_grouped():
    views = {0: np.zeros(4), 1: np.full(4, 5.0), 2: np.array([0, 0, 0, 90.0])}
    pairs = [(0, 1), (0, 2), (1, 7)]
    assert seen_alike(pairs, views, 16.0) == [(0, 1), (1, 7)]
    assert grouped([(0, 1), (1, 7), (3, 4)]) == [[0, 1, 7], [3, 4]]


def test_copies_are_said_with_their_groups():
    assert told(check_copies([[1, 4], [2, 6, 7]], [])) == [
        ("warning", "episodes 1 = 4 and 2 = 6 = 7: 3 episodes to the bit the same as another.")
    ]
    assert list(check_copies([], [])) == []


EPISODES = np.arange(10)


@pytest.mark.parametrize(
    ("splits", "severity", "words"),
    [
        ({"train": "0:8", "test": "6:10"}, "error", "train and test share episodes 6 and 7."),
        ({"train": "0:12"}, "warning", "train names episodes 10 and 11, which are not there"),
        ({"train": "most"}, "warning", "split train not written as first:end"),
    ],
)
def test_splits_that_overlap_or_cannot_be(splits, severity, words):
    ((found_severity, text),) = told(check_splits(splits, EPISODES, [], []))
    assert found_severity == severity
    assert words in text


def test_a_split_that_holds_copies_of_another_leaks():
    splits = {"train": "0:6", "validation": "6:10"}
    assert list(check_splits(splits, EPISODES, [[1, 4]], [[2, 3]])) == []
    assert told(check_splits(splits, EPISODES, [[1, 7]], [[2, 8]])) == [
        (
            "error",
            "splits in meta/info.json: validation holds copies of episodes in train: 1 = 7.",
        ),
        (
            "warning",
            "splits in meta/info.json: validation holds near copies of episodes in train: 2 = 8.",
        ),
    ]
    assert list(check_splits(None, EPISODES, [[1, 7]], [])) == []


# --- copying --------------------------------------------------------------------------------------


def acting(action_of, lengths=(60,) * 12):
    rows = make_rows(lengths)
    rng = np.random.default_rng(5)
    action = action_of(rows.vectors[STATE], rng).astype(np.float32)
    return Rows(**{**vars_of(rows), "vectors": {**rows.vectors, ACTION: action}})


def test_joint_targets_near_the_state_are_said_to_be_copying():
    rows = acting(lambda state, rng: state + 0.05 * rng.normal(size=state.shape))
    copying = measure_copying(rows, STATE, ACTION, FPS)
    assert [(each.model, each.target) for each in copying.baselines] == [
        ("copy", "action(t)"),
        ("linear map", "action(t)"),
        ("linear map", "action(t + 1 s) − state(t)"),
    ]
    assert copying.baselines[0].explained.value > 0.95
    assert copying.baselines[2].explained.value < copying.baselines[1].explained.value - 0.1
    ((severity, text),) = told(check_copying(copying))
    assert severity == "warning"
    assert "copying the state is nearly enough" in text


def test_the_share_that_copying_explains_is_that_computed_by_hand():
    rows = acting(lambda state, rng: state + 0.3 * rng.normal(size=state.shape), (500,) * 4)
    copying = measure_copying(rows, STATE, ACTION, FPS)
    # Variance of the noise over that of the actions, in units of each dimension's spread.
    state, action = rows.vectors[STATE], rows.vectors[ACTION]
    expected = 1 - ((action - state) ** 2 / action.var(axis=0)).sum() / action.size
    assert copying.baselines[0].explained.value == pytest.approx(expected, abs=0.1)


def test_other_units_and_other_sizes_are_read_by_a_linear_map_alone():
    mixing = np.array([[1.0, 0.5], [0.0, -2.0], [3.0, 1.0]])
    rows = acting(lambda state, _: 10 + state @ mixing)
    copying = measure_copying(rows, STATE, ACTION, FPS)
    assert {each.model for each in copying.baselines} == {"linear map"}
    assert copying.baselines[0].explained.value > 0.99
    assert told(check_copying(copying))[0][1].startswith("action: A linear map of the state")


def test_actions_that_the_state_does_not_tell_raise_nothing():
    copying = measure_copying(
        acting(lambda state, rng: rng.normal(size=state.shape)), STATE, ACTION, FPS
    )
    assert copying.baselines[0].explained.value < 0.1
    assert list(check_copying(copying)) == []


def test_copies_of_episodes_never_stand_on_both_sides():
    """Each of six states has actions of its own at random; only a copy tells them."""
    rng = np.random.default_rng(0)
    state = np.repeat(rng.normal(size=(3, 1, 6)), 30, axis=1)
    action = np.repeat(rng.normal(size=(3, 1, 2)), 30, axis=1)
    action = action + 0.01 * rng.normal(size=action.shape)
    rows = make_rows((30,) * 12)
    vectors = {
        STATE: np.tile(state.reshape(90, 6), (4, 1)).astype(np.float32),
        ACTION: np.tile(action.reshape(90, 2), (4, 1)).astype(np.float32),
    }
    rows = Rows(**{**vars_of(rows), "vectors": vectors})
    leaking = measure_copying(rows, STATE, ACTION, FPS)
    assert leaking.baselines[0].explained.value > 0.9
    copies = [[k, k + 3, k + 6, k + 9] for k in range(3)]
    assert "fewer than 4 distinct" in measure_copying(rows, STATE, ACTION, FPS, copies).reason


def test_too_little_to_measure_says_why():
    assert (
        "fewer than 4 distinct" in measure_copying(make_rows((9,) * 3), STATE, ACTION, FPS).reason
    )
    still = acting(lambda state, _: np.zeros((len(state), 2)))
    assert measure_copying(still, STATE, ACTION, FPS).reason == "no action ever changes"
