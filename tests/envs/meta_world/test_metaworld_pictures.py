"""Pictures, against the benchmark's own at the same state, and LeRobot's adapter's protocol."""

import mujoco
import numpy as np
import pytest

from plait.envs import make_env
from plait.envs.metaworld.simulator import CAMERAS, HAND_HEIGHT, HAND_VIEWS, ZOOM, Simulator, cut
from plait.envs.opengl import RAYCAST, RenderProfile, find_platform
from plait.envs.raycast import RaycastRenderer, view_of

metaworld = pytest.importorskip("metaworld")

SIZE = 96
STOCK = RenderProfile(supersample=1, has_shadows=True, has_reflections=True, multisamples=4)
needs_opengl = pytest.mark.skipif(find_platform() is None, reason="no OpenGL library is installed")


class Adapter:
    """The benchmark as LeRobot's adapter uses it, but for seeds that count.

    Its camera is `corner2`, moved; its picture is turned on both axes; the state is the first four
    numbers of the benchmark's own; success ends an episode, and so do 500 steps.
    """

    def __init__(self, task: str, size: int) -> None:
        benchmark = metaworld.MT1(task, seed=42)
        self.env = benchmark.train_classes[task](
            render_mode="rgb_array", camera_name="corner2", width=size, height=size
        )
        self.env.set_task(benchmark.train_tasks[0])
        self.env.model.cam_pos[2] = [0.75, 0.075, 0.7]
        self.env._freeze_rand_vec = False
        self.env.seeded_rand_vec = True

    def reset(self, seed: int) -> np.ndarray:
        self.env.seed(seed)
        raw, _ = self.env.reset()
        mujoco.mj_forward(self.env.model, self.env.data)
        return raw[:4]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, bool]:
        raw, _, _, _, info = self.env.step(action)
        return raw[:4], bool(info["success"])

    def picture(self) -> np.ndarray:
        viewer = self.env.mujoco_renderer.viewer
        if viewer is not None:  # ours has been drawn in between
            viewer.make_context_current()
        return np.flip(self.env.render(), (0, 1))


@needs_opengl
@pytest.mark.parametrize(("task", "seed"), [("drawer-open-v3", 3), ("pick-place-v3", 5)])
def test_episodes_and_pictures_are_those_of_lerobots_adapter(task, seed, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", find_platform())
    env = make_env(f"metaworld/{task}", image_size=SIZE, render=STOCK, are_pictures_lazy=True)
    env.unwrapped.reset(seed=seed)
    env.unwrapped.simulator.render("corner2", SIZE, RenderProfile())  # leaves no trace
    observation, _ = env.reset(seed=seed)
    adapter = Adapter(task, SIZE)
    proprio = adapter.reset(seed)
    np.testing.assert_allclose(observation["proprio"], proprio, atol=1e-6)
    np.testing.assert_array_equal(observation["images"]["corner2"], adapter.picture())
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 4)).astype(np.float32):
        observation, _, terminated, _, _ = env.step(action)
        proprio, is_success = adapter.step(action)
        np.testing.assert_allclose(observation["proprio"], proprio, atol=1e-6)
        assert terminated == is_success
    np.testing.assert_array_equal(observation["images"]["corner2"], adapter.picture())
    assert env.observation_space["proprio"].shape == env.action_space.shape == (4,)


@needs_opengl
def test_the_fast_profile_differs_by_shadows_and_reflections_alone():
    simulator = Simulator("drawer-open-v3")
    simulator.reset(3)
    fast, stock = (simulator.render("corner2", SIZE, each) for each in (RenderProfile(), STOCK))
    difference = np.abs(fast.astype(int) - stock.astype(int)).max(axis=2)
    assert 0.02 < (difference > 16).mean() < 0.4
    np.testing.assert_array_equal(simulator.render("corner2", SIZE, STOCK), stock)
    np.testing.assert_array_equal(simulator.render("corner2", SIZE, RenderProfile()), fast)


@needs_opengl
def test_the_same_seed_gives_the_same_picture_in_a_used_simulator():
    env = make_env("metaworld/MT10", image_size=48)
    first = env.reset(seed=4)[0]["images"]["corner2"]
    env.step(np.ones(4, np.float32))
    env.reset(seed=0)
    env.reset(seed=14)
    np.testing.assert_array_equal(env.reset(seed=4)[0]["images"]["corner2"], first)


def place_of(colour: tuple[int, int, int], picture: np.ndarray) -> np.ndarray:
    """Return the mean row and column of the pixels of a colour."""
    is_near = (np.abs(picture.astype(int) - colour) < 60).all(axis=2)
    assert is_near.sum() >= 20
    return np.argwhere(is_near).mean(axis=0)


