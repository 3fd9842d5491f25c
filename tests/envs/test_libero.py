"""LIBERO: the public protocol, resets, pictures and the expert; one scene, built once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plait.envs.libero.expert import LiberoExpert
from plait.envs.libero.family import LiberoFamily
from plait.envs.opengl import OffscreenRenderer
from plait.envs.opengl_library import find_platform
from plait.errors import OptionError, UnknownNameError

pytest.importorskip("libero.libero", reason="plait[libero] is not installed")
pytestmark = [
    pytest.mark.skipif(find_platform() is None, reason="no OpenGL library is installed"),
    # Of NumPy, bddl, robosuite and matplotlib about one another.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.slow,
]

from plait.envs.libero.env import LiberoEnv, state_of  # noqa: E402
from plait.envs.libero.simulator import (  # noqa: E402
    ALIASES,
    CAMERAS,
    COLLISION_GROUP,
    NO_OPERATION,
    axis_angle,
)
from plait.envs.libero.tasks import suite_tasks  # noqa: E402

SUITE = "object/1"
SIZE = 64
# Of the arm and its fingers; position and quaternion of each thing follow.
NUM_ARM_JOINTS = 9


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoEnv]:
    made = LiberoEnv(SUITE, image_size=SIZE, are_pictures_lazy=True)
    yield made
    made.close()


@pytest.fixture
def sampled(env: LiberoEnv) -> Iterator[LiberoEnv]:
    """The same scene, which starts from the benchmark's random placement."""
    env.close()
    made = LiberoEnv(SUITE, image_size=SIZE, are_pictures_lazy=True, are_states_fixed=False)
    yield made
    made.close()


def moving(state: np.ndarray) -> np.ndarray:
    """Leave the time out of a state."""
    return state[1:]


def test_sentences_and_files_of_every_suite() -> None:
    assert [len(suite_tasks(name)) for name in ("spatial", "object", "goal", "10", "90")] == [
        10,
        10,
        10,
        10,
        90,
    ]
    for name in LiberoFamily().suites():
        for task in suite_tasks(name):
            assert task.problem.is_file()
            assert task.states.is_file()
            assert task.instruction
    (plain,), (reworded,) = suite_tasks("object/0"), suite_tasks("object-lan/0")
    assert plain.instruction == "pick up the alphabet soup and place it in the basket"
    assert reworded.instruction == "grab alphabet soup and put it into basket"
    assert suite_tasks("object-task/0")[0].instruction.startswith("Pick the cream cheese")


@pytest.mark.parametrize(("suite", "num_tasks"), [("object", 10), ("90", 90), ("goal/3", 1)])
def test_seeds_play_every_task_from_every_state(suite: str, num_tasks: int) -> None:
    tasks = suite_tasks(suite)
    assert len(tasks) == num_tasks
    for first in (0, 1_000_000):
        seeds = range(first, first + 50 * num_tasks)
        played = {(seed % num_tasks, state_of(seed, num_tasks, 50)) for seed in seeds}
        assert len(played) == 50 * num_tasks


def test_initial_states_and_limits_are_the_benchmarks() -> None:
    tasks = suite_tasks("object")
    assert [task.number for task in tasks] == list(range(10))
    assert tasks[1].initial_states().shape == (50, 110)
    assert tasks[1].max_steps == 280


def test_cameras_have_the_names_of_others_data_too(env: LiberoEnv) -> None:
    env.reset(seed=0)
    for alias, camera in ALIASES.items():
        np.testing.assert_array_equal(env.render_at(32, alias), env.render_at(32, camera))
    theirs = LiberoEnv(SUITE, image_size=32, cameras=("agentview_rgb", "eye_in_hand_rgb"))
    assert list(theirs.observation_space["images"]) == ["agentview_rgb", "eye_in_hand_rgb"]


def test_an_episode_starts_from_its_fixed_state(env: LiberoEnv) -> None:
    _, info = env.reset(seed=3)
    assert info["initial_state"] == 3
    assert info["task"] == "object/1"
    first = moving(env.simulator.state)
    # Things have come to rest under where that state holds them, closer than under any other.
    level = np.arange(NUM_ARM_JOINTS, env.simulator.model.nq, 7)[:, None] + np.arange(2)
    states = moving(env.task.initial_states().T).T
    aside = np.linalg.norm((states - first)[:, level], axis=(1, 2))
    assert aside.argmin() == 3
    assert aside[3] < 0.005
    env.step(np.ones(7, np.float32))
    env.reset(seed=3)
    np.testing.assert_array_equal(moving(env.simulator.state), first)
    env.reset(seed=53)
    np.testing.assert_array_equal(moving(env.simulator.state), first)
    env.reset(seed=4)
    assert np.abs(moving(env.simulator.state) - first).max() > 1e-3


