import pytest

from plait.compare.settings import (
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
