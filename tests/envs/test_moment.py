"""Moments: a scene looks as it did, and is then as it was."""

import mujoco
import numpy as np
import pytest

from plait.envs.moment import COLOURS, POSES, Moment
from plait.envs.opengl import RenderProfile
from plait.envs.raycast import RaycastRenderer

SCENE = """<mujoco><worldbody><light pos="0 0 3"/>
  <camera name="fixed" pos="0 0 2"/>
  <body name="falling" pos="0 0 1"><freejoint/>
    <geom type="box" size=".2 .2 .2" rgba="1 0 0 1"/>
    <site name="lamp" pos=".1 0 .3" size=".1"/>
    <camera name="riding" pos="0 0 1"/><light pos="0 0 1"/>
  </body>
  <geom type="plane" size="1 1 1"/>
</worldbody></mujoco>"""


@pytest.fixture
def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    data.qvel[:] = [0.5, 0, 0, 1, 2, 3]
    for _ in range(20):
        mujoco.mj_step(model, data)
    return model, data


def looks(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, np.ndarray]:
    return {
        **{name: getattr(data, name).copy() for name in POSES},
        **{name: getattr(model, name).copy() for name in COLOURS},
    }


def test_a_scene_looks_as_it_did_and_is_then_as_it_was(scene):
    model, data = scene
    then, moment = looks(model, data), Moment.of(model, data)
    for _ in range(50):
        mujoco.mj_step(model, data)
    model.site_rgba[0] = [1, 0.5, 0, 1]
    now, state = looks(model, data), np.concatenate([data.qpos, data.qvel])
    changed = {name for name in now if np.any(now[name] != then[name])}
    assert {"geom_xpos", "geom_xmat", "site_xpos", "cam_xpos", "light_xpos"} <= changed
    assert "site_rgba" in changed
    with moment.recalled(model, data):
        for name, values in looks(model, data).items():
            np.testing.assert_array_equal(values, then[name], err_msg=name)
    for name, values in looks(model, data).items():
        np.testing.assert_array_equal(values, now[name], err_msg=name)
    np.testing.assert_array_equal(np.concatenate([data.qpos, data.qvel]), state)


def test_a_picture_is_that_of_the_moment(scene):
    model, data = scene
    renderer = RaycastRenderer(model, 32, RenderProfile(renderer="raycast"))
    then, moment = renderer.render(model, data, 0), Moment.of(model, data)
    for _ in range(50):
        mujoco.mj_step(model, data)
    now = renderer.render(model, data, 0)
    assert np.any(now != then)
    with moment.recalled(model, data):
        np.testing.assert_array_equal(renderer.render(model, data, 0), then)
    np.testing.assert_array_equal(renderer.render(model, data, 0), now)


def test_a_scene_is_as_it_was_when_a_picture_fails(scene):
    model, data = scene
    moment = Moment.of(model, data)
    mujoco.mj_step(model, data)
    now = data.geom_xpos.copy()
    with pytest.raises(ValueError, match="no film"), moment.recalled(model, data):
        raise ValueError("no film")
    np.testing.assert_array_equal(data.geom_xpos, now)
