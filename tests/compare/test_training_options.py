"""Trainings are named by what differs between their configurations."""

from dataclasses import replace

import pytest

from plait.action_spec import ActionSpec
from plait.compare.settings import Arm, CompareSettings, run_config
from plait.compare.training_options import differences, names_of, read_training
from plait.config import Component, PolicyConfig, RobustConfig, to_json

SETTINGS = CompareSettings()
PLAIN = run_config(SETTINGS, Arm(fusion="film"), 0, "demos", SETTINGS.policy)
ROBUST = run_config(SETTINGS, Arm(fusion="film", robust=True), 0, "demos", SETTINGS.policy)


def trained(base=PLAIN, *, policy=None, robust=None, **changes):
    made = replace(base, policy=replace(base.policy, **(policy or {})))
    training = replace(made.training, **changes)
    if robust is not None:
        training = replace(training, robust=RobustConfig(**robust))
    return replace(made, training=training)


def name(training, base=PLAIN):
    return names_of([differences(training, base)])[0]


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (ROBUST, "dropout + tokens + corruptions"),
        (trained(robust={"modality_dropout": {"every": 0.1}}), "dropout"),
        (trained(robust={"camera_dropout": {"wrist": 0.3}}), "dropout"),
        (trained(policy={"missing_tokens": True}), "tokens"),
        (trained(robust={"augmentation": (Component(name="jpeg"),)}), "corruptions"),
        (trained(robust={"auxiliary_weight": 0.3, "ogm_ge": 0.5}), "auxiliary heads + OGM-GE"),
        (trained(policy={"fusion": Component(name="late")}), "late in place of film"),
        (trained(policy={"vision": Component(name="vit")}), "vision vit in place of conv"),
        (trained(num_steps=9), "steps 9 in place of 2200"),
        (replace(PLAIN, init="towers"), "init towers in place of none"),
        (
            trained(policy={"actions": ActionSpec(mode="relative", clip=True)}),
            "actions mode relative in place of absolute and actions clip True in place of False",
        ),
    ],
)
def test_each_difference_is_named(training, expected):
    assert name(training) == expected


def test_what_is_taken_away_is_named_so():
    assert name(PLAIN, ROBUST) == "no dropout + no tokens + no corruptions"
    without = differences(trained(ROBUST, policy={"missing_tokens": False}), ROBUST)
    assert [(each.short, each.full) for each in without] == [
        ("no tokens", "without tokens for what is missing")
    ]


def test_in_full_the_numbers_are_told():
    full = [each.full for each in differences(ROBUST, PLAIN)]
    assert full[:2] == ["dropout of modalities 0.1 and cameras 0.25", "tokens for what is missing"]
    assert full[2].startswith("brightness, contrast, ")
    assert full[2].endswith("in 40% of the samples, up to severity 3")


def test_two_strengths_of_one_ingredient_are_told_apart():
    weak, strong = (trained(robust={"modality_dropout": {"every": p}}) for p in (0.1, 0.3))
    assert names_of([differences(each, PLAIN) for each in (weak, strong)]) == [
        "dropout of modalities 0.1",
        "dropout of modalities 0.3",
    ]
    assert name(strong, weak) == "dropout of modalities 0.3"


def test_what_changes_no_policy_is_no_difference():
    assert differences(trained(seed=7, validation_interval=9, checkpoint_interval=9), PLAIN) == []
    spelled_out = Component(name="film", options={"hidden_dim": 128})
    assert differences(trained(policy={"fusion": spelled_out}), PLAIN) == []
    # A corruption that no sample gets is none.
    unused = {"augmentation": (Component(name="jpeg"),), "augmentation_probability": 0.0}
    assert differences(trained(robust=unused), PLAIN) == []


def test_options_of_one_strategy_are_a_difference():
    narrow = trained(policy={"fusion": Component(name="film", options={"hidden_dim": 64})})
    assert name(narrow) == "film with hidden_dim 64 in place of its defaults"


def test_a_training_without_a_difference_has_no_name():
    with pytest.raises(ValueError, match="without a difference"):
        names_of([[]])


def test_the_configuration_beside_a_policy_is_read(tmp_path):
    (tmp_path / "config.json").write_text(to_json(ROBUST))
    assert read_training(str(tmp_path / "policy")) == ROBUST
    assert read_training(str(tmp_path / "elsewhere" / "policy")) is None
    (tmp_path / "config.json").write_text("{")
    assert read_training(str(tmp_path / "policy")) is None


def test_other_policy_settings_are_named():
    wide = replace(PLAIN, policy=PolicyConfig(fusion=Component(name="film"), width=96))
    assert name(wide) == "width 96 in place of 48"
