"""What was not recorded is masked, whatever the layout; what was lost is an error."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fakes import (
    DATA,
    EPISODES,
    INFO,
    TASKS,
    make_episode,
    read_all,
    set_column,
    smooth_episode,
    write_dataset,
)
from v2_fakes import write_lines, write_v2

from plait.data.dataset import Demonstrations
from plait.data.episode import EpisodeData
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError

IMAGES = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
KEY = "observation.images.wrist"
NUM_EPISODES = 4


def two_cameras(seed):
    first, second = smooth_episode(seed), smooth_episode(seed + 4)
    images = {"base": first.images["base"], "wrist": second.images["base"]}
    return EpisodeData(images, first.proprio, first.action, first.instruction)


def lose_wrist_in_rows(root, start, stop, part=None):
    """Null the images of some rows of a v3.0 dataset, or a part of them."""
    column = pq.read_table(root / DATA)[KEY].to_pylist()
    for row in range(start, stop):
        if part is None:
            column[row] = None
        else:
            column[row][part] = None
    set_column(root / DATA, KEY, column, IMAGES)


def wrist_mask(root):
    """Per episode, whether its batches say that the camera is there; both cameras' images."""
    data = Demonstrations.open(root, observation_window=2)
    observation = data.gather(np.arange(data.num_steps)).observation
    firsts = data.episode_bounds[:, 0]
    assert observation.camera_mask["base"].all()
    assert observation.modality_mask["vision"].all()
    mask = observation.camera_mask["wrist"].numpy()
    lengths = np.diff(data.episode_bounds)[:, 0]
    assert np.array_equal(mask, np.repeat(mask[firsts], lengths))
    images = observation.images["wrist"].numpy()
    assert not images[~mask].any()
    return mask[firsts].tolist(), images[mask], observation.images["base"].numpy()


# Cameras


@pytest.mark.parametrize("how", ["row", "image and name"])
def test_episodes_without_a_cameras_images(tmp_path, how):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    _, whole, base = wrist_mask(root)
    lose_wrist_in_rows(root, 7, 15, None if how == "row" else "bytes")
    if how != "row":
        lose_wrist_in_rows(root, 7, 15, "path")
    mask, images, same = wrist_mask(root)
    assert mask == [True, False, True, True]
    assert np.array_equal(images, np.delete(whole, np.arange(7, 15), axis=0))
    assert np.array_equal(same, base)
    assert np.array_equal(images[0, 0], episodes[0].images["wrist"][0].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("start", "stop", "part"), [(7, 14, None), (9, 10, None), (7, 15, "bytes")]
)
def test_images_that_lack_within_an_episode_were_lost(tmp_path, start, stop, part):
    """As were those whose name is still there."""
    root = tmp_path / "set"
    write_dataset(root)
    lose_wrist_in_rows(root, start, stop, part)
    with pytest.raises(DataError, match=f"{KEY} in row {start} is missing or damaged"):
        read_all(root)