def test_an_evaluation_does_not_depend_on_what_was_recorded_before(env: LiberoEnv) -> None:
    env.reset(seed=0)
    first = moving(env.simulator.state)
    env.simulator.reset_sampled(7)
    env.reset(seed=0)
    np.testing.assert_array_equal(moving(env.simulator.state), first)


def test_recorded_episodes_start_elsewhere_and_reproducibly(sampled: LiberoEnv) -> None:
    np.random.seed(1)  # noqa: NPY002
    generator = np.random.get_state()[1].copy()  # noqa: NPY002
    starts = []
    for seed in (0, 1, 2, 0):
        _, info = sampled.reset(seed=seed)
        assert info["initial_state"] is None
        starts.append(moving(sampled.simulator.state))
    np.testing.assert_array_equal(starts[0], starts[3])
    assert np.abs(starts[0] - starts[1]).max() > 1e-3
    np.testing.assert_array_equal(generator, np.random.get_state()[1])  # noqa: NPY002
    simulator = sampled.simulator
    for start in starts[:3]:
        for number in range(simulator.num_states):
            state = moving(sampled.task.initial_states()[number])
            # The arm's joints, and where things lie.
            assert np.abs(start[:7] - state[:7]).max() > 1e-3


def test_things_in_and_on_fixtures_are_placed_where_the_benchmark_has_them() -> None:
    """In a used simulator, too: a fixture that stands in its place must not be counted twice."""
    made = LiberoEnv("spatial/4", are_pictures_lazy=True)
    made.reset(seed=0)
    simulator = made.simulator
    things = [thing.root_body for thing in simulator.problem.objects_dict.values()]

    def places() -> np.ndarray:
        return np.stack([simulator.data.body(thing).xpos.copy() for thing in things])

    fixed = places()
    for seed in (0, 1):
        simulator.reset_sampled(seed)
        assert np.abs(places() - fixed).max() < 0.06
    simulator.close()


def test_pictures_taken_after_an_episode_are_those_of_its_moments(sampled: LiberoEnv) -> None:
    def play(*, are_late: bool) -> list[dict[str, np.ndarray]]:
        observation, _ = sampled.reset(seed=0)
        looks, expert = [], LiberoExpert(sampled)
        for step in range(40):
            looks.append(observation["images"] if are_late else dict(observation["images"]))
            action = expert.act() if step < 30 else np.array([0, 0, 1, 0, 0, 0.5, 1], np.float32)
            observation, *_ = sampled.step(action)
        before = sampled.simulator.state
        now = sampled.render_at(SIZE, "wrist")
        pictures = [dict(look) for look in looks]
        # The scene is left as it was.
        np.testing.assert_array_equal(sampled.simulator.state, before)
        np.testing.assert_array_equal(sampled.render_at(SIZE, "wrist"), now)
        return pictures

    in_time, late = play(are_late=False), play(are_late=True)
    assert np.any(in_time[0]["wrist"] != in_time[-1]["wrist"])
    for first, second in zip(in_time, late, strict=True):
        for camera, picture in first.items():
            np.testing.assert_array_equal(second[camera], picture)


def test_pictures_of_an_earlier_episode_cannot_be_taken(env: LiberoEnv) -> None:
    missed = env.reset(seed=0)[0]["images"]
    env.step(NO_OPERATION.astype(np.float32))
    env.reset(seed=0)
    with pytest.raises(OptionError, match="picture of wrist was not taken while its episode last"):
        missed["wrist"]


def test_observations_have_the_public_shapes(env: LiberoEnv) -> None:
    observation, _ = env.reset(seed=0)
    assert set(observation["images"]) == {"image", "wrist"}
    plain = {**observation, "images": dict(observation["images"])}
    assert env.observation_space.contains(plain)
    position, rotation = observation["proprio"][:3], observation["proprio"][3:6]
    robot = env.simulator.problem.robots[0]
    np.testing.assert_allclose(position, robot._hand_pos + robot.base_pos, atol=0.15)
    # The hand points down: half a turn about an axis that is level.
    assert np.linalg.norm(rotation) == pytest.approx(np.pi, abs=0.3)
    # The fingers open.
    assert observation["proprio"][6] > 0.03
    assert observation["proprio"][7] < -0.03
    observation, reward, terminated, truncated, _ = env.step(NO_OPERATION.astype(np.float32))
    assert (reward, terminated, truncated) == (0.0, False, False)


