"""The renderer against MuJoCo's exact one-ray-a-call reference, and against closed forms."""

import mujoco
import numpy as np
import pytest

from plait.envs.primitives import meet_box, meet_cylinder, meet_sphere
from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.model import HIDDEN_GROUP
from plait.envs.tabletop.scene import COLOURS, TABLE_X, TABLE_Y

SIZE = 24
MJ_RAY_HAS_NORMAL = "normal:" in mujoco.mj_ray.__doc__


def playing(suite, seed):
    """Return an environment whose hand has moved, turned and come down a little."""
    env = TabletopEnv(suite, image_size=8)
    env.reset(seed=seed)
    for _ in range(seed % 5):
        env.step(np.array([0.2, 0.1, -0.7, 0.3, -0.4, 0.6, -1], np.float32))
    return env


def mj_ray(world, origin, ray):
    """Return the geom that MuJoCo says a unit ray meets, and how far away."""
    geom = np.zeros(1, np.int32)
    groups = np.array([group != HIDDEN_GROUP for group in range(6)], np.uint8)
    outputs = (geom, np.zeros(3)) if MJ_RAY_HAS_NORMAL else (geom,)
    reach = mujoco.mj_ray(world.model, world.data, origin, ray, groups, 1, -1, *outputs)
    return int(geom[0]), reach


@pytest.mark.parametrize("camera", ["base", "wrist"])
@pytest.mark.parametrize(("suite", "seed"), [("touch", 3), ("place", 4), ("stack", 1)])
def test_every_pixel_meets_what_mj_ray_meets(suite, seed, camera):
    env = playing(suite, seed)
    caster, model = env._now()[2], env.world.model
    view, _ = caster.view(camera, SIZE)
    hits = caster.cast(view)
    reach = np.full(SIZE * SIZE, -1.0)
    geoms = np.full(SIZE * SIZE, -1)
    lengths = np.sqrt((view.rays**2).sum(axis=0))
    reach[hits.pixels] = hits.reach * lengths[hits.pixels]
    geoms[hits.pixels] = caster._seen[hits.geoms]
    rays = (view.rotation @ view.rays / lengths).T
    for pixel, ray in enumerate(rays):  # the border included
        geom, expected = mj_ray(env.world, view.origin, ray)
        assert (geoms[pixel] >= 0) == (geom >= 0), divmod(pixel, SIZE)
        assert reach[pixel] == pytest.approx(expected, abs=1e-9)
        if geom >= 0:  # where a cross's two boxes share a face, either will do
            assert np.array_equal(model.geom_rgba[geoms[pixel]], model.geom_rgba[geom])
    assert (geoms >= 0).mean() > 0.03


def test_light_follows_the_normal_of_the_surface():
    """Compare with the normal by finite differences of MuJoCo's distances."""
    env = playing("all", 2)
    caster = env._now()[2]
    view, _ = caster.view("base", 64)
    hits = caster.cast(view)
    light = np.array([-0.30, 0.42, 1.0]) / np.linalg.norm([-0.30, 0.42, 1.0])
    checked = 0
    for pixel, own, facing in zip(hits.pixels, hits.geoms, hits.facing, strict=True):
        x, y = view.rays[:2, pixel]
        points = []
        for dx, dy in ((0, 0), (1e-5, 0), (0, 1e-5)):
            ray = view.rotation @ np.array([x + dx, y + dy, -1.0])
            ray /= np.linalg.norm(ray)
            geom, reach = mj_ray(env.world, view.origin, ray)
            if geom != caster._seen[own]:
                break
            points.append(view.origin + reach * ray)
        else:
            normal = np.cross(points[1] - points[0], points[2] - points[0])
            normal /= np.linalg.norm(normal)
            if abs(normal @ light - facing) > 1e-3:
                continue  # the differences straddle an edge
            checked += 1
    assert checked > 0.9 * len(hits.pixels)


def columns(*vectors):
    return np.array(vectors, np.float64).T


def test_a_ray_meets_a_sphere():
    origin, ray = columns((0, 0, 5), (0, 0.3, 5), (2, 0, 5)), columns(*[(0, 0, -2)] * 3)
    size, light = columns(*[(0.5, 0, 0)] * 3), columns(*[(0, 0, 1)] * 3)
    reach, facing = meet_sphere(origin, ray, size, light)
    # Head on; 0.3 off the middle, where the surface is at height 0.4; and past it.
    assert reach.tolist() == pytest.approx([2.25, 2.3, np.inf])
    assert facing[:2].tolist() == pytest.approx([1.0, 0.8])


def test_a_ray_meets_a_box():
    origin = columns((0, 0, 5), (-5, 0, 0.1), (0, 0, 5), (0, 0, 0))
    ray = columns((0, 0, -1), (1, 0, 0), (1, 0, -1), (1, 0, 0))
    size, light = columns(*[(1, 2, 3)] * 4), columns(*[(0.6, 0, 0.8)] * 4)
    reach, facing = meet_box(origin, ray, size, light)
    # Top, the side that faces away from the light, past the edge, and from within.
    assert reach.tolist() == pytest.approx([2.0, 4.0, np.inf, np.inf])
    assert facing[:2].tolist() == pytest.approx([0.8, -0.6])


