"""`plait compare --robust` and the options of `plait train`: arms, plans and what is recorded."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from plait.cli import main
from plait.compare import plan as plan_module
from plait.compare import single
from plait.compare.arm import RESULT_FILE
from plait.compare.plan import _as_of_now, _steps_within, _wanted
from plait.compare.settings import RETRIEVAL, ROBUST, Arm, CompareSettings, run_config
from plait.config import Component, PolicyConfig, RobustConfig
from plait.data.dataset import Demonstrations
from plait.errors import OptionError
from plait.evaluation.statistics import compare_pairs
from plait.policy import Policy
from plait.results import Comparison, RunResult, load_result
from plait.training.run import check_numbers

TINY = ["--steps", "2", "--episodes", "2", "--demonstrations", "4", "--workers", "2"]
ARGUMENTS = ["compare", "--preset", "smoke", "--fusion", "film", "--no-controls", *TINY]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("robust") / "out"
    assert main([*ARGUMENTS, "--robust", "--json", "--out", str(out)]) == 0
    return out


def test_both_ways_are_trained_saved_and_compared(finished):
    comparison = load_result(finished / "results.json", Comparison)
    assert {(arm.arm, arm.robust) for arm in comparison.arms} == {
        ("film", False),
        ("film, robust", True),
    }
    (pair,) = comparison.comparisons
    assert {pair.first, pair.second} == {"film", "film, robust"}
    for name, is_robust in (("film", False), ("film-robust", True)):
        folder = finished / "runs" / name / "seed-0"
        assert load_result(folder / RESULT_FILE, RunResult).robust is is_robust
        assert Policy.load(folder / "policy").config.missing_tokens is is_robust
        robust = json.loads((folder / "config.json").read_text())["training"]["robust"]
        assert robust["modality_dropout"] == ({"every": 0.1} if is_robust else {})
    assert "film, robust" in (finished / "report.html").read_text()


def test_a_control_is_compared_with_its_own_network_alone(finished):
    runs = [
        load_result(finished / "runs" / name / "seed-0" / RESULT_FILE, RunResult)
        for name in ("film", "film-robust")
    ]
    blind = replace(runs[1], arm="film, robust, images masked", control="images_masked")
    pairs = {frozenset((pair.first, pair.second)) for pair in compare_pairs([*runs, blind])}
    assert pairs == {
        frozenset(("film", "film, robust")),
        frozenset(("film, robust", "film, robust, images masked")),
    }


def test_a_plan_from_before_there_were_robust_arms_is_the_same_plan(finished):
    saved = json.loads((finished / "plan.json").read_text())["wanted"]
    for wanted in (saved, _wanted(CompareSettings(), "print", 60.0)):
        old = json.loads(json.dumps(wanted))
        del old["robust"], old["training"]["robust"], old["policy"]["missing_tokens"]
        assert _as_of_now(old) == wanted
    assert _as_of_now({"no": "settings"}) == {"no": "settings"}
    of_a_newer_plait = {**saved, "colour": "green"}
    assert _as_of_now(of_a_newer_plait) == of_a_newer_plait


def test_every_strategy_comes_twice_and_retrieval_once():
    settings = CompareSettings(
        fusions=("film", "late"), inits=("none", "aligned"), fractions=(0.5, 1.0), has_robust=True
    )
    names = [arm.name for arm in settings.arms() if arm.train_fraction == 1]
    assert names == [
        "film",
        "late",
        "film, robust",
        "late, robust",
        "film, aligned",
        "late, aligned",
        "retrieval, aligned",
        "film, aligned, robust",
        "late, aligned, robust",
    ]
    assert not any(arm.robust for arm in settings.arms() if arm.fusion == RETRIEVAL)
    assert not any(arm.robust for arm in CompareSettings().arms())


def test_a_robust_arm_differs_in_its_training_and_its_tokens_alone():
    settings = CompareSettings()
    policy = PolicyConfig(fusion=Component(name="film"))
    plain = run_config(settings, Arm(fusion="film"), 3, "D", policy)
    robust = run_config(settings, Arm(fusion="film", robust=True), 3, "D", policy)
    assert plain.training.robust == RobustConfig()
    assert robust.training == replace(plain.training, robust=ROBUST)
    assert robust.policy == replace(plain.policy, missing_tokens=True)
    assert (robust.data, robust.masked, robust.init) == (plain.data, plain.masked, plain.init)
    check_numbers(robust)


def test_names_of_robust_controls():
    arm = Arm(fusion="film", robust=True, control="images_masked")
    assert (arm.name, arm.folder) == ("film, robust, images masked", "film-robust-images-masked")


def test_a_budget_pays_for_both_ways(monkeypatch):
    settings = CompareSettings(has_robust=True)

    def steps_within(_budget, of_settings, policies, *_rest):
        is_robust = of_settings.training.robust == ROBUST
        assert all(policy.missing_tokens is is_robust for policy in policies.values())
        return 3000 if is_robust else 6000

    monkeypatch.setattr(plan_module, "steps_within", steps_within)
    policies = {"film": PolicyConfig(fusion=Component(name="film"))}
    rest = (policies, Path("data"), Demonstrations.__new__(Demonstrations), 1)
    # A step of either takes 1 / 6000 and 1 / 3000 of the budget.
    assert _steps_within(60.0, settings, *rest) == 2000
    plain = replace(settings, has_robust=False)
    assert _steps_within(60.0, plain, *rest) == 6000
    monkeypatch.setattr(plan_module, "steps_within", lambda *_: 150)
    with pytest.raises(OptionError, match="with and without robust training, less than the warm"):
        _steps_within(60.0, settings, *rest)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modality-dropout", "0.5"], "add up to 1.5, but must stay below 1"),
        (["--augment", "gausian_blur"], "unknown corruption 'gausian_blur'; did you mean"),
        (["--ogm-ge", "0.5"], "there are no auxiliary heads to tell which modality dominates"),
    ],
)
def test_bad_options_of_train_are_refused_before_anything_is_read(
    capsys, tmp_path, arguments, message
):
    command = ["train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main([*command, *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_train_takes_all_of_it(finished, capsys, tmp_path):
    command = ["train", "--data", str(finished / "data"), "--cameras", "base", "--json"]
    command += ["--steps", "2", "--batch-size", "8", "--modality-dropout", "0.15"]
    command += ["--camera-dropout", "base=0.15", "--missing-tokens", "--auxiliary", "0.3"]
    command += ["--augment", "gaussian_noise,proprio_noise", "--ogm-ge", "0.5"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    summary = json.loads(capsys.readouterr().out)
    policy = Policy.load(tmp_path / "out" / "policy")
    assert policy.config.missing_tokens
    assert summary["parameters"] == policy.num_parameters()


INGREDIENTS = {
    "dropout": ["--modality-dropout", "0.1", "--camera-dropout", "0.25"],
    "tokens": ["--missing-tokens"],
    "corruptions": [
        "--augment",
        ",".join(part.name for part in ROBUST.augmentation),
        "--augment-probability",
        "0.4",
        "--augment-severity",
        "3",
    ],
}


@pytest.mark.parametrize("left_out", [None, *INGREDIENTS])
def test_train_takes_the_recipe_of_compare_and_each_ingredient_of_it(monkeypatch, left_out):
    taken = [option for name, part in INGREDIENTS.items() if name != left_out for option in part]
    asked = []
    monkeypatch.setattr(single, "train_one", lambda run, _out, **_: asked.append(run) or {})
    command = ["train", "--data", "D", "--cameras", "base,wrist", "--steps", "8000", "--json"]
    command += ["--fusion", "film", "--width", "48", "--batch-size", "64"]
    assert main([*command, *taken]) == 0
    training = replace(CompareSettings().training, num_steps=8000)
    settings = CompareSettings(cameras=("base", "wrist"), training=training)
    arm = Arm(fusion="film", robust=True)
    whole = run_config(settings, arm, 0, "D", settings.policy)
    robust, nothing = whole.training.robust, RobustConfig()
    without = {
        None: robust,
        "dropout": replace(robust, modality_dropout={}, camera_dropout={}),
        "tokens": robust,
        "corruptions": replace(
            robust,
            augmentation=(),
            augmentation_probability=nothing.augmentation_probability,
            augmentation_severity=nothing.augmentation_severity,
        ),
    }[left_out]
    expected = replace(
        whole,
        training=replace(training, robust=without),
        policy=replace(whole.policy, missing_tokens=left_out != "tokens"),
    )
    assert asked == [expected]