@needs_opengl
def test_the_view_around_the_hand_holds_it_in_one_place_wherever_it_goes():
    env = make_env("metaworld/reach-v3", image_size=SIZE, cameras=("corner2_hand",))
    cyan = (0, 230, 230)  # of one finger
    places = []
    for direction in ([1, 1, 1], [-1, 1, -1], [1, -1, 0.2], [-1, -1, 1]):
        env.reset(seed=1)
        for _ in range(25):
            observation, *_ = env.step(np.float32([*direction, -1]))
        whole = env.unwrapped.simulator.render("corner2", SIZE * ZOOM, RenderProfile(supersample=1))
        seen = observation["images"]["corner2_hand"]
        places.append([place_of(cyan, seen), place_of(cyan, whole)])
    around, whole = np.std(places, axis=0)
    assert np.linalg.norm(whole) > 20
    # The finger comes nearer and goes farther, so it does not keep quite still.
    assert np.linalg.norm(around) < 0.2 * np.linalg.norm(whole)
    row, column = np.mean(places, axis=0)[0]
    assert abs(row - HAND_HEIGHT * SIZE) < 12
    assert abs(column - SIZE / 2) < 16


@needs_opengl
@pytest.mark.parametrize("camera", HAND_VIEWS.values())
def test_the_view_around_the_hand_is_cut_out_of_the_finer_picture(camera):
    """It is the same picture three times as fine, and nothing else that the papers do not see."""
    simulator = Simulator("push-v3")
    simulator.reset(1)
    for profile in (RenderProfile(), RenderProfile(supersample=1)):
        seen = simulator.render(f"{camera}_hand", SIZE, profile).astype(int)
        fine = simulator.render(camera, SIZE * ZOOM, RenderProfile(supersample=1)).astype(int)
        # One row of it is somewhere in the finer picture, and so the rest is beside it.
        windows = np.lib.stride_tricks.sliding_window_view(fine, SIZE, axis=1)
        row = SIZE // 2
        found = np.argwhere((windows == seen[row].T).all(axis=(2, 3)))
        assert len(found)
        tops = [(top - row, left) for top, left in found]
        assert any(
            top >= 0 and np.array_equal(fine[top : top + SIZE, left : left + SIZE], seen)
            for top, left in tops
        )


def test_the_view_around_the_hand_repeats_the_edge_of_the_picture():
    picture = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    np.testing.assert_array_equal(cut(picture, 1, 2, 3), picture[1:4, 2:5])
    beyond = cut(picture, -2, 4, 4)
    np.testing.assert_array_equal(beyond[:3, 0], [picture[0, 4]] * 3)
    np.testing.assert_array_equal(beyond[3], picture[1, [4, 5, 5, 5]])


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@needs_opengl
@pytest.mark.parametrize("camera", CAMERAS)
def test_the_ray_cast_view_shows_the_same_things_in_the_same_places(camera):
    simulator = Simulator("drawer-open-v3")
    simulator.reset(3)
    raycast = simulator.render(camera, SIZE, RenderProfile(renderer=RAYCAST))
    opengl = simulator.render(camera, SIZE, RenderProfile())
    grey = [picture.astype(float).mean(axis=2) for picture in (raycast, opengl)]
    assert correlation(*grey) > 0.7
    for turned in (grey[0][::-1], grey[0][:, ::-1], np.roll(grey[0], 3, axis=1)):
        assert correlation(turned, grey[1]) < correlation(*grey)


@pytest.mark.parametrize("camera", ["corner4", "behindGripper"])
def test_no_pixel_of_a_mesh_is_lost(camera):
    """Every ray meets a mesh where MuJoCo's exact call, one ray at a time, says it does."""
    simulator = Simulator("drawer-open-v3")
    simulator.reset(3)
    model, data, side = simulator.model, simulator.data, 32
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
    view = view_of(model, data, number, side)
    profile = RenderProfile(renderer=RAYCAST, supersample=1)
    reach = RaycastRenderer(model, side, profile).cast(model, data, view, side).reach
    for mesh in ("right_hand", "drawer_link"):
        geom = model.body(mesh).geomadr[0]
        assert model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
        rays = view.rays.T.copy()
        alone = np.array([mujoco.mj_rayMesh(model, data, geom, view.origin, ray) for ray in rays])
        assert (alone > 0).sum() > 3
        assert (reach[alone > 0] <= alone[alone > 0] + 1e-9).all()


def test_the_goal_is_drawn_without_opengl():
    """The goal of reach is a red site; without it the task could not be seen."""
    simulator = Simulator("reach-v3")
    simulator.reset(2)
    profile = RenderProfile(renderer=RAYCAST, supersample=1)
    shown = simulator.render("corner2", SIZE, profile)
    goal = simulator.data.site("goal")
    before = goal.xpos.copy()
    goal.xpos[:] = 9.0
    hidden = simulator.render("corner2", SIZE, profile)
    goal.xpos[:] = before
    assert (shown != hidden).any(axis=2).sum() >= 4
