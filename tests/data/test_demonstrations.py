"""Batches from a dataset against episodes known in memory."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from data_fakes import edit_table, make_episode, write_dataset

from plait.data.dataset import Demonstrations
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError, OptionError, UnknownNameError

REAL = Path(__file__).parent / "fixtures" / "g1_two_episodes"


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    root = tmp_path_factory.mktemp("demonstrations") / "set"
    return root, write_dataset(root, num_episodes=5)


def test_description(episodes):
    found = Demonstrations.open(str(episodes[0]), image_size=8)
    assert found.cameras == ("base", "wrist")
    assert (found.proprio_dim, found.action_dim, found.fps) == (5, 3, 10)
    assert (found.num_episodes, found.num_steps) == (5, 39)
    assert found.instructions == ("do task 0", "do task 1")
    assert found.episode_bounds.tolist() == [[0, 7], [7, 15], [15, 24], [24, 31], [31, 39]]
    assert found.steps_of(np.array([1, 3])).tolist() == [*range(7, 15), *range(24, 31)]
    assert found.steps_of(np.array([], dtype=np.int64)).tolist() == []


def test_instructions_are_distinct_even_where_tasks_are_not(tmp_path):
    write_dataset(tmp_path / "set", num_episodes=2)
    table = tmp_path / "set/meta/tasks.parquet"
    edit_table(table, lambda t: t.set_column(1, "task", pa.array(["lift", "lift"])))
    found = Demonstrations.open(tmp_path / "set", image_size=8)
    assert found.instructions == ("lift",)
    assert found.gather(np.array([0, 14])).observation.instruction == ("lift", "lift")


def test_a_batch_equals_the_recorded_episodes(episodes):
    root, made = episodes
    found = Demonstrations.open(root, observation_window=3, action_horizon=4)
    steps = np.random.default_rng(0).permutation(39)
    batch = found.gather(steps)
    firsts = [0, 7, 15, 24, 31]
    for row, step in enumerate(steps.tolist()):
        index = max(i for i, first in enumerate(firsts) if first <= step)
        episode, t = made[index], step - firsts[index]
        past = [max(t - 2, 0), max(t - 1, 0), t]
        ahead = range(t, t + 4)
        length = len(episode.action)
        clamped = [min(i, length - 1) for i in ahead]
        observation, chunk = batch.observation, batch.action_chunk
        for camera in ("base", "wrist"):
            expected = episode.images[camera][past].transpose(0, 3, 1, 2)
            assert np.array_equal(observation.images[camera][row], expected)
        assert np.array_equal(observation.proprio[row], episode.proprio[past])
        assert observation.instruction[row] == episode.instruction
        assert np.array_equal(chunk.actions[row], episode.action[clamped])
        assert chunk.mask[row].tolist() == [i < length for i in ahead]


def test_everything_recorded_is_present(episodes):
    batch = Demonstrations.open(episodes[0]).gather(np.array([3, 30]))
    masks = {**batch.observation.modality_mask, **batch.observation.camera_mask}
    assert set(masks) == {"vision", "language", "proprio", "base", "wrist"}
    assert all(mask.tolist() == [True, True] for mask in masks.values())
    assert batch.observation.images["base"].dtype == torch.uint8
    assert batch.observation.proprio.dtype == torch.float32
    assert batch.action_chunk.actions.shape == (2, 4, 3)


def test_a_batch_is_a_copy(episodes):
    found = Demonstrations.open(episodes[0])
    first = found.gather(np.array([0]))
    first.observation.images["base"].zero_()
    first.observation.proprio.zero_()
    again = found.gather(np.array([0])).observation
    assert again.images["base"].any()
    assert again.proprio.any()


def test_cameras_can_be_chosen_and_ordered(episodes):
    root, made = episodes
    found = Demonstrations.open(root, cameras=["wrist"])
    batch = found.gather(np.array([0]))
    assert tuple(batch.observation.images) == ("wrist",)
    expected = made[0].images["wrist"][:1].transpose(0, 3, 1, 2)
    assert np.array_equal(batch.observation.images["wrist"][0], expected)
    assert Demonstrations.open(root, cameras=["wrist", "base"]).cameras == ("wrist", "base")


def test_a_missing_camera_lists_those_there_are(episodes):
    with pytest.raises(
        UnknownNameError, match=r"'wirst'; did you mean 'wrist'.*known: base, wrist"
    ):
        Demonstrations.open(episodes[0], cameras=["base", "wirst"])


def test_a_dataset_without_cameras_is_refused(tmp_path):
    episode = make_episode(0)
    object.__setattr__(episode, "images", {})
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        writer.add(episode)
    with pytest.raises(DataError, match="no image or video feature; expected at least one camera"):
        Demonstrations.open(tmp_path / "set")


@pytest.mark.parametrize("option", ["image_size", "observation_window", "action_horizon"])
def test_sizes_are_checked(episodes, option):
    name = option.replace("_", " ")
    with pytest.raises(OptionError, match=f"the {name} is 0, but must be at least 1"):
        Demonstrations.open(episodes[0], **{option: 0})


def test_split_is_by_episode_and_seeded(episodes):
    found = Demonstrations.open(episodes[0], image_size=8)
    training, validation = found.split(0.4, seed=0)
    assert (len(training), len(validation)) == (3, 2)
    assert sorted([*training, *validation]) == [0, 1, 2, 3, 4]
    assert found.split(0.4, seed=0)[1].tolist() == validation.tolist()
    assert len({tuple(found.split(0.4, seed=seed)[1].tolist()) for seed in range(9)}) > 3


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 1), (0.01, 1), (0.6, 3), (1.0, 4)])
def test_either_side_of_a_split_has_an_episode(episodes, fraction, expected):
    training, validation = Demonstrations.open(episodes[0], image_size=8).split(fraction, seed=1)
    assert (len(training), len(validation)) == (5 - expected, expected)


def test_one_episode_cannot_be_split(tmp_path):
    write_dataset(tmp_path / "set", num_episodes=1)
    with pytest.raises(OptionError, match="has 1 episode; one to train on and one to validate"):
        Demonstrations.open(tmp_path / "set").split(0.5, seed=0)


def test_statistics_are_of_the_chosen_episodes_only(episodes):
    root, made = episodes
    stats = Demonstrations.open(root, image_size=8).norm_stats(np.array([0, 2]))
    action = np.concatenate([made[0].action, made[2].action])
    proprio = np.concatenate([made[0].proprio, made[2].proprio])
    assert stats.action.count == 16
    np.testing.assert_array_equal(stats.action.min, action.min(axis=0))
    np.testing.assert_array_equal(stats.action.max, action.max(axis=0))
    np.testing.assert_allclose(stats.proprio.mean, proprio.astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(stats.proprio.std, proprio.astype(np.float64).std(axis=0))


def test_the_fingerprint_follows_the_content(tmp_path):
    for name in ("first", "copy", "other"):
        write_dataset(tmp_path / name, num_episodes=2)
    data = tmp_path / "other/data/chunk-000/file-000.parquet"
    flat = np.zeros((15, 3), np.float32).tolist()

    def edit(table):
        kind = table.schema.field("action").type
        column = table.column_names.index("action")
        return table.set_column(column, "action", pa.array(flat, kind))

    edit_table(data, edit)
    first, copy, other = (
        Demonstrations.open(tmp_path / name, image_size=8).fingerprint
        for name in ("first", "copy", "other")
    )
    assert first == copy
    assert first != other
    one_camera = Demonstrations.open(tmp_path / "first", cameras=["base"], image_size=8)
    assert one_camera.fingerprint != first


def test_real_data_is_ready_for_training(tmp_path):
    shutil.copytree(REAL, tmp_path / "g1")
    found = Demonstrations.open(tmp_path / "g1", image_size=32, action_horizon=10)
    batch = found.gather(np.array([0, 73, 160]))
    assert batch.observation.images["cam_high"].shape == (3, 1, 3, 32, 32)
    assert batch.action_chunk.mask.sum(dim=1).tolist() == [10, 1, 1]
    assert set(batch.observation.instruction) == {"Pick up the yellow bottle on the table."}
    # A picture of a scene, not noise or black: the camera's mean barely moves in an episode.
    means = batch.observation.images["cam_high"].float().mean(dim=(1, 2, 3, 4))
    assert ((means > 40) & (means < 220)).all()
    assert (means - means.mean()).abs().max() < 15


def test_copies_of_an_episode_are_never_on_both_sides(tmp_path):
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        for seed in (0, 1, 2, 0, 3, 1, 0, 4):
            writer.add(make_episode(seed))
    data = Demonstrations.open(tmp_path / "set")
    copies = {0: (0, 3, 6), 1: (1, 5)}
    held_out_once = set()
    for seed in range(20):
        training, held_out = (set(side.tolist()) for side in data.split(0.4, seed))
        assert training | held_out == set(range(8))
        assert not training & held_out
        for same in copies.values():
            assert set(same) <= training or set(same) <= held_out
        held_out_once |= held_out
    assert held_out_once == set(range(8))


def test_copies_of_one_episode_cannot_be_split(tmp_path):
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        for _ in range(3):
            writer.add(make_episode(0))
    data = Demonstrations.open(tmp_path / "set")
    with pytest.raises(OptionError, match="3 episodes, all copies of one"):
        data.split(0.5, seed=0)
