"""`plait compare --init`: towers of the same share, arms that start from them, retrieval."""

import json

import pytest

from plait.aligner import Aligner
from plait.cli import main
from plait.compare.arm import RESULT_FILE
from plait.compare.settings import (
    AlignmentSettings,
    Arm,
    CompareSettings,
    align_config,
    objective_of,
    run_config,
)
from plait.config import Component, PolicyConfig, TrainingConfig
from plait.errors import OptionError, UnknownNameError
from plait.policy import Policy
from plait.results import Comparison, RunResult, load_result
from plait.results.alignment import AlignmentResult
from plait.retrieval import RetrievalPolicy

ARGUMENTS = ["compare", "--preset", "smoke", "--fusion", "film", "--no-controls", "--workers", "2"]
ARGUMENTS += ["--init", "none,aligned", "--fractions", "0.5,1", "--json"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("starts") / "out"
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    return out


def runs_of(out):
    comparison = load_result(out / "results.json", Comparison)
    return {
        (run.fusion, run.init, run.train_fraction): (run, out / folder)
        for folder in comparison.runs
        for run in [load_result(out / folder / RESULT_FILE, RunResult)]
    }


def test_every_start_and_share_has_its_row_and_retrieval_has_its_own(finished):
    assert set(runs_of(finished)) == {
        (fusion, init, share)
        for share in (0.5, 1.0)
        for fusion, init in (("film", "none"), ("film", "aligned"), ("retrieval", "aligned"))
    }


def test_towers_and_their_policies_learn_from_the_same_share(finished):
    for (fusion, init, share), (_, folder) in runs_of(finished).items():
        if fusion == "retrieval" or init == "none":
            continue
        config = json.loads((folder / "config.json").read_text())
        towers = finished / "towers" / f"info_nce-{share:g}" / "seed-0"
        assert config["init"] == str(towers)
        assert config["data"]["train_fraction"] == share
        aligned = json.loads((towers / "config.json").read_text())
        assert aligned["data"]["train_fraction"] == share
        assert Aligner.load(towers / "aligner").config.width == config["policy"]["width"]
    results = [
        load_result(finished / "towers" / f"info_nce-{share:g}" / "seed-0/results.json", kind)
        for share, kind in ((0.5, AlignmentResult), (1, AlignmentResult))
    ]
    assert results[0].num_train_episodes < results[1].num_train_episodes


def test_the_time_of_a_start_counts(finished):
    runs = runs_of(finished)
    towers = load_result(finished / "towers/info_nce-1/seed-0/results.json", AlignmentResult)
    assert runs["film", "aligned", 1.0][0].cost.train_seconds > towers.curve[-1].seconds
    assert runs["retrieval", "aligned", 1.0][0].cost.train_seconds == towers.curve[-1].seconds


def test_policies_of_both_kinds_can_be_loaded(finished):
    runs = runs_of(finished)
    assert Policy.load(runs["film", "aligned", 1.0][1] / "policy").num_parameters() > 0
    library = RetrievalPolicy.load(runs["retrieval", "aligned", 0.5][1] / "policy").keys
    whole = RetrievalPolicy.load(runs["retrieval", "aligned", 1.0][1] / "policy").keys
    assert 0 < len(library) < len(whole)


def test_the_report_has_its_section(finished):
    page = (finished / "report.html").read_text()
    assert "Alignment and amount of data" in page
    assert "1 way to fuse" in page


def test_a_second_call_aligns_nothing_again(finished):
    files = [*finished.rglob("checkpoint.safetensors"), *finished.rglob("result.json")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert main([*ARGUMENTS, "--out", str(finished)]) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--init", "aligne"], "unknown init (or folder of towers) 'aligne'; did you mean"),
        (["--init", "aligned:info_nec"], "did you mean 'info_nce'"),
        (["--init", "none,none"], "the same init is named twice: none, none"),
        (["--fractions", "0.1,much"], "must be numbers separated by commas"),
        (["--fractions", "0"], "a share of the demonstrations is 0.0"),
        (["--fractions", "1.5"], "a share of the demonstrations is 1.5"),
        (["--init", "aligned", "--align-steps", "0"], "the number of steps is 0"),
    ],
)
def test_bad_starts_are_refused_before_anything_is_recorded(capsys, tmp_path, arguments, message):
    out = tmp_path / "out"
    command = ["compare", "--preset", "smoke", "--fusion", "film", "--out", str(out)]
    assert main([*command, *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (out / "data").exists()


def test_objectives_are_named_behind_a_colon():
    assert objective_of("aligned") == "info_nce"
    assert objective_of("aligned:sigmoid") == "sigmoid"
    assert objective_of("none") is None
    assert objective_of("some/folder") is None


def test_arms_say_what_they_start_from():
    assert Arm(fusion="film", init="aligned", train_fraction=0.1).name == (
        "film, aligned, 10% of the data"
    )
    assert Arm(fusion="film", init="a/b/mine", control="images_masked").name == (
        "film, from mine, images masked"
    )


def test_towers_have_the_encoders_of_the_policies():
    policy = PolicyConfig(
        fusion=Component(name="film"), vision=Component(name="vit"), width=24, action_horizon=4
    )
    alignment = AlignmentSettings(training=TrainingConfig(num_steps=7), action_horizon=6)
    settings = CompareSettings(policy=policy, alignment=alignment, image_size=32)
    run = run_config(settings, Arm(fusion="film", train_fraction=0.3), 5, "D", policy)
    towers = align_config(settings, "aligned:sigmoid", 0.3, 5, "D")
    assert (towers.aligner.vision, towers.aligner.width) == (policy.vision, policy.width)
    assert (towers.aligner.objective.name, towers.aligner.action_horizon) == ("sigmoid", 6)
    assert (towers.training.num_steps, towers.training.seed) == (7, 5)
    # The same episodes: the same share, held out by the same seed.
    assert towers.data == run.data


def test_settings_that_start_nowhere_are_refused():
    with pytest.raises(UnknownNameError, match="unknown init"):
        CompareSettings(inits=("nowhere",)).validate()
    with pytest.raises(OptionError, match="aligned chunks have only 1 steps"):
        CompareSettings(
            inits=("aligned",), alignment=AlignmentSettings(action_horizon=1)
        ).validate()
