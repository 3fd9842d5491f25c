"""Pictures by OpenGL: of the right model, whatever was drawn in between."""

import mujoco
import numpy as np
import pytest

from plait.envs.opengl import OffscreenRenderer, RenderProfile, are_in_sight
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


# As MuJoCo 3.3 writes it, and as later versions do.
FLAT = (
    'orthographic="true"'
    if hasattr(mujoco.MjModel, "cam_orthographic")
    else 'projection="orthographic"'
)


def scattered(seed: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Scatter things of every kind around a camera, on a floor without end."""
    rng = np.random.default_rng(seed)
    kinds = ("sphere", "box", "capsule", "cylinder", "ellipsoid")
    things = "".join(
        f'<geom type="{kinds[number % len(kinds)]}" pos="{x} {y} {z}" size="{a} {b} {c}"'
        f' euler="{a * 900} {b * 900} 0" rgba="{a * 3} {b * 3} {c * 3} 1"/>'
        for number, (x, y, z, a, b, c) in enumerate(
            np.hstack([rng.uniform(-2, 2, (80, 3)), rng.uniform(0.05, 0.3, (80, 3))])
        )
    )
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody><light pos="0 0 3"/>
        <camera name="inside" euler="{rng.uniform(0, 360)} {rng.uniform(0, 360)} 0" fovy="50"/>
        <camera name="flat" {FLAT} fovy="3"/>
        <geom type="plane" size="0 0 1" pos="0 0 -1"/>{things}</worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("seed", range(8))
def test_what_is_out_of_sight_is_left_out_and_makes_no_difference(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = scattered(seed)
    renderer, groups = OffscreenRenderer(model, 64, RenderProfile()), model.geom_group.copy()
    in_sight = are_in_sight(model, data, camera=0)
    assert in_sight[0]  # the floor
    assert 1 < in_sight.sum() < 50
    assert are_in_sight(model, data, camera=1).all()
    pictures = [renderer.render(model, data, camera) for camera in (0, 1)]
    np.testing.assert_array_equal(model.geom_group, groups)
    monkeypatch.setattr("plait.envs.opengl.are_in_sight", lambda *_: np.ones(model.ngeom, bool))
    for camera, picture in enumerate(pictures):
        np.testing.assert_array_equal(renderer.render(model, data, camera), picture)


def test_what_is_out_of_sight_still_casts_its_shadow() -> None:
    scene = """<mujoco><worldbody>
      <light directional="true" pos="0 0 5" dir="1 0 -1"/>
      <camera pos="0 0 1" fovy="50"/>
      <geom type="plane" size="0 0 1"/>
      {thing}
    </worldbody></mujoco>"""
    thing = '<geom type="box" size=".3 .3 .1" pos="-2 0 2"/>'
    pictures = []
    for each in (thing, ""):
        model = mujoco.MjModel.from_xml_string(scene.format(thing=each))
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        if each:
            assert not are_in_sight(model, data, camera=0)[1]
        profile = RenderProfile(has_shadows=True)
        pictures.append(OffscreenRenderer(model, 64, profile).render(model, data, 0).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() > 20
