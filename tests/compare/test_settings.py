import json

import pytest

from plait.cli.compare import Compare
from plait.compare.family_defaults import in_environment
from plait.compare.settings import (
    FUSIONS,
    PRESETS,
    Arm,
    CompareSettings,
    parse_duration,
    preset,
    run_config,
)
from plait.config import Component, PolicyConfig
from plait.errors import OptionError, UnknownNameError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400)]
)
def test_durations_are_read_in_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "10 m", "m", "ten minutes", "10m!"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(OptionError, match="must be a duration such as 90s, 10m or 2h"):
        parse_duration(text)


def test_every_preset_is_valid():
    for settings in PRESETS.values():
        settings.validate()


def test_a_misspelt_preset_suggests_the_right_one():
    with pytest.raises(UnknownNameError, match="unknown preset 'smok'; did you mean 'smoke'"):
        preset("smok")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_seeds": 0}, "the number of seeds is 0, but must be at least 1"),
        ({"fusions": ()}, "the number of fusions is 0"),
        ({"fusions": ("film", "film")}, "a strategy is named twice: film, film"),
        ({"execution_horizon": 99}, "must lie between 1 and the action horizon"),
        ({"execution_horizon": 0}, "must lie between 1 and the action horizon"),
    ],
)
def test_settings_that_make_no_comparison_are_refused(change, message):
    with pytest.raises(OptionError, match=message):
        CompareSettings(**change).validate()


def test_an_arm_has_a_name_for_people_and_one_for_folders():
    control = Arm(fusion="film", control="instruction_masked")
    assert control.name == "film, instruction masked"
    assert control.folder == "film-instruction-masked"
    assert Arm(fusion="my.module:Mine").folder == "my.module-Mine"


def test_a_control_hides_its_modality_and_changes_nothing_else():
    settings = CompareSettings()
    policy = PolicyConfig(fusion=Component(name="film"))
    plain = run_config(settings, Arm(fusion="film"), 3, "D", policy)
    control = run_config(settings, Arm(fusion="film", control="images_masked"), 3, "D", policy)
    assert plain.masked == ()
    assert control.masked == ("vision",)
    assert plain.training.seed == 3
    assert (plain.data, plain.policy, plain.training) == (
        control.data,
        control.policy,
        control.training,
    )


def test_an_environment_of_another_family_comes_with_its_cameras_size_and_noise():
    full = preset("full")
    moved = in_environment(full, "metaworld/MT10", None)
    assert (moved.env, moved.holdout_env) == ("metaworld/MT10", None)
    assert (moved.cameras, moved.image_size, moved.noise) == (("corner2",), 96, 0.3)
    assert moved.num_demonstrations == 500
    assert in_environment(full, "metaworld/push-v3", None).num_demonstrations == 50
    assert moved.training == full.training
    assert in_environment(full, "tabletop/pick", None).cameras == full.cameras
    with pytest.raises(UnknownNameError, match="did you mean 'metaworld/MT10'"):
        in_environment(full, "metaworld/MT11", None)


def test_recorded_pictures_keep_their_size(tmp_path):
    picture = {"dtype": "image", "shape": [48, 48, 3]}
    numbers = {"dtype": "float32", "shape": [4]}
    info = {
        "codebase_version": "v3.0",
        "fps": 80,
        "total_frames": 1,
        "total_episodes": 1,
        "data_path": "data",
        "features": {
            "observation.images.corner2": picture,
            "observation.state": numbers,
            "action": numbers,
        },
    }
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps(info))
    assert in_environment(preset("default"), "metaworld/MT10", tmp_path).image_size == 48
    assert in_environment(preset("default"), "tabletop/pick", tmp_path).image_size == 64


def test_what_is_named_on_the_command_line_goes_before_the_family():
    command = Compare(
        env="metaworld/MT10",
        fusion="all",
        cameras="gripperPOV",
        image_size=32,
        horizon=8,
        execution_horizon=4,
    )
    settings = command._settings()
    settings.validate()
    assert settings.fusions == FUSIONS
    assert (settings.cameras, settings.image_size) == (("gripperPOV",), 32)
    assert (settings.policy.action_horizon, settings.execution_horizon) == (8, 4)
