"""Statistics over chunks of real and made-up data, and data of another robot refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_fakes import edit_feature, write_dataset

from plait.action_spec import ActionSpec
from plait.data.action_statistics import fit_normalizer, represented_actions
from plait.data.actions import ActionTransform
from plait.data.compatibility import refuse_other_actions
from plait.data.dataset import Demonstrations
from plait.data.lerobot.reader import LeRobotReader
from plait.data.normalize import Normalizer
from plait.errors import DataError
from plait.training.batches import describe_data

G1 = Path(__file__).parent / "fixtures" / "g1_two_episodes"
HORIZON = 6


class Numbers(Demonstrations):
    """Demonstrations without images, which are nobody's business here."""

    def __init__(self, root, action_horizon=HORIZON):
        reader = LeRobotReader.open(Path(root))
        super().__init__(
            reader, {}, storage="direct", observation_window=1, action_horizon=action_horizon
        )


@pytest.fixture(scope="module")
def g1():
    return Numbers(G1)


def fitted(data, spec, episodes):
    transform = ActionTransform.of(spec, describe_data(data, 8))
    return transform, fit_normalizer(transform, data, np.array(episodes))


def chunks_one_by_one(data, episodes):
    """Every action of every chunk less the state at its start, and the same as recorded."""
    reader, relative, absolute = LeRobotReader.open(G1), [], []
    for first, end in data.episode_bounds[episodes]:
        for start in range(first, end):
            for step in range(start, min(start + HORIZON, end)):
                relative.append(reader.action[step] - reader.proprio[start])
                absolute.append(reader.action[step])
    return np.array(relative), np.array(absolute)


@pytest.mark.parametrize("mode", ["absolute", "relative"])
def test_statistics_are_those_of_all_chunks_after_the_transform(g1, mode):
    relative, absolute = chunks_one_by_one(g1, [0, 1])
    values = (relative if mode == "relative" else absolute).astype(np.float64)
    low, high = np.quantile(values, [0.01, 0.99], axis=0)
    _, normalizer = fitted(g1, ActionSpec(mode=mode, normalization="quantile"), [0, 1])
    varies = (high - low) / 2 >= 1e-4
    assert varies.sum() > 20
    for found, expected in (
        (normalizer.action_center, (high + low) / 2),
        (normalizer.action_scale, (high - low) / 2),
    ):
        np.testing.assert_allclose(found[varies], expected[varies], rtol=1e-5, atol=1e-6)


def test_two_percent_of_a_real_robots_actions_lie_outside_the_quantiles(g1):
    for mode in ("absolute", "relative", "delta"):
        transform, normalizer = fitted(g1, ActionSpec(mode=mode, normalization="quantile"), [0, 1])
        batch = g1.chunks(np.arange(g1.num_steps))
        states = g1.states(np.arange(g1.num_steps))
        represented = transform.represent(batch.actions, torch.from_numpy(states))
        outside = normalizer.normalize_actions(represented).abs()[batch.mask] > 1 + 1e-6
        # Not quite 2 %: joints at rest repeat their extreme, which is not outside, and a quantile
        # lies between two of few values.
        assert 0.01 < float(outside.float().mean()) < 0.022


def test_the_default_is_what_it_was_before_there_were_specs(g1):
    _, normalizer = fitted(g1, ActionSpec(), [0])
    expected = Normalizer.from_stats(g1.norm_stats(np.array([0]))).state_dict()
    for name, value in normalizer.state_dict().items():
        np.testing.assert_array_equal(value, expected[name])


def test_blocks_hold_every_action_of_every_chunk(g1, monkeypatch):
    transform = ActionTransform.of(ActionSpec(mode="delta"), describe_data(g1, 8))
    steps = g1.steps_of(np.array([1]))
    whole = np.concatenate(list(represented_actions(transform, g1, steps)))
    monkeypatch.setattr("plait.data.action_statistics.BLOCK_STEPS", 10 * HORIZON)
    blocks = list(represented_actions(transform, g1, steps))
    assert len(blocks) == -(-len(steps) // 10) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert len(whole) == HORIZON * len(steps) - HORIZON * (HORIZON - 1) // 2


def test_chunks_without_a_state_do_not_count(g1, monkeypatch):
    spec = ActionSpec(mode="relative")
    _, alone = fitted(g1, spec, [1])
    bounds = g1.episode_bounds
    lacks = np.arange(g1.num_steps) < bounds[0, 1]
    monkeypatch.setattr(g1, "_has_proprio", ~lacks)
    _, part = fitted(g1, spec, [0, 1])
    np.testing.assert_array_equal(part.action_scale, alone.action_scale)
    monkeypatch.setattr(g1, "_has_proprio", np.zeros_like(lacks))
    with pytest.raises(DataError, match=r"no state was recorded.*Train with absolute actions"):
        fitted(g1, spec, [0, 1])


@pytest.mark.parametrize(
    "names",
    [["x", "y", "z"], [["x", "y", "z"]], {"motors": ["x", "y", "z"]}, {"y": 1, "x": 0, "z": 2}],
)
def test_names_are_read_in_every_form(tmp_path, names):
    write_dataset(tmp_path / "data", num_episodes=2)
    assert Numbers(tmp_path / "data").action_names == ()
    edit_feature(tmp_path / "data", "action", names=names)
    edit_feature(tmp_path / "data", "observation.state", names=["x", "y", "z", "z", "w"])
    data = Numbers(tmp_path / "data")
    assert data.action_names == ("x", "y", "z")
    # Two of the same name cannot be told apart.
    assert data.proprio_names == ()
    spec = describe_data(data, 8)
    assert (spec.action_names, spec.fingerprint) == (("x", "y", "z"), data.fingerprint)


def test_data_of_another_robot_are_refused(tmp_path):
    write_dataset(tmp_path / "data", num_episodes=2)
    edit_feature(tmp_path / "data", "action", names=["x", "y", "z"])
    trained = describe_data(Numbers(tmp_path / "data"), 8)
    refuse_other_actions(trained, Numbers(tmp_path / "data"))
    edit_feature(tmp_path / "data", "action", names=["x", "z", "y"])
    with pytest.raises(DataError, match="action dimension 1 is 'z'; expected 'y', as in training"):
        refuse_other_actions(trained, Numbers(tmp_path / "data"))
    edit_feature(tmp_path / "data", "action", names=None)
    refuse_other_actions(trained, Numbers(tmp_path / "data"))
    with pytest.raises(DataError, match="26 numbers in an action; expected the 3 that the policy"):
        refuse_other_actions(trained, Numbers(G1))
