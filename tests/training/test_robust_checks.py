"""Numbers, names and words of a robust training are checked before anything is recorded."""

import json
from dataclasses import asdict, replace

import pytest
from robust_fakes import FakeDemonstrations
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from training_fakes import CONFIG, VALIDATION, batch_at, make_policy

from plait.cli.options import Robustness
from plait.config import (
    Component,
    DataConfig,
    PolicyConfig,
    RobustConfig,
    RunConfig,
    TrainingConfig,
    from_dict,
    to_json,
)
from plait.errors import CheckpointError, OptionError, UnknownNameError
from plait.training.loop import CHECKPOINT_FILE, fit
from plait.training.run import CONFIG_FILE, check_numbers, refuse_other_run, train


def run(language=None, **robust):
    return RunConfig(
        data=DataConfig(path="D"),
        policy=PolicyConfig(
            fusion=Component(name="film"), **({"language": language} if language else {})
        ),
        training=TrainingConfig(robust=RobustConfig(**robust)),
    )


def parts(*names):
    return tuple(Component(name=name) for name in names)


@pytest.mark.parametrize(
    ("robust", "message"),
    [
        ({"modality_dropout": {"every": 1.0}}, "dropout of every modality is 1, but must be 0 or "),
        ({"modality_dropout": {"vision": -0.1}}, "dropout of the modality 'vision' is -0.1"),
        ({"modality_dropout": {"every": 0.4}}, "add up to 1.2, but must stay below 1"),
        (
            {"modality_dropout": {"visoin": 0.1}},
            "unknown modality of the dropout 'visoin'; did you",
        ),
        ({"camera_dropout": {"base": 1.5}}, "dropout of the camera 'base' is 1.5"),
        (
            {"augmentation_probability": 1.1},
            "probability of augmentation is 1.1, but must be 0 or m",
        ),
        ({"augmentation_severity": 6}, "largest severity of augmentation is 6, but must be 1, 2"),
        (
            {"augmentation": parts("gausian_blur")},
            "unknown corruption 'gausian_blur'; did you mean 'gaussian_blur'",
        ),
        ({"augmentation": parts("latency")}, "'latency' needs what came before in the episode"),
        ({"augmentation": parts("action_delay")}, "'action_delay' needs what came before"),
        ({"augmentation": parts("paraphrase")}, "cannot build paraphrase"),
        ({"augmentation": parts("typos")}, "'typos' writes words that are in no instruction"),
        ({"auxiliary_weight": -1.0}, "weight of the auxiliary heads is -1"),
        ({"auxiliary_weight": 0.3, "ogm_ge": float("nan")}, "ogm-ge is nan"),
        ({"ogm_ge": 0.5}, "there are no auxiliary heads to tell which modality dominates"),
    ],
)
def test_what_no_training_can_have_is_refused(robust, message):
    with pytest.raises((OptionError, UnknownNameError)) as caught:
        check_numbers(run(**robust))
    assert message in str(caught.value)


def test_a_camera_that_is_not_there_cannot_be_dropped(tmp_path):
    unknown = run(camera_dropout={"wirst": 0.1})
    with pytest.raises(UnknownNameError, match="unknown camera of the dropout 'wirst'; did you me"):
        train(unknown, tmp_path / "out", demonstrations=FakeDemonstrations())
    assert not (tmp_path / "out").exists()


def test_what_a_training_can_have_is_not():
    dropout = {"modality_dropout": {"every": 0.33}, "camera_dropout": {"every": 0.99}}
    named = parts("gaussian_noise", "masked_words", "proprio_noise", "dropped_camera")
    check_numbers(run(augmentation=named, augmentation_probability=1.0, **dropout))
    check_numbers(run(augmentation=parts("typos"), language=Component(name="bytes")))
    masking = Component(name="words", options={"unknown": "mask"})
    check_numbers(run(augmentation=parts("typos"), language=masking))


def test_a_configuration_survives_json():
    value = run(modality_dropout={"every": 0.15}, augmentation=parts("jpeg"), auxiliary_weight=0.3)
    assert from_dict(RunConfig, json.loads(to_json(value))) == value


def test_options_of_the_command_line_become_a_configuration():
    options = Robustness(
        modality_dropout="0.15",
        camera_dropout="base=0.1, wrist=0.3",
        augment="gaussian_noise,gaussian_blur",
        auxiliary=0.3,
        ogm_ge=0.5,
    )
    assert options.config() == RobustConfig(
        modality_dropout={"every": 0.15},
        camera_dropout={"base": 0.1, "wrist": 0.3},
        augmentation=parts("gaussian_noise", "gaussian_blur"),
        auxiliary_weight=0.3,
        ogm_ge=0.5,
    )
    assert Robustness().config() == RobustConfig()


@pytest.mark.parametrize("text", ["much", "vision=", "vision:0.1", "0.1,0.2"])
def test_what_is_no_probability_is_refused(text):
    with pytest.raises(OptionError, match=r"must be a probability, or names|gives 'every' twice"):
        Robustness(modality_dropout=text).config()


# --- Trainings that an older Plait began -------------------------------------------------------


def test_a_checkpoint_from_before_there_were_such_options_goes_on(tmp_path):
    fit(make_policy(), batch_at, CONFIG, folder=tmp_path, validation=VALIDATION)
    path = tmp_path / CHECKPOINT_FILE
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    old = json.loads(header["config"])
    del old["robust"]
    save_file(load_file(path), path, metadata={**header, "config": json.dumps(old)})
    assert fit(make_policy(), batch_at, CONFIG, folder=tmp_path).step == 6
    robust = replace(CONFIG, robust=RobustConfig(auxiliary_weight=0.3))
    with pytest.raises(CheckpointError, match=r"made with other settings \(robust was"):
        fit(make_policy(), batch_at, robust, folder=tmp_path)


def test_a_checkpoint_with_corruptions_goes_on(tmp_path):
    config = replace(CONFIG, robust=RobustConfig(augmentation=parts("jpeg")))
    fit(make_policy(), batch_at, config, folder=tmp_path)
    assert fit(make_policy(), batch_at, config, folder=tmp_path).step == 6


def test_a_run_from_before_there_were_such_options_is_the_same_run(tmp_path):
    old = asdict(run())
    del old["training"]["robust"]
    del old["policy"]["missing_tokens"]
    (tmp_path / CONFIG_FILE).write_text(json.dumps(old))
    (tmp_path / CHECKPOINT_FILE).write_text("")
    refuse_other_run(tmp_path, run())
    with pytest.raises(CheckpointError, match=r"training.robust.ogm_ge was 0.0, is 0.5"):
        refuse_other_run(tmp_path, run(ogm_ge=0.5))
