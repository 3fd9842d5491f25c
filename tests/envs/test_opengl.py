"""Pictures by OpenGL: of the right model, whatever was drawn in between."""

import mujoco
import numpy as np
import pytest

from plait.envs.opengl import OffscreenRenderer, RenderProfile
from plait.envs.opengl_library import find_platform

pytestmark = pytest.mark.skipif(find_platform() is None, reason="no OpenGL library is installed")

SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <camera name="above" pos="0 0 3"/>
    <geom type="box" size=".5 .5 .5" rgba="{colour} 1"/>
    <geom type="box" size=".1 .1 .1" pos="0 0 .6" rgba="1 1 1 1" group="4"/>
    <geom type="box" size=".2 .2 .1" pos="0 0 .6" rgba="1 1 1 1" group="0"/>
  </worldbody>
</mujoco>
"""
COLOURS = ("1 0 0", "0 1 0", "0 0 1")


def scene(colour: str) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE.format(colour=colour))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_models_that_take_turns_do_not_draw_into_each_others_pictures() -> None:
    scenes = [scene(colour) for colour in COLOURS]
    renderers = [
        OffscreenRenderer(model, size, RenderProfile())
        for (model, _), size in zip(scenes, (32, 48, 64), strict=True)
    ]
    for turn in (0, 1, 2, 0, 2, 1, 0):
        picture = renderers[turn].render(*scenes[turn], camera=0)
        # Beside the white box in the middle, the box has the model's colour.
        edge = picture[picture.shape[0] // 3, picture.shape[1] // 3].astype(int)
        assert edge.argmax() == turn
        assert edge[turn] > 2 * np.delete(edge, turn).max()


def test_hidden_groups_are_not_drawn() -> None:
    model, data = scene("1 0 0")
    shown = OffscreenRenderer(model, 32, RenderProfile()).render(model, data, camera=0)
    hidden = OffscreenRenderer(model, 32, RenderProfile(), hidden_groups=(0,))
    assert shown[16, 16, 1] > 100
    assert hidden.render(model, data, camera=0)[16, 16, 1] < 50
