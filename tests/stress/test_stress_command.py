"""The whole of `plait stress`, small: cells, resumption, results, report, and what it refuses."""

import json
import shutil

import pytest
import torch
from stress_fakes import COMMANDS, ReadingPolicy, write_demonstrations

from plait.cli import main
from plait.results import load_result
from plait.results.stress import StressResult
from plait.types import ActionChunk

NAMES = "gaussian_noise,other_instruction,proprio_noise,action_delay"
PLAY = ("--episodes", "2", "--severities", "1,5", "--corruptions", NAMES, "--workers", "1")


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    root = tmp_path_factory.mktemp("command") / "demos"
    return write_demonstrations(root, tuple(COMMANDS) * 50)


def run(out, *arguments, policy="stress_fakes:ReadingPolicy"):
    return main(["stress", policy, "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def finished(demos, tmp_path_factory):
    out = tmp_path_factory.mktemp("stressed") / "out"
    assert run(out, "--data", str(demos), *PLAY) == 0
    return out


def refused(capsys, out, *arguments, policy="stress_fakes:ReadingPolicy"):
    code = run(out, *arguments, policy=policy)
    output = capsys.readouterr()
    lines = [line for line in output.err.splitlines() if line.startswith("plait:")]
    assert (code, output.out, len(lines)) == (2, "", 1)
    assert "Traceback" not in output.err
    return lines[0]


def test_the_result_holds_all_that_was_asked_for(finished):
    result = load_result(finished / "results.json", StressResult)
    played = {(s.condition.name, s.condition.severity) for s in result.closed.scores}
    assert {(name, severity) for name in NAMES.split(",") for severity in (1, 5)} <= played
    asked = {score.condition.name for score in result.open.scores}
    assert "gaussian_noise" in asked
    assert "action_delay" not in asked
    for loop in (result.closed, result.open):
        assert len([s for s in loop.scores if s.condition.kind == "missing"]) == 7
        assert len([s for s in loop.scores if s.condition.kind == "camera"]) == 2
        assert {each.modality for each in loop.contributions} == {"vision", "language", "proprio"}
    assert result.listening.instructed.trials == 2
    assert result.reaction.swapped > 0
    assert result.closed.num_units == 2
    assert (finished / "report.html").stat().st_size > 100_000
    assert any("Only 2 scenes" in note for note in result.notes)


def test_finished_cells_are_not_played_again_and_missing_ones_are(finished, demos):
    cells = sorted((finished / "cells").rglob("*.json"))
    gone = next(path for path in cells if path.name == "corruption-gaussian_noise-5.json")
    before = {path: path.stat().st_mtime_ns for path in cells}
    content = json.loads(gone.read_text())
    gone.unlink()
    assert run(finished, "--data", str(demos), *PLAY) == 0
    after = {path: path.stat().st_mtime_ns for path in cells}
    assert {path for path in cells if before[path] != after[path]} == {gone}
    again = json.loads(gone.read_text())
    assert {**again, "seconds": 0} == {**content, "seconds": 0}


def test_corruptions_can_be_added_to_a_finished_test(finished, demos):
    more = ("--severities", "1,5", "--corruptions", f"{NAMES},jpeg", *PLAY[:2], *PLAY[-2:])
    assert run(finished, "--data", str(demos), *more) == 0
    result = load_result(finished / "results.json", StressResult)
    assert "jpeg" in {each.name for each in result.closed.robustness}


def test_cells_from_before_phases_are_not_played_again_but_named(finished, demos, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    new = ("tasks", "instructions", "furthest", "phases")
    cells = sorted((out / "cells").rglob("*.json"))
    for path in cells:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in content.items() if k not in new}))
    before = {path: path.stat().st_mtime_ns for path in cells}
    assert run(out, "--data", str(demos), *PLAY) == 0
    assert {path: path.stat().st_mtime_ns for path in cells} == before
    result = load_result(out / "results.json", StressResult)
    notes = {
        (loop.loop, each.by): each.note
        for loop in (result.closed, result.open)
        for each in loop.breakdowns
    }
    assert "in cells/open" in notes["open", "phase"]
    assert "in cells/closed" in notes["closed", "task"]
    page = (out / "report.html").read_text()
    assert "from before errors were kept by phase" in page


