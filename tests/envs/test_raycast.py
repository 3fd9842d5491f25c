"""Ray-cast pictures of any model, against MuJoCo's own rays, one at a time."""

import mujoco
import numpy as np
import pytest

from plait.envs.opengl import RAYCAST, RenderProfile
from plait.envs.raycast import RaycastRenderer, view_of

SIDE = 24
PROFILE = RenderProfile(renderer=RAYCAST, supersample=1)
MJ_RAY_HAS_NORMAL = "normal:" in mujoco.mj_ray.__doc__
# A broad box as a mesh lies close below the cameras, where MuJoCo's many-ray call loses pixels.
SCENE = """
<mujoco>
  <asset>
    <mesh name="slab" vertex="-.6 -.5 -.1  .6 -.5 -.1  -.6 .5 -.1  .6 .5 -.1
                              -.6 -.5 .1  .6 -.5 .1  -.6 .5 .1  .6 .5 .1"/>
  </asset>
  <worldbody>
    <camera name="above" pos="0 0 .9" fovy="90"/>
    <camera name="aside" pos=".9 -.8 .9" xyaxes=".7 .7 0 -.5 .5 .8" fovy="80"/>
    <geom type="plane" size="2 1.5 .1" pos="0 0 -.5" rgba=".2 .3 .4 1"/>
    <geom type="mesh" mesh="slab" rgba="1 0 0 1"/>
    <geom type="box" size=".1 .2 .05" pos=".3 0 .2" euler="10 20 30" rgba="0 1 0 1"/>
    <geom type="sphere" size=".12" pos="-.3 .1 .3" rgba="0 0 1 1"/>
    <geom type="capsule" size=".05 .2" pos="0 -.3 .3" euler="70 20 0" rgba="1 1 0 1"/>
    <geom type="cylinder" size=".08 .1" pos="-.4 -.3 .2" euler="20 0 0" rgba="0 1 1 1"/>
    <geom type="ellipsoid" size=".1 .05 .2" pos=".35 .35 .25" euler="0 40 0" rgba="1 0 1 1"/>
    <geom type="box" size="3 3 .01" pos="0 0 .7" rgba="1 1 1 0"/>
    <geom type="box" size="3 3 .01" pos="0 0 .72" rgba="1 1 1 1" group="3"/>
    {site}
  </worldbody>
</mujoco>
"""
HIDDEN = (7, 8)  # the last two boxes: transparent, and of a group that is not shown


def scene(site: str = "") -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE.format(site=site))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def one_ray(model, data, origin, ray):
    """Return the geom that MuJoCo says a ray meets, and how far away."""
    geom, groups = np.zeros(1, np.int32), np.array([1, 1, 1, 0, 0, 0], np.uint8)
    outputs = (geom, np.zeros(3)) if MJ_RAY_HAS_NORMAL else (geom,)
    reach = mujoco.mj_ray(model, data, origin, ray, groups, 1, -1, *outputs)
    return int(geom[0]), reach


@pytest.mark.parametrize("camera", [0, 1])
def test_every_pixel_meets_what_a_single_ray_meets(camera):
    model, data = scene()
    view = view_of(model, data, camera, SIDE)
    canvas = RaycastRenderer(model, SIDE, PROFILE).cast(model, data, view, SIDE)
    met = set()
    for pixel in range(SIDE * SIDE):
        length = np.linalg.norm(view.rays[:, pixel])
        geom, reach = one_ray(model, data, view.origin, view.rays[:, pixel] / length)
        assert geom not in HIDDEN
        met.add(geom)
        if geom < 0:
            assert np.isinf(canvas.reach[pixel])
            continue
        assert canvas.reach[pixel] * length == pytest.approx(reach, abs=1e-6), divmod(pixel, SIDE)
        np.testing.assert_array_equal(canvas.colour[pixel], model.geom_rgba[geom, :3])
    assert met >= {0, 1, 2, 3, 4, 5, 6} if camera == 0 else len(met) > 4


def test_casting_leaves_the_model_as_it_was():
    model, data = scene()
    before = model.geom_group.copy(), model.geom_aabb.copy(), model.bvh_aabb.copy()
    RaycastRenderer(model, 8, PROFILE).render(model, data, 0)
    np.testing.assert_array_equal(model.geom_group, before[0])
    np.testing.assert_array_equal(model.geom_aabb, before[1])
    np.testing.assert_array_equal(model.bvh_aabb, before[2])


def test_a_mesh_is_shaded_like_the_box_that_it_is():
    """Its normals come from three rays a pixel; a box's follow from its faces."""
    model, data = scene()
    view = view_of(model, data, 1, SIDE)
    canvas = RaycastRenderer(model, SIDE, PROFILE).cast(model, data, view, SIDE)
    light = np.array([-0.30, 0.42, 1.0]) / np.linalg.norm([-0.30, 0.42, 1.0])
    red = np.flatnonzero((canvas.colour == (1, 0, 0)).all(axis=1))
    off = np.abs(canvas.facing[red, None] - np.array([*light, *-light])).min(axis=1)
    assert len(red) > 50
    assert (off < 1e-6).mean() > 0.98


def test_sites_are_drawn_where_rays_of_mujoco_pass_through():
    site = '<site type="sphere" size=".15" pos="0 0 .5" rgba="0 .5 0 1"/>'
    plain, seen = (
        RaycastRenderer(model, 33, PROFILE).render(model, data, 0)
        for model, data in (scene(), scene(site))
    )
    changed = (plain != seen).any(axis=2)
    assert changed[16, 16]
    assert seen[16, 16].argmax() == 1
    # A sphere of .15 m seen from .4 m, in a picture that is 2 wide at a distance of 1.
    radius = 0.15 / np.sqrt(0.4**2 - 0.15**2) * 33 / 2
    assert changed.sum() == pytest.approx(np.pi * radius**2, rel=0.05)


def test_a_mesh_that_the_camera_is_within_is_not_seen():
    model, data = scene()
    model.vis.map.znear = 0.2
    data.cam_xpos[0] = (0, 0, 0.05)  # in the slab, looking down at the floor
    view = view_of(model, data, 0, SIDE)
    canvas = RaycastRenderer(model, SIDE, PROFILE).cast(model, data, view, SIDE)
    np.testing.assert_allclose(canvas.reach, 0.55)
    np.testing.assert_array_equal(canvas.colour[0], model.geom_rgba[0, :3])


def test_hidden_groups_are_left_out():
    model, data = scene()
    model.geom_group[1] = 1
    shown, hidden = (
        RaycastRenderer(model, 8, PROFILE, hidden_groups=groups).render(model, data, 0)
        for groups in ((), (1,))
    )
    is_red = [(p[..., 0] > 100) & (p[..., 1:] == 0).all(axis=2) for p in (shown, hidden)]
    assert is_red[0].sum() > 8
    assert not is_red[1].any()
    empty = RaycastRenderer(model, 8, PROFILE, hidden_groups=(0, 1)).render(model, data, 0)
    assert (empty == empty[0, 0]).all()


def test_samples_are_averaged():
    model, data = scene()
    fine = RaycastRenderer(model, 32, PROFILE).render(model, data, 1).astype(float)
    profile = RenderProfile(renderer=RAYCAST, supersample=2)
    coarse = RaycastRenderer(model, 16, profile).render(model, data, 1)
    np.testing.assert_allclose(coarse, fine.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)), atol=0.51)
