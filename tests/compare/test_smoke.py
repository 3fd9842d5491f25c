"""The whole of `plait compare`, small: from nothing to the report, twice."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from waiting import wait_until

from plait.cli import main
from plait.compare.arm import RESULT_FILE
from plait.results import Comparison, RunResult, load_result

ARGUMENTS = ["compare", "--preset", "smoke", "--fusion", "concat,film", "--workers", "2", "--json"]

# What a shell runs in the background ignores interrupts, and so does all that is started there.
HEARS_INTERRUPTS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from plait.cli import main
raise SystemExit(main())
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("smoke") / "out"
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    return out


def results_of(out):
    comparison = load_result(out / "results.json", Comparison)
    runs = [load_result(out / folder / RESULT_FILE, RunResult) for folder in comparison.runs]
    return comparison, runs


def test_every_strategy_and_both_controls_of_the_best_are_there(finished):
    comparison, runs = results_of(finished)
    best = next(arm for arm in comparison.arms if arm.control is None)
    assert {arm.fusion for arm in comparison.arms if arm.control is None} == {"concat", "film"}
    controls = {(arm.fusion, arm.control) for arm in comparison.arms if arm.control is not None}
    assert controls == {(best.fusion, "instruction_masked"), (best.fusion, "images_masked")}
    assert not comparison.is_meaningful
    scenes = [[episode.seed for episode in run.episodes] for run in runs]
    assert all(seeds == scenes[0] for seeds in scenes)
    sizes = [run.cost.num_parameters for run in runs]
    assert max(sizes) <= 1.15 * min(sizes)


def test_a_masked_modality_has_no_influence_on_its_control(finished):
    _, runs = results_of(finished)
    for run in runs:
        if run.control is None:
            continue
        shown = next(d for d in run.diagnostics if d.name == "modality_sensitivity")
        values = dict(zip(shown.labels, shown.values, strict=True))
        hidden = {"instruction_masked": "language", "images_masked": "vision"}[run.control]
        assert values[hidden] == 0


def test_the_report_is_one_file_that_loads_nothing(finished):
    page = (finished / "report.html").read_text()
    body = re.sub(r"<script\b.*?</script>", "", page.split("<body", 1)[1], flags=re.DOTALL)
    assert "too small to mean anything" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?:""", body)
    for arm in ("concat", "film"):
        assert arm in body


def test_a_second_call_trains_nothing_again_and_prints_json(finished, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("checkpoint.safetensors")}
    assert len(before) == 4
    assert main([*ARGUMENTS, "--out", str(finished)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["env"] == "tabletop/touch"
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("checkpoint.safetensors")}
    assert after == before


def test_the_same_seed_gives_the_same_numbers_elsewhere(finished, tmp_path):
    out = tmp_path / "out"
    assert main([*ARGUMENTS, "--workers", "1", "--out", str(out)]) == 0
    for first, second in zip(results_of(finished)[1], results_of(out)[1], strict=True):
        assert first.arm == second.arm
        assert first.episodes == second.episodes
        assert first.validation_action_error == second.validation_action_error
        losses = [[p.train_loss for p in run.curve] for run in (first, second)]
        assert losses[0] == losses[1]


def test_other_encoders_and_heads_take_part(tmp_path):
    out = tmp_path / "out"
    parts = ["--vision", "vit", "--language", "bytes", "--head", "flow"]
    arguments = [*ARGUMENTS, *parts, "--fusion", "graph", "--no-controls", "--out", str(out)]
    assert main(arguments) == 0
    comparison, (run,) = results_of(out)
    policy = comparison.settings["policy"]
    assert [policy[key]["name"] for key in ("vision", "language", "head")] == [
        "vit",
        "bytes",
        "flow",
    ]
    shown = {diagnostic.name: diagnostic for diagnostic in run.diagnostics}
    assert shown["edge_weight"].labels[1] == "vision from language"
    assert "vision from language" in (out / "report.html").read_text()


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "one process"])
def test_ctrl_c_stops_cleanly_and_the_next_call_ends_with_the_same_numbers(
    finished, tmp_path, whole_group
):
    out = tmp_path / "out"
    arguments = [*ARGUMENTS, "--no-controls", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", HEARS_INTERRUPTS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: process.poll() is not None or list(out.glob("runs/*/*/config.json")))
        # A terminal interrupts the whole group; `kill -INT` the one process.
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert printed == ""
    assert said.strip().splitlines()[-1].startswith("plait: ")
    assert "Traceback" not in said
    assert not (out / "results.json").exists()
    assert not (out / "report.html").exists()
    assert main(arguments) == 0
    whole = {run.arm: run for run in results_of(finished)[1]}
    runs = results_of(out)[1]
    assert len(runs) == 2
    for run in runs:
        assert run.episodes == whole[run.arm].episodes
        assert [p.train_loss for p in run.curve] == [p.train_loss for p in whole[run.arm].curve]
