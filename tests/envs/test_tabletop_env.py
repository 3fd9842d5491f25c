"""The Gymnasium contract: spaces, determinism, options, actions that do what they say."""

import hashlib
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from plait.envs import available_suites, make_env
from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.tasks import Task
from plait.errors import OptionError, UnknownNameError

FULL_EPISODE = """
import hashlib, numpy as np
from plait.envs import make_env
env = make_env("tabletop/all")
rng = np.random.default_rng(5)
digest = hashlib.sha256()
for seed in (3, 4):
    observation, info = env.reset(seed=seed)
    for _ in range(12):
        for camera in sorted(observation["images"]):
            digest.update(observation["images"][camera].tobytes())
        digest.update(observation["proprio"].tobytes())
        digest.update(repr(sorted(info.items())).encode())
        observation, _, terminated, truncated, info = env.step(
            rng.uniform(-1, 1, 7).astype(np.float32)
        )
        if terminated or truncated:
            break
"""


def make(suite="touch", **options):
    return TabletopEnv(suite, **{"image_size": 16, **options})


def still(**parts):
    """Return an action of zeros but for the parts named."""
    order = ("x", "y", "z", "roll", "pitch", "yaw", "grip")
    return np.array([parts.get(name, 0.0) for name in order], np.float32)


@pytest.mark.parametrize("suite", ["touch", "all"])
def test_passes_gymnasiums_checker(suite):
    check_env(make_env(f"tabletop/{suite}").unwrapped)


def test_is_registered_with_gymnasium():
    env = gymnasium.make("plait/Tabletop-v0", suite="pick", image_size=8)
    assert isinstance(env.unwrapped, TabletopEnv)
    assert env.reset(seed=0)[0]["images"]["wrist"].shape == (8, 8, 3)


def test_observation_has_the_documented_parts():
    env = make(cameras=("base",))
    observation, info = env.reset(seed=0)
    assert list(observation["images"]) == ["base"]
    assert env.observation_space.contains(observation)
    assert observation["proprio"].dtype == np.float32
    assert observation["proprio"][3:6].tolist() == [0, 0, 0]  # fingers down is the identity
    assert np.allclose(observation["proprio"][6:], 0.041)
    assert observation["instruction"] == info["instruction"] == env.instruction
    assert info["outcome"] == "running"
    assert info["success"] is False
    assert info["num_candidates"] == info["num_objects"] == len(env.feasible_tasks())


def test_same_seed_same_bytes_in_another_process():
    scope = {}
    exec(FULL_EPISODE, scope)
    program = FULL_EPISODE + "\nprint(digest.hexdigest())"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == scope["digest"].hexdigest()


def test_same_seed_same_bytes_after_another_episode():
    used, fresh = make(), make()
    used.reset(seed=1)
    used.step(still(z=-1))
    (first, _), (second, _) = used.reset(seed=2), fresh.reset(seed=2)
    assert hashlib.sha256(first["images"]["base"].tobytes()).digest() == (
        hashlib.sha256(second["images"]["base"].tobytes()).digest()
    )
    assert first["instruction"] == second["instruction"]
    assert not np.array_equal(used.reset(seed=3)[0]["images"]["base"], second["images"]["base"])


def test_reset_without_a_seed_goes_on_to_another_scene():
    env = make()
    env.reset(seed=0)
    scene = env.scene
    env.reset()
    assert env.scene != scene


@pytest.mark.parametrize("suite", ["touch", "push", "pick", "place", "stack", "all"])
def test_every_feasible_task_can_be_asked_for_in_the_same_scene(suite):
    env = make(suite)
    own, _ = env.reset(seed=7)
    scene = env.scene
    for task in env.feasible_tasks():
        observation, info = env.reset(seed=7, options={"task": task})
        assert env.scene == scene
        assert env.task == task
        assert np.array_equal(observation["images"]["base"], own["images"]["base"])
        env.reset(seed=7, options={"instruction": info["instruction"]})
        assert env.task == task
        env.reset(seed=7, options={"task": task.to_dict()})
        assert env.task == task


def test_an_impossible_task_names_what_is_there():
    env = make()
    env.reset(seed=0)
    there = {task.thing for task in env.feasible_tasks()}
    absent = next(t for t in (("red", "cube"), ("blue", "ball")) if t not in there)
    with pytest.raises(OptionError, match=str(next(iter(there)))):
        env.reset(seed=0, options={"task": {"verb": "touch", "thing": list(absent)}})
    with pytest.raises(OptionError, match="allows pick for: nothing"):
        env.reset(seed=0, options={"task": Task("pick", next(iter(there)))})
    with pytest.raises(UnknownNameError, match="unknown reset option 'goal'"):
        env.reset(seed=0, options={"goal": 1})