def test_a_ray_meets_a_cylinder():
    origin = columns((0.2, 0, 5), (-5, 0, 0), (-5, 0, 2.5), (3, 0, 5))
    ray = columns((0, 0, -1), (1, 0, 0), (1, 0, 0), (0, 0, -1))
    size, light = columns(*[(1, 2, 0)] * 4), columns(*[(0.6, 0, 0.8)] * 4)
    reach, facing = meet_cylinder(origin, ray, size, light)
    # The cap, the wall, over it, and beside it.
    assert reach.tolist() == pytest.approx([3.0, 4.0, np.inf, np.inf])
    assert facing[:2].tolist() == pytest.approx([0.8, -0.6])


def test_a_larger_picture_shows_the_same():
    """The mean over blocks of the supersampled picture is the supersampled picture."""
    env = playing("place", 1)
    fine = env.render_at(64, supersample=1).astype(float)
    coarse = env.render_at(32, supersample=2).astype(float)
    blocks = fine.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(blocks - coarse).max() <= 1.0


def object_pixels(env, size=64):
    """Map each object to the pixels of the base picture that show it."""
    caster, model = env._now()[2], env.world.model
    hits = caster.cast(caster.view("base", size)[0])
    bodies = model.geom_bodyid[caster._seen[hits.geoms]]
    return {
        k: hits.pixels[bodies == mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, f"object{k}")]
        for k in range(env.world.num_objects)
    }


def test_objects_are_in_the_picture_and_wide_enough_to_tell_apart():
    hidden = total = 0
    for seed in range(20):
        env = TabletopEnv("touch")
        env.reset(seed=seed)
        for pixels in object_pixels(env).values():
            total += 1
            rows, columns_ = np.divmod(pixels, 64)
            if len(pixels) < 25:
                hidden += 1  # behind the hand
                continue
            whole = rows.min() > 0 and rows.max() < 63 and columns_.min() > 0 < 63 - columns_.max()
            assert whole
            assert np.ptp(columns_) + 1 >= 6 or len(pixels) < 36
    assert hidden <= 0.1 * total


def test_a_picture_shows_each_objects_colour():
    env = TabletopEnv("touch")
    observation, _ = env.reset(seed=0)
    flat = observation["images"]["base"].reshape(-1, 3) / 255
    for k, pixels in object_pixels(env).items():
        mean = flat[pixels].mean(axis=0)
        distance = {
            name: np.linalg.norm(mean / mean.max() - np.array(rgb) / max(rgb))
            for name, rgb in COLOURS.items()
        }
        assert min(distance, key=distance.__getitem__) == env.scene.objects[k].thing.colour


def test_a_raised_hand_casts_a_paler_shadow_further_away():
    env = TabletopEnv("touch")
    env.reset(seed=0)
    caster = env._now()[2]
    _, backdrop = caster.view("base", 64)
    high = caster._table_light(backdrop)
    for _ in range(4):
        env.step(np.array([0, 0, -1, 0, 0, 0, -1], np.float32))
    low = caster._table_light(backdrop)
    assert low.max() == high.max() == 1.0
    assert low.min() <= high.min() < 0.8
    assert not np.array_equal(low, high)


def test_rays_leave_through_the_middle_of_each_pixel():
    env = playing("touch", 0)
    view, _ = env._now()[2].view("wrist", 4)
    half = np.tan(1.90 / 2)
    assert view.half == pytest.approx(half)
    rows = (view.rays / half).T.reshape(4, 4, 3)
    assert rows[0, :, 0].tolist() == pytest.approx([-0.75, -0.25, 0.25, 0.75])  # left to right
    assert rows[:, 0, 1].tolist() == pytest.approx([0.75, 0.25, -0.25, -0.75])  # top to bottom
    assert np.allclose(view.rotation, env.world.data.cam("wrist").xmat.reshape(3, 3))


@pytest.mark.parametrize("camera", ["base", "wrist"])
def test_the_table_is_met_where_mujoco_meets_it(camera):
    env = playing("touch", 4)
    view, backdrop = env._now()[2].view(camera, 16)
    lengths = np.sqrt((view.rays**2).sum(axis=0))
    only_table = np.array([group == HIDDEN_GROUP for group in range(6)], np.uint8)
    geom = np.zeros(1, np.int32)
    outputs = (geom, np.zeros(3)) if MJ_RAY_HAS_NORMAL else (geom,)
    for pixel, ray in enumerate((view.rotation @ view.rays / lengths).T):
        args = env.world.model, env.world.data, view.origin, ray, only_table, 1, -1
        reach = mujoco.mj_ray(*args, *outputs)
        if reach < 0 or ray[2] > -1e-3:  # the sky, or past MuJoCo's finite plane
            continue
        x, y, _ = view.origin + reach * ray
        assert backdrop.places[1:3, pixel] == pytest.approx([x, y], abs=1e-9)
        if abs(x) < TABLE_X and abs(y) < TABLE_Y:
            assert backdrop.places[0, pixel] == pytest.approx(x * x + y * y)


def test_the_wrist_camera_sees_nearly_all_objects_from_where_the_hand_starts():
    inside = []
    for seed in range(60):
        env = TabletopEnv("touch", image_size=8)
        env.reset(seed=seed)
        view, _ = env._now()[2].view("wrist", 8)
        places = np.array([env.world.position(k) for k in range(env.world.num_objects)])
        x, y, back = ((places - view.origin) @ view.rotation).T
        inside.extend((np.maximum(abs(x), abs(y)) < -view.half * back).tolist())
    assert np.mean(inside) > 0.97