def test_the_folder_of_another_stress_test_is_refused(finished, demos, capsys):
    line = refused(capsys, finished, "--data", str(demos), *PLAY, "--seed", "5")
    assert "holds another stress test" in line


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("precious")
    assert "holds something else" in refused(capsys, tmp_path, *PLAY[:4])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_json_is_printed_alone(finished, demos, capsys):
    assert run(finished, "--data", str(demos), *PLAY, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["closed"]["loop"] == "closed"


def test_effective_robustness_against_itself_is_zero(finished, demos, tmp_path):
    arguments = ("--data", str(demos), "--open-loop", "--severities", "1,5")
    arguments += ("--corruptions", "gaussian_noise", "--workers", "1")
    assert run(tmp_path / "out", *arguments, "--reference", str(finished)) == 0
    result = load_result(tmp_path / "out" / "results.json", StressResult)
    assert result.closed is None
    assert [each.effective for each in result.open.robustness] == pytest.approx([0])


def test_a_single_instruction_gives_no_number_for_language(tmp_path, capsys):
    data = write_demonstrations(tmp_path / "demos", ("touch the red cube",) * 6)
    out = tmp_path / "out"
    arguments = ("--data", str(data), "--open-loop", "--severities", "5", "--workers", "1")
    assert run(out, *arguments) == 0
    assert "language cannot be judged" in " ".join(capsys.readouterr().err.split())
    result = load_result(out / "results.json", StressResult)
    assert result.reaction is None
    for score in result.open.scores:
        assert "language" not in (score.condition.modality, *score.condition.missing)
    kinds = (*result.open.contributions, *result.open.perceptual, *result.open.robustness)
    assert "language" not in {each.modality for each in kinds}
    line = refused(capsys, tmp_path / "o", *arguments, "--corruptions", "typos")
    assert "the corruption does not fit: typos says nothing where there is a single" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--open-loop",), "--open-loop asks about demonstrations"),
        (("--severities", "1,six"), "'1,six' must be whole numbers"),
        (("--severities", "0"), "a severity is 0, but must be 1, 2, 3, 4 or 5"),
        (("--corruptions", "gausian_noise"), "unknown corruption 'gausian_noise'; did you mean"),
        (("--corruptions", "proprio_noise"), "in units of how the proprio varies, which --data"),
        (("--env", "tabletop/tuch"), "unknown environment 'tabletop/tuch'"),
        (("--episodes", "0"), "the number of episodes is 0"),
        (("--execution-horizon", "3"), "execution_horizon must be 1 to 1"),
    ],
)
def test_bad_options_are_refused_before_anything_is_played(tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    assert message in refused(capsys, out, "--workers", "1", *arguments)
    assert not (out / "cells").exists()


def make_diverged():
    class Diverged(ReadingPolicy):
        def predict(self, observation):
            chunk = super().predict(observation)
            return ActionChunk(torch.full_like(chunk.actions, float("nan")), chunk.mask)

    return Diverged()


def make_narrow():
    class Narrow(ReadingPolicy):
        def predict(self, observation):
            chunk = super().predict(observation)
            return ActionChunk(chunk.actions[..., :6], chunk.mask)

    return Narrow()


def make_brief():
    class Brief(ReadingPolicy):
        def predict(self, observation):
            chunk = super().predict(observation)
            return ActionChunk(chunk.actions[:, :0], chunk.mask[:, :0])

    return Brief()


def make_sighted():
    return ReadingPolicy(cameras=("overhead",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("make_diverged", "predicted NaN or infinity"),
        ("make_narrow", "(2, 1, 6), but (2, 1, 7) was expected"),
        ("make_brief", "It promises an action_horizon of 1; predict as many steps"),
        ("make_sighted", "unknown camera 'overhead'"),
        ("make_nothing", "has no function 'make_nothing'"),
    ],
)
def test_a_policy_that_cannot_act_is_named(tmp_path, capsys, name, message):
    policy = f"test_stress_command:{name}"
    assert message in refused(capsys, tmp_path / "out", *PLAY[:4], "--workers", "1", policy=policy)


def test_a_camera_the_demonstrations_lack_is_named(tmp_path, demos, capsys):
    arguments = ("--data", str(demos), "--open-loop")
    policy = "test_stress_command:make_sighted"
    line = refused(capsys, tmp_path / "out", *arguments, policy=policy)
    assert "'overhead'" in line
    assert "base, wrist" in line


@pytest.mark.slow
def test_two_processes_share_the_cells(tmp_path, demos):
    arguments = ("--data", str(demos), "--open-loop", "--severities", "5", "--workers", "2")
    assert run(tmp_path / "two", *arguments, "--corruptions", "jpeg") == 0
    assert run(tmp_path / "one", *arguments[:-1], "1", "--corruptions", "jpeg") == 0
    one, two = (load_result(tmp_path / n / "results.json", StressResult) for n in ("one", "two"))
    assert one.open == two.open