@pytest.mark.parametrize("absent", [(0,), (1, 2), (3,), (0, 1, 3)])
@pytest.mark.parametrize("null", [None, float("nan")])
def test_episodes_without_a_video(tmp_path, absent, null):
    root = tmp_path / "set"
    with LeRobotWriter(root, fps=10, storage="video") as writer:
        for seed in range(NUM_EPISODES):
            writer.add(two_cameras(seed))
    _, whole, base = wrist_mask(root)
    for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp"):
        values = pq.read_table(root / EPISODES)[f"videos/{KEY}/{name}"].to_pylist()
        values = [null if episode in absent else value for episode, value in enumerate(values)]
        set_column(root / EPISODES, f"videos/{KEY}/{name}", values, pa.float64())
    mask, images, same = wrist_mask(root)
    assert mask == [episode not in absent for episode in range(NUM_EPISODES)]
    kept = [row for row in range(40) if row // 10 not in absent]
    assert np.array_equal(images, whole[kept])
    assert np.array_equal(same, base)


@pytest.mark.parametrize("absent", [(0,), (1, 2), (3,)])
def test_episodes_without_a_video_file(tmp_path, absent):
    root = tmp_path / "set"
    write_v2(root, [two_cameras(seed) for seed in range(NUM_EPISODES)], "video")
    _, whole, _ = wrist_mask(root)
    for episode in absent:
        (path,) = root.glob(f"videos/*/{KEY}/episode_{episode:06d}.mp4")
        path.unlink()
    info = json.loads((root / INFO).read_text())
    (root / INFO).write_text(json.dumps(info | {"total_videos": 8 - len(absent)}))
    mask, images, _ = wrist_mask(root)
    assert mask == [episode not in absent for episode in range(NUM_EPISODES)]
    assert np.array_equal(images, whole[[row for row in range(40) if row // 10 not in absent]])


def test_vision_is_absent_where_every_camera_is(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    lose_wrist_in_rows(root, 0, 7)
    data = Demonstrations.open(root, cameras=["wrist"])
    assert data.gather(np.array([6, 7])).observation.modality_mask["vision"].tolist() == [
        False,
        True,
    ]


# States and instructions


def lose_states(root, rows):
    states = pq.read_table(root / DATA)["observation.state"].to_pylist()
    states = [None if row in rows else state for row, state in enumerate(states)]
    set_column(root / DATA, "observation.state", states, pa.list_(pa.float32(), 5))


def test_a_window_with_a_state_that_lacks_has_none(tmp_path):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    lose_states(root, {3, 4})
    data = Demonstrations.open(root, observation_window=2)
    observation = data.gather(np.arange(7)).observation
    expected = [True, True, True, False, False, False, True]
    assert observation.modality_mask["proprio"].tolist() == expected
    assert np.array_equal(observation.proprio[6, 1], episodes[0].proprio[6])
    assert not observation.proprio[4].any()
    stats = data.norm_stats(np.array([0])).proprio
    assert stats.count == 5
    np.testing.assert_array_equal(
        stats.max, np.delete(episodes[0].proprio, [3, 4], axis=0).max(axis=0)
    )


def test_states_of_varying_length_may_lack(tmp_path):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    states = pq.read_table(root / DATA)["observation.state"].to_pylist()
    set_column(root / DATA, "observation.state", [None, *states[1:]], pa.list_(pa.float32()))
    reader = LeRobotReader.open(root)
    assert np.flatnonzero(~reader.has_proprio).tolist() == [0]
    assert np.array_equal(reader.proprio[1:7], episodes[0].proprio[1:])


def test_a_dataset_without_any_state(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    lose_states(root, set(range(31)))
    data = Demonstrations.open(root)
    assert not data.gather(np.array([0, 30])).observation.modality_mask["proprio"].any()
    assert not data.norm_stats(np.array([0])).proprio.max.any()


def test_actions_must_be_there(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    actions = pq.read_table(root / DATA)["action"].to_pylist()
    set_column(root / DATA, "action", [*actions[:9], None, *actions[10:]])
    with pytest.raises(DataError, match="action in row 9 is null; expected an action at every"):
        LeRobotReader.open(root)


@pytest.mark.parametrize("how", ["null", "empty", "blank", "null in v2", "null index"])
def test_instructions_that_were_not_recorded(tmp_path, how):
    root = tmp_path / "set"
    if how == "null in v2":
        write_v2(root, [make_episode(seed) for seed in range(4)])
        rows = [{"task_index": 0, "task": None}, {"task_index": 1, "task": "do task 1"}]
        write_lines(root / "meta/tasks.jsonl", rows)
    else:
        write_dataset(root)
    if how == "null index":
        index = pq.read_table(root / DATA)["task_index"].to_pylist()
        set_column(root / DATA, "task_index", [i or None for i in index], pa.int64())
    elif how != "null in v2":
        text = {"null": None, "empty": "", "blank": "  "}[how]
        set_column(root / TASKS, "task", [text, "do task 1"])
    data = Demonstrations.open(root)
    observation = data.gather(np.array([0, 7, 15, 24])).observation
    assert observation.modality_mask["language"].tolist() == [False, True, False, True]
    assert observation.instruction == ("", "do task 1", "", "do task 1")
    assert "" not in data.instructions


# All together


def test_the_fingerprint_follows_what_lacks(tmp_path):
    roots = [tmp_path / name for name in "ab"]
    for root in roots:
        write_dataset(root)
    first, same = (Demonstrations.open(root, image_size=8).fingerprint for root in roots)
    lose_wrist_in_rows(roots[1], 7, 15)
    assert first == same
    assert Demonstrations.open(roots[1], image_size=8).fingerprint != first