def test_pictures_are_upright_and_mirrored(env: LiberoEnv) -> None:
    """The picture shows the hand where it is, left and right exchanged."""
    env.reset(seed=0)
    model, data = env.simulator.model, env.simulator.data
    camera = model.camera(CAMERAS["image"]).id
    before = env.render_at(128).astype(int)
    for _ in range(12):
        env.step(np.array([0, -1, 0, 0, 0, 0, -1], np.float32))
    changed = np.abs(env.render_at(128).astype(int) - before).max(-1) > 25
    hand = data.site_xpos[env.simulator.problem.robots[0].eef_site_id]
    right, up, backward = data.cam_xmat[camera].reshape(3, 3).T
    ahead = hand - data.cam_xpos[camera]
    scale = 64 / np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    across = 64 - scale * (ahead @ right) / (ahead @ -backward)
    down = 64 - scale * (ahead @ up) / (ahead @ -backward)
    rows = slice(int(down) - 16, int(down) + 4)
    seen, mirrored_back = (
        changed[rows, int(column) - 12 : int(column) + 12].mean()
        for column in (across, 128 - across)
    )
    assert seen > 0.3
    assert seen > 3 * mirrored_back


def test_things_that_only_collide_are_not_seen(env: LiberoEnv) -> None:
    env.reset(seed=0)
    model, data = env.simulator.model, env.simulator.data
    number = model.camera(CAMERAS["image"]).id
    everything = OffscreenRenderer(model, 96, env.profile).render(model, data, number)
    # As the environment shows them.
    everything = everything[:, ::-1].astype(int)
    seen = env.render_at(96).astype(int)
    assert (np.abs(seen - everything).max(axis=2) > 30).mean() > 0.02
    # Whatever colour they have, the same picture comes out.
    colours = model.geom_rgba.copy()
    model.geom_rgba[model.geom_group == COLLISION_GROUP] = (1.0, 0.0, 1.0, 1.0)
    np.testing.assert_array_equal(env.render_at(96), seen)
    model.geom_rgba[:] = colours


def test_leaving_out_what_a_camera_cannot_see_changes_no_picture(
    env: LiberoEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.reset(seed=0)
    expert = LiberoExpert(env)
    for step in range(60):
        env.step(expert.act())
        if step % 12 == 0:
            pictures = {camera: env.render_at(96, camera) for camera in CAMERAS}
            with monkeypatch.context() as patch:
                patch.setattr(
                    "plait.envs.opengl.are_in_sight", lambda model, *_: np.ones(model.ngeom, bool)
                )
                for camera, picture in pictures.items():
                    np.testing.assert_array_equal(env.render_at(96, camera), picture)


def test_bad_actions_are_refused(env: LiberoEnv) -> None:
    env.reset(seed=0)
    with pytest.raises(OptionError, match=r"shape \(7,\)"):
        env.step(np.zeros(4, np.float32))
    with pytest.raises(OptionError, match="finite"):
        env.step(np.full(7, np.nan, np.float32))


def test_what_does_not_exist_is_refused(env: LiberoEnv) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'spatial'"):
        LiberoEnv("spacial")
    with pytest.raises(UnknownNameError, match="camera of LIBERO"):
        LiberoEnv(SUITE, cameras=("base",))
    with pytest.raises(UnknownNameError, match="task of this suite"):
        env.reset(options={"task": 2})
    with pytest.raises(OptionError, match="opengl alone"):
        LiberoFamily().make(SUITE, {"render": "raycast"})


def test_the_expert_succeeds_and_recovers(sampled: LiberoEnv) -> None:
    for seed, share in ((0, 0.0), (1, 0.3)):
        sampled.reset(seed=seed)
        expert = LiberoExpert(sampled)
        disturb = LiberoFamily().disturbance(share, np.random.default_rng(seed))
        ended, info = False, {}
        while not ended:
            _, reward, terminated, truncated, info = sampled.step(disturb(expert.act()))
            ended = terminated or truncated
        assert info["success"]
        assert reward == 1.0


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (0, "it picks up one thing and puts it down"),
        (3, "it opens nothing, and wooden_cabinet_1_top_region is closed"),
        (5, "plate_1 is too wide for its hand and too flat to take by the rim"),
    ],
)
def test_what_the_expert_cannot_do_is_refused(task: int, why: str) -> None:
    made = LiberoEnv(f"goal/{task}", image_size=SIZE, are_pictures_lazy=True)
    made.reset(seed=0)
    with pytest.raises(OptionError, match=f"there is no expert for goal/{task} .*: {why}"):
        LiberoExpert(made)
    made.close()


def test_axis_angle_follows_the_public_convention() -> None:
    half = np.sqrt(0.5)
    np.testing.assert_allclose(axis_angle(np.array([half, half, 0, 0])), [np.pi / 2, 0, 0])
    np.testing.assert_array_equal(axis_angle(np.array([1.0, 0, 0, 0])), np.zeros(3))


def test_importing_asks_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    code = "import plait.envs.libero.tasks as t; t.suite_tasks('goal'); import os; "
    code += "t.import_libero('libero.libero.envs'); print(os.environ.get('MUJOCO_GL'))"
    home = {key: value for key, value in os.environ.items() if key != "MUJOCO_GL"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**home, "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"
    assert "robosuite" not in done.stderr
    assert not list(tmp_path.rglob("*.yaml"))
