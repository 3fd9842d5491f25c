"""Delays and frozen frames, by hand on short episodes."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from plait.data.corrupt import corruption
from plait.errors import ShapeError


def episode(num_steps=12):
    """Observations in which every sensor reads the step."""
    return [
        {
            "images": {
                "base": np.full((2, 2, 3), step, np.uint8),
                "wrist": np.full((2, 2, 3), 100 + step, np.uint8),
            },
            "proprio": np.full(3, step, np.float32),
            "instruction": "wait",
        }
        for step in range(num_steps)
    ]


def watch(corrupt, seed=0, num_steps=12):
    """The step that each sensor shows at every step: `{sensor: [steps]}`."""
    corruptor = corrupt.start_episode(seed)
    seen = [corruptor.observe(raw) for raw in episode(num_steps)]
    assert all(raw["instruction"] == "wait" for raw in seen)
    return {
        "base": [int(raw["images"]["base"][0, 0, 0]) for raw in seen],
        "wrist": [int(raw["images"]["wrist"][1, 1, 2]) - 100 for raw in seen],
        "proprio": [int(raw["proprio"][0]) for raw in seen],
    }


LIVE = list(range(12))
LATE = {
    1: [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    2: [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    3: [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    4: [0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6],
    5: [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3],
}


@pytest.mark.parametrize("severity", LATE)
def test_late_sensors_show_the_first_reading_and_then_the_past(severity):
    assert watch(corruption("latency", severity)) == {
        "base": LATE[severity],
        "wrist": LATE[severity],
        "proprio": LIVE,
    }
    assert watch(corruption("latency", severity, cameras=("wrist",)))["base"] == LIVE
    assert watch(corruption("proprio_delay", severity)) == {
        "base": LIVE,
        "wrist": LIVE,
        "proprio": LATE[severity],
    }


def test_late_actions_wait_their_turn_behind_idle_ones():
    corruptor = corruption("action_delay", 2).start_episode(0)
    done = [corruptor.act(np.array([step, -step], np.float32)).tolist() for step in range(1, 6)]
    assert done == [[0, 0], [0, 0], [1, -1], [2, -2], [3, -3]]
    corruptor = corruption("action_delay", 1, idle=(0.0, 9.0)).start_episode(0)
    done = [corruptor.act(np.array([step, step], np.float32)).tolist() for step in range(1, 4)]
    assert done == [[0, 9], [1, 1], [2, 2]]


def test_a_late_action_is_not_the_policys_own_array():
    corruptor = corruption("action_delay", 1).start_episode(0)
    action = np.ones(2, np.float32)
    corruptor.act(action)
    action[:] = 7
    assert corruptor.act(action).tolist() == [1, 1]


def test_an_idle_action_must_fit():
    corruptor = corruption("action_delay", 1, idle=(0.0,)).start_episode(0)
    with pytest.raises(ShapeError, match=r"^idle has shape \(1,\), but \(2,\) was expected"):
        corruptor.act(np.zeros(2, np.float32))


def test_frozen_frames_are_old_or_of_the_present_step():
    for seed in range(20):
        shown = watch(corruption("frozen_frame", 2), seed)
        assert shown["proprio"] == LIVE
        for camera in ("base", "wrist"):
            steps = shown[camera]
            assert steps[0] == 0
            pairs = zip(steps[1:], steps, range(1, 12), strict=False)
            assert all(now in (before, step) for now, before, step in pairs)


def test_each_camera_freezes_by_itself_and_each_episode_otherwise():
    shown = watch(corruption("frozen_frame", 2), seed=1)
    assert shown["base"] != shown["wrist"]
    assert shown["base"] != watch(corruption("frozen_frame", 2), seed=2)["base"]
    assert watch(corruption("frozen_frame", 2, cameras=("base",)), seed=1) == {
        **shown,
        "wrist": LIVE,
    }


def test_frames_come_as_rarely_as_the_severity_says_and_older_with_each():
    steps, seeds = torch.arange(1000), torch.zeros(1000, dtype=torch.int64)
    ages = []
    for severity, hold in enumerate((2, 3, 5, 10, 20), start=1):
        shown = corruption("frozen_frame", severity).shown_steps(steps, seeds, "base")
        share = float((shown == steps).double().mean())
        assert abs(share - 1 / hold) < 5 * ((1 / hold) * (1 - 1 / hold) / 1000) ** 0.5
        ages.append(steps - shown)
    assert all(bool((less <= more).all()) for less, more in pairwise(ages))
    assert ages[0].float().mean() < ages[4].float().mean()


@pytest.mark.parametrize("name", ["latency", "frozen_frame", "proprio_delay"])
def test_a_batch_takes_the_readings_that_a_rollout_shows(name):
    corrupt = corruption(name, 2)
    sensors = ("proprio",) if name == "proprio_delay" else ("base", "wrist")
    shown = watch(corrupt, seed=6)
    for sensor in sensors:
        order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
        steps = corrupt.shown_steps(order, torch.full((12,), 6), sensor)
        assert steps.tolist() == [shown[sensor][step] for step in order]


def test_an_environment_that_draws_into_one_array_is_remembered_rightly():
    corruptor = corruption("latency", 1).start_episode(0)
    image = np.zeros((2, 2, 3), np.uint8)
    raw = {"images": {"base": image}, "proprio": np.zeros(1, np.float32), "instruction": ""}
    shown = []
    for step in range(4):
        image[:] = step
        shown.append(corruptor.observe(raw)["images"]["base"])
    assert [int(each[0, 0, 0]) for each in shown] == [0, 0, 1, 2]


def test_what_is_not_shown_again_is_forgotten():
    corruptor = corruption("latency", 2).start_episode(0)
    for raw in episode():
        corruptor.observe(raw)
    assert {sensor: sorted(kept) for sensor, kept in corruptor._kept.items()} == {
        "base": [9, 10, 11],
        "wrist": [9, 10, 11],
    }
