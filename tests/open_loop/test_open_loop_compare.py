"""`plait compare --data` on demonstrations alone: small, from the command line, twice."""

import json

import numpy as np
import pytest

from plait.cli import main
from plait.compare.arm import RESULT_FILE
from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter
from plait.results import load_result
from plait.results.open_loop import KINDS, OpenLoopComparison, OpenLoopRun


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    root = tmp_path_factory.mktemp("open") / "demos"
    rng = np.random.default_rng(0)
    with LeRobotWriter(root, fps=10) as writer:
        for index in range(12):
            state = np.cumsum(rng.normal(size=(20, 4)), axis=0).astype(np.float32)
            images = {"front": rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)}
            action = np.roll(state, -1, axis=0)
            writer.add(EpisodeData(images, state, action, f"go to {('left', 'right')[index % 2]}"))
    return root


@pytest.fixture(scope="module")
def finished(demos, tmp_path_factory):
    out = tmp_path_factory.mktemp("open") / "out"
    assert main(call(demos, out)) == 0
    return out


def call(demos, out, *more):
    settings = ["--preset", "smoke", "--fusion", "concat,late", "--horizon", "3", "--workers", "2"]
    return ["compare", "--data", str(demos), *settings, "--json", *more, "--out", str(out)]


def test_strategies_controls_and_baselines_are_judged_on_the_same_episodes(finished):
    comparison = load_result(finished / "results.json", OpenLoopComparison)
    assert {arm.kind for arm in comparison.arms} == set(KINDS)
    assert len(comparison.arms) == 2 + 2 + 3
    runs = [load_result(finished / run / RESULT_FILE, OpenLoopRun) for run in comparison.runs]
    episodes = [[each.episode for each in run.episodes] for run in runs]
    assert all(each == episodes[0] for each in episodes)
    assert len(episodes[0]) == comparison.num_held_out == 2
    assert all(len(arm.per_step) == 3 for arm in comparison.arms)
    assert comparison.dataset.cameras == ("front",)
    assert any("Only 2 episodes" in note for note in comparison.notes)


def test_held_out_episodes_are_not_trained_on(finished, demos):
    comparison = load_result(finished / "results.json", OpenLoopComparison)
    config = json.loads((finished / comparison.runs[0] / "config.json").read_text())
    assert config["data"]["validation_fraction"] == comparison.settings["validation_fraction"]
    assert comparison.settings["validation_fraction"] == 0.2


def test_a_second_call_finds_everything_done(finished, demos, capsys):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob(RESULT_FILE)}
    saved = json.loads((finished / "results.json").read_text())
    assert main(call(demos, finished)) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {p: p.stat().st_mtime_ns for p in finished.rglob(RESULT_FILE)} == before
    for key in ("arms", "pairs", "dataset"):
        assert shown[key] == saved[key]


def test_more_can_be_held_out_and_another_folder_is_not_mixed_in(finished, demos, capsys):
    assert main(call(demos, finished, "--held-out", "0.5")) == 2
    assert "validation_fraction" in capsys.readouterr().err


def test_neither_environment_nor_data_is_refused():
    from plait.compare.open_loop import on_demonstrations
    from plait.compare.settings import CompareSettings
    from plait.errors import OptionError

    with pytest.raises(OptionError, match="neither an environment nor data"):
        on_demonstrations(CompareSettings()).validate()