@pytest.mark.parametrize(("axis", "index"), [("x", 0), ("y", 1), ("z", 2)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_action_moves_the_hand_three_centimetres(axis, index, sign):
    env = make()
    before = env.reset(seed=0)[0]["proprio"][:3]
    env.step(still(**{axis: sign, "grip": -1}))
    after = env.step(still(grip=-1))[0]["proprio"][:3]
    expected = np.zeros(3)
    expected[index] = 0.03 * sign
    assert np.allclose(after - before, expected, atol=0.001)


@pytest.mark.parametrize(("axis", "index"), [("roll", 3), ("pitch", 4), ("yaw", 5)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_action_turns_the_hand(axis, index, sign):
    env = make()
    env.reset(seed=0)
    for _ in range(2):
        env.step(still(**{axis: sign, "grip": -1}))
    after = env.step(still(grip=-1))[0]["proprio"][3:6]
    expected = np.zeros(3)
    expected[index - 3] = 0.3 * sign
    assert np.allclose(after, expected, atol=0.01)


def test_yaw_turns_the_wrist_picture():
    env = make(image_size=64)
    before = env.reset(seed=0)[0]["images"]["wrist"].astype(int)
    for _ in range(4):
        observation, *_ = env.step(still(yaw=1, grip=-1))
    change = np.abs(observation["images"]["wrist"].astype(int) - before).max(axis=2)
    assert (change > 20).mean() > 0.05


def test_the_gripper_closes_and_opens():
    env = make()
    env.reset(seed=0)
    for _ in range(4):
        closed, *_ = env.step(still(grip=1))
    assert np.all(closed["proprio"][6:] < 0.002)
    for _ in range(4):
        opened, *_ = env.step(still(grip=-1))
    assert np.all(opened["proprio"][6:] > 0.039)
    for _ in range(4):
        half, *_ = env.step(still())
    assert np.allclose(half["proprio"][6:], 0.0205, atol=0.002)


def test_the_hand_stays_above_the_table():
    env = make("push")
    env.reset(seed=0)
    for _ in range(10):
        observation, *_ = env.step(still(x=-1, y=-1, z=-1, grip=1))
    assert 0.0 < observation["proprio"][2] < 0.02
    assert observation["proprio"][0] == pytest.approx(-0.22, abs=0.01)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(7, np.nan, np.float32), "must be finite"),
        (np.array([0, 0, 0, 0, 0, 0, np.inf]), "must be finite"),
        (np.zeros(4, np.float32), r"shape \(7,\), but \(4,\) was given"),
        (np.zeros((1, 7), np.float32), r"shape \(7,\), but \(1, 7\) was given"),
    ],
)
def test_unusable_actions_are_refused(action, message):
    env = make()
    env.reset(seed=0)
    with pytest.raises(OptionError, match=message):
        env.step(action)


def test_step_before_reset_is_refused():
    with pytest.raises(OptionError, match="call reset"):
        make().step(still())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"suite": "tuoch"}, UnknownNameError, "did you mean 'touch'"),
        ({"split": "test"}, UnknownNameError, "unknown split 'test'"),
        ({"cameras": ("base", "top")}, UnknownNameError, "unknown camera 'top'"),
        ({"cameras": ()}, OptionError, "at least one camera"),
        ({"image_size": 2}, OptionError, "from 8 to 1024"),
    ],
)
def test_unknown_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        TabletopEnv(**options)


def test_unknown_environments_and_options_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'tabletop/pick'"):
        make_env("tabletop/pck")
    with pytest.raises(OptionError, match="cannot be made with"):
        make_env("tabletop/pick", colour="red")


@pytest.mark.parametrize("name", [n for n in available_suites() if n.startswith("tabletop/")])
def test_every_suite_can_be_made(name):
    env = make_env(name, image_size=8)
    observation, info = env.reset(seed=0)
    assert info["task"] in (
        *name.split("/")[1].split("-"),
        "touch",
        "push",
        "pick",
        "place",
        "stack",
    )
    assert observation["instruction"]


def test_pictures_can_be_larger():
    env = make(image_size=16, render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (256, 256, 3)
    assert env.render_at(40, "wrist").shape == (40, 40, 3)
    assert np.array_equal(env.render_at(16, supersample=1), env._observe()["images"]["base"])
    with pytest.raises(UnknownNameError, match="unknown camera 'side'"):
        env.render_at(40, "side")
