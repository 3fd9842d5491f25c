"""Meta-World: the episode follows from the seed, nothing privileged is seen, experts succeed."""

import numpy as np
import pytest

from plait.envs import family_of, make_env
from plait.envs.metaworld.expert import MetaWorldExpert
from plait.envs.metaworld.simulator import MAX_STEPS, Simulator
from plait.envs.metaworld.tasks import MT10, SHARED_SCENES, SUITES, TASKS
from plait.envs.opengl import RAYCAST, NoOpenGLError
from plait.errors import OptionError, UnknownNameError

pytest.importorskip("metaworld")

BLIND = {"render": RAYCAST, "are_pictures_lazy": True, "image_size": 8}
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (6, 4)).astype(np.float32)


def played(simulator: Simulator, seed: int) -> np.ndarray:
    """Return all states of a short episode."""
    simulator.reset(seed)
    states = [simulator.state]
    for action in ACTIONS:
        simulator.step(action)
        states.append(simulator.state)
    return np.stack(states)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_an_episode_follows_from_its_seed_in_a_used_simulator_too(task):
    simulator = Simulator(task)
    fresh = played(simulator, 7)
    other = played(simulator, 8)
    np.testing.assert_array_equal(played(simulator, 7), fresh)
    assert (fresh[0] != other[0]).any()


def test_two_simulators_play_the_same_episode():
    played(used := Simulator("push-v3"), 1)
    np.testing.assert_array_equal(played(used, 7), played(Simulator("push-v3"), 7))


def test_the_seed_chooses_the_task():
    env = make_env("metaworld/MT10", **BLIND)
    for seed in (0, 3, 9, 10, 1_000_004):
        _, info = env.reset(seed=seed)
        assert info["task"] == MT10[seed % 10]
    _, info = env.reset(seed=0, options={"task": "drawer-open-v3"})
    assert info["task"] == "drawer-open-v3"
    with pytest.raises(UnknownNameError, match="did you mean 'drawer-open-v3'"):
        env.reset(seed=0, options={"task": "drawer-opn-v3"})


def test_nothing_privileged_is_seen():
    env = make_env("metaworld/pick-place-v3", **BLIND)
    seen, states = [], []
    for seed in (0, 1):
        observation, info = env.reset(seed=seed)
        assert set(observation) == {"images", "proprio", "instruction"}
        assert all(isinstance(value, bool | str) for value in info.values())
        seen.append(observation["proprio"])
        states.append(env.unwrapped.simulator.state)
    # Object and goal lie elsewhere, the hand does not.
    assert (states[0] != states[1]).any()
    np.testing.assert_array_equal(seen[0], seen[1])


def test_observations_lie_in_their_space():
    env = make_env("metaworld/MT10", render=RAYCAST, image_size=16)
    for seed in range(2):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
        assert env.observation_space.contains(env.step(env.action_space.sample())[0])


def test_lazy_pictures_are_the_eager_ones_and_cannot_be_taken_late():
    options = {"render": RAYCAST, "image_size": 16}
    eager, lazy = (
        make_env("metaworld/push-v3", **options, are_pictures_lazy=is_lazy)
        for is_lazy in (False, True)
    )
    first, late = eager.reset(seed=4)[0]["images"], lazy.reset(seed=4)[0]["images"]
    assert set(late) == set(first) == {"corner2"}
    np.testing.assert_array_equal(late["corner2"], first["corner2"])
    second, missed = (env.step(ACTIONS[0])[0]["images"] for env in (eager, lazy))
    lazy.step(ACTIONS[1])
    np.testing.assert_array_equal(late["corner2"], first["corner2"])  # was looked at in time
    with pytest.raises(OptionError, match="look at it before the next step"):
        missed["corner2"]
    with pytest.raises(KeyError):
        late["corner3"]
    assert second["corner2"].shape == (16, 16, 3)


@pytest.mark.parametrize("task", MT10)
def test_experts_succeed(task):
    env = make_env(f"metaworld/{task}", **BLIND)
    for seed in family_of(f"metaworld/{task}").attempts(11):
        env.reset(seed=seed)
        expert = MetaWorldExpert(env)
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(expert.act())
            ended = terminated or truncated
        if info["success"]:
            break
    assert terminated
    assert info["outcome"] == "success"


def test_an_episode_is_given_up_after_500_steps():
    env = make_env("metaworld/drawer-open-v3", **BLIND)
    env.reset(seed=0)
    for step in range(1, MAX_STEPS + 1):
        _, _, terminated, truncated, info = env.step(np.zeros(4, np.float32))
        assert not terminated
        assert truncated == (step == 500)
    assert info["outcome"] == "timeout"


@pytest.mark.parametrize("suite", SUITES)
def test_another_attempt_is_of_the_same_task(suite):
    seeds = list(family_of(f"metaworld/{suite}").attempts(1234))
    assert len(set(seeds)) == len(seeds) == 10
    assert len({seed % len(SUITES[suite]) for seed in seeds}) == 1


def test_suites_are_those_of_the_benchmark():
    import metaworld

    assert set(TASKS) == set(metaworld.env_dict.ALL_V3_ENVIRONMENTS)
    assert set(MT10) == set(metaworld.env_dict.MT10_V3)
    assert len(SUITES["MT50"]) == 50
    assert [len(SUITES[name]) for name in ("easy", "medium", "hard", "very_hard")] == [28, 11, 6, 5]
    shared = [task for tasks in SHARED_SCENES.values() for task in tasks]
    assert len(set(shared)) == len(shared)
    assert set(shared) <= set(TASKS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("metaworld/drawer-opn-v3", {}, "did you mean .*'metaworld/drawer-open-v3'"),
        ("metaworld/MT10", {"cameras": ("corner22",)}, "did you mean 'corner2'"),
        ("metaworld/MT10", {"cameras": ()}, "at least one camera"),
        ("metaworld/MT10", {"image_size": 4}, "image_size"),
        ("metaworld/MT10", {"render": "raytrace"}, "unknown renderer 'raytrace'.*'raycast'"),
        ("metaworld/MT10", {"render": {"renderer": "opengl", "gamma": 1}}, "'gamma'"),
        ("metaworld/MT10", {"colour": "red"}, "cannot be made with"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(name, options, message):
    with pytest.raises((UnknownNameError, OptionError), match=message):
        make_env(name, **{"render": RAYCAST, **options})


def test_actions_are_checked():
    env = make_env("metaworld/push-v3", **BLIND)
    env.reset(seed=0)
    with pytest.raises(OptionError, match="shape"):
        env.step(np.zeros(7, np.float32))
    with pytest.raises(OptionError, match="finite"):
        env.step(np.full(4, np.nan, np.float32))


def test_without_opengl_the_other_renderer_is_named(monkeypatch):
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(NoOpenGLError, match=r"libosmesa6.*--render raycast"):
        make_env("metaworld/MT10")
    make_env("metaworld/MT10", render=RAYCAST).close()


def test_another_mujoco_is_refused(monkeypatch):
    import importlib.metadata

    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "4.0.0" if name == "mujoco" else real(name)
    )
    with pytest.raises(Exception, match=r"3\.3\.0.*4\.0\.0.*plait\[metaworld\]"):
        make_env("metaworld/MT10")
