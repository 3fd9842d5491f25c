"""A policy is evaluated with the kind of pictures it was trained on, where it can act at all."""

import json
from dataclasses import replace

import pytest

from plait.cli import main
from plait.compare.environment import EnvFactory, check_fit, render_options, spec_of, view_of
from plait.compare.evaluate import EvaluationOptions, Plan
from plait.config import Component, DataSpec, PolicyConfig, from_dict
from plait.data.lerobot.info import recorded_view
from plait.data.normalize import Normalizer
from plait.envs.opengl import RenderProfile, find_platform
from plait.errors import OptionError, ShapeError, UnknownNameError
from plait.evaluation.stress.policies import Checked
from plait.policy import Policy, build_policy

VIEW = {"renderer": "raycast", "supersample": 1}


def policy(*, cameras=("base",), proprio_dim=8, action_dim=7, view=None) -> Policy:
    config = PolicyConfig(fusion=Component(name="concat"), width=16, action_horizon=2)
    data = DataSpec(
        cameras=cameras,
        image_size=16,
        proprio_dim=proprio_dim,
        action_dim=action_dim,
        vocabulary=("the",),
        view=view or {},
    )
    return build_policy(config, data, Normalizer(proprio_dim=proprio_dim, action_dim=action_dim), 0)


def factory(of: Policy, env: str = "tabletop/touch") -> EnvFactory:
    return EnvFactory(env, of.cameras, of.image_size, view=view_of(of))


def test_a_checkpoint_keeps_how_pictures_were_taken(tmp_path):
    policy(view=VIEW).save(tmp_path)
    loaded = Policy.load(tmp_path)
    assert view_of(loaded) == VIEW
    assert view_of(Checked(loaded, "it")) == VIEW


def test_a_checkpoint_of_before_has_no_view(tmp_path):
    policy(view=VIEW).save(tmp_path)
    path = tmp_path / "policy.json"
    header = json.loads(path.read_text())
    del header["data"]["view"]
    path.write_text(json.dumps(header))
    assert view_of(Policy.load(tmp_path)) == {}


def test_a_policy_of_ones_own_has_no_view():
    class Own:
        cameras, observation_window, action_horizon = ("base",), 1, 1

        def predict(self, observation):
            raise NotImplementedError

    assert spec_of(Own()) is None
    assert view_of(Own()) == {}
    assert check_fit(Own(), "own", EnvFactory("tabletop/touch", ("base",), 16)) == 7


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, {}),
        ({"plait": {"format": "rlds"}}, {}),
        ({"plait": {"view": VIEW}}, VIEW),
        ({"plait": {"view": "opengl"}}, {}),
        ({"plait": ["view"]}, {}),
    ],
)
def test_the_view_is_read_from_what_plait_recorded(info, expected):
    assert recorded_view(info) == expected


def test_only_environments_that_know_several_views_are_told():
    assert render_options("tabletop/touch", VIEW) == {}
    assert render_options("metaworld/MT10", VIEW) == {"render": VIEW}
    assert render_options("metaworld/MT10", {}) == {}
    with pytest.raises(UnknownNameError, match="metaworld/drawer-open-v3"):
        render_options("metaworld/drawer-opn", VIEW)


def test_a_policy_that_fits_is_let_through():
    fitting = policy(view=VIEW)
    assert check_fit(fitting, "it", factory(fitting)) == 7


@pytest.mark.parametrize("sizes", [{"proprio_dim": 4}, {"action_dim": 4}])
def test_a_policy_of_another_robot_is_refused(sizes):
    other = policy(**sizes)
    found = (sizes.get("proprio_dim", 8), sizes.get("action_dim", 7))
    with pytest.raises(ShapeError) as error:
        check_fit(other, "runs/film", factory(other))
    assert f"(state, action) of runs/film has shape {found}, but (8, 7)" in str(error.value)


def test_a_policy_with_another_camera_is_refused():
    other = policy(cameras=("corner2",))
    with pytest.raises(OptionError, match=r"runs/film reads the cameras corner2, but tabletop/tou"):
        check_fit(other, "runs/film", factory(other))
    with pytest.raises(UnknownNameError, match="did you mean 'tabletop/touch'"):
        check_fit(other, "runs/film", factory(other, "tabletop/tuch"))


@pytest.mark.parametrize("command", ["evaluate", "stress"])
def test_the_command_line_refuses_it_before_anything_is_played(command, tmp_path, capsys):
    folder = tmp_path / "policy"
    policy(action_dim=4, proprio_dim=4).save(folder)
    out = ["--out", str(tmp_path / "out")] if command == "stress" else []
    assert main([command, str(folder), "--env", "tabletop/touch", "--episodes", "1", *out]) == 2
    assert "(state, action) of" in capsys.readouterr().err
    assert not (tmp_path / "out" / "cells").exists()


def test_pictures_are_taken_as_in_training():
    pytest.importorskip("metaworld")
    trained = policy(cameras=("corner2",), proprio_dim=4, action_dim=4, view=VIEW)
    make = factory(trained, "metaworld/push-v3")
    assert check_fit(trained, "it", make) == 4
    assert make().unwrapped.profile.renderer == "raycast"
    assert make().unwrapped.profile.supersample == 1


@pytest.mark.parametrize(("render", "is_of_training"), [(None, True), ("opengl", False)])
def test_pictures_of_another_kind_can_be_asked_for(render, is_of_training, tmp_path):
    pytest.importorskip("metaworld")
    if render == "opengl" and find_platform() is None:
        pytest.skip("no OpenGL library is installed")
    view = RenderProfile.of("raycast").to_dict()
    policy(cameras=("corner2",), proprio_dim=4, action_dim=4, view=view).save(tmp_path)
    options = EvaluationOptions(policy=str(tmp_path), env="metaworld/push-v3", render=render)
    plan = Plan(replace(options, execution_horizon=1))
    wanted = RenderProfile.of(render or "raycast").to_dict()
    assert plan.setup.env_factory(plan.policy).view == plan.setup.view == wanted
    assert plan.is_view_of_training == is_of_training
    assert ("render" in plan.identity) != is_of_training


def test_old_descriptions_of_data_can_be_read():
    fields = {"cameras": ["base"], "image_size": 16, "proprio_dim": 8, "action_dim": 7}
    assert from_dict(DataSpec, fields).view == {}
