"""The whole of `plait transfer`, small: cells, resumption, results, page, and what it refuses."""

import json

import pytest
from transfer_fakes import save_training, save_untrained, write_comparison

from plait.cli import main
from plait.envs.tabletop.asking import suite_sentences
from plait.results import load_result
from plait.results.transfer import BESIDE, COMBINATIONS, TRAINED, TransferResult

FAST = ("--episodes", "2", "--workers", "1")
HELD_OUT = ("--env", "tabletop/touch-holdout")


def run(out, *arguments):
    return main(["transfer", *map(str, arguments), "--out", str(out)])


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    arms = (("concat", None), ("concat", "instruction_masked"))
    return write_comparison(tmp_path_factory.mktemp("compared") / "outputs", arms, seeds=(0, 3))


@pytest.fixture(scope="module")
def finished(comparison, tmp_path_factory):
    out = tmp_path_factory.mktemp("transferred") / "out"
    assert run(out, comparison, *FAST, *HELD_OUT) == 0
    return out


def refused(capsys, out, *arguments):
    code = run(out, *arguments)
    output = capsys.readouterr()
    lines = [line for line in output.err.splitlines() if line.startswith("plait:")]
    assert (code, output.out, len(lines)) == (2, "", 1)
    assert not (out / "cells").exists()
    return lines[0]


def test_every_arm_and_training_seed_is_asked_for_everything(finished):
    result = load_result(finished / "results.json", TransferResult)
    relations = [challenge.relation for challenge in result.challenges]
    assert relations == [TRAINED, BESIDE, COMBINATIONS]
    assert result.env == "tabletop/touch"
    assert result.num_shown == 20
    assert result.settings["execution_horizon"] == 1  # of the comparison
    assert [arm.arm for arm in result.arms] == ["concat", "concat, instruction masked"]
    assert [arm.control for arm in result.arms] == [None, "instruction_masked"]
    for arm in result.arms:
        for score in arm.scores:
            assert len(score.seed_rates) == 2
            assert score.success.trials == 4
            assert sum(score.outcomes.values()) == 4
    assert (finished / "report.html").stat().st_size > 100_000
    assert any("Only 2 scenes" in note for note in result.notes)


def test_training_seeds_play_other_scenes_and_arms_the_same(finished):
    scenes = {}
    for path in (finished / "cells").rglob("*.json"):
        cell = json.loads(path.read_text())
        if cell["challenge"]["relation"] == TRAINED:
            seeds = tuple(episode["seed"] for episode in cell["episodes"])
            scenes.setdefault(cell["seed"], set()).add(seeds)
    assert scenes == {0: {(1_000_000, 1_000_001)}, 3: {(1_000_002, 1_000_003)}}


def test_finished_cells_are_not_played_again(finished, comparison):
    cells = sorted((finished / "cells").rglob("*.json"))
    gone = cells[0]
    before = {path: path.stat().st_mtime_ns for path in cells}
    content = json.loads(gone.read_text())
    gone.unlink()
    assert run(finished, comparison, *FAST, *HELD_OUT) == 0
    after = {path: path.stat().st_mtime_ns for path in cells}
    assert {path for path in cells if before[path] != after[path]} == {gone}
    assert {**json.loads(gone.read_text()), "seconds": 0} == {**content, "seconds": 0}


def test_a_masked_instruction_is_read_by_its_control_alone(tmp_path, capsys):
    arms = (("concat", None), ("film", None), ("concat", "instruction_masked"))
    compared, out = write_comparison(tmp_path / "compared", arms), tmp_path / "out"
    assert run(out, compared, "--episodes", "1", "--workers", "1", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    relations = [challenge["relation"] for challenge in printed["challenges"]]
    assert len(relations) == 8
    for arm in printed["arms"]:
        reads_all = arm["control"] is not None
        for relation, score in zip(relations, arm["scores"], strict=True):
            is_read = reads_all or relation in (TRAINED, BESIDE, COMBINATIONS)
            assert (score["success"] is not None) == is_read
            assert bool(score["refusal"]) == (not is_read)
    notes = " ".join(printed["notes"])
    assert "concat and film refuse what is said in tabletop/touch-paraphrase" in notes
    assert "--unknown-words mask" in notes


def test_unknown_words_can_be_left_out_and_environments_added(comparison, tmp_path):
    out, mask = tmp_path / "out", ("--unknown-words", "mask")
    assert run(out, comparison, *FAST, *mask, "--env", "tabletop/touch") == 0
    first = {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*.json")}
    assert run(out, comparison, *FAST, *mask, "--env", "tabletop/touch-paraphrase") == 0
    assert {path: path.stat().st_mtime_ns for path in first} == first
    result = load_result(out / "results.json", TransferResult)
    for arm in result.arms:
        assert arm.scores[1].success.trials == 4
        assert arm.scores[1].lost.is_paired
        assert 1 >= arm.scores[1].chance_by_words > arm.scores[1].chance
    assert any("were left out of its instructions" in note for note in result.notes)


def test_bytes_read_every_word(tmp_path):
    policy = save_untrained(tmp_path / "spelling", language="bytes")
    out = tmp_path / "out"
    arguments = ("--env", "tabletop/touch-paraphrase", "--trained-on", "tabletop/touch")
    assert run(out, policy, *FAST, *arguments) == 0
    result = load_result(out / "results.json", TransferResult)
    (arm,) = result.arms
    assert (arm.arm, arm.scores[1].success.trials) == ("spelling", 2)
    assert result.num_shown == 0
    assert any("demonstrations were not at hand" in note for note in result.notes)


def test_the_record_of_a_single_training_is_read_off_its_demonstrations(tmp_path, demos):
    policies = [save_training(tmp_path / name, demos, fusion=name) for name in ("concat", "film")]
    out = tmp_path / "out"
    assert run(out, *policies, *FAST, *HELD_OUT) == 0
    result = load_result(out / "results.json", TransferResult)
    assert (result.env, result.num_shown) == ("tabletop/touch", 3)
    assert {arm.arm for arm in result.arms} == {"concat", "film"}
    assert {arm.fusion for arm in result.arms} == {"concat", "film"}


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    from plait.compare.demonstrations import record_demonstrations

    root = tmp_path_factory.mktemp("three") / "demos"
    options = {"noise": 0.0, "cameras": ("base",), "image_size": 8, "num_workers": 1}
    record_demonstrations("tabletop/touch", root, num_episodes=3, **options)
    return root


def test_the_folder_of_another_test_is_refused(finished, comparison, capsys):
    assert run(finished, comparison, *FAST, *HELD_OUT, "--seed", "5") == 2
    assert "holds another transfer test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--env", "tabletop/touch-houldout"), "did you mean 'tabletop/touch-holdout'"),
        (("--env", "tabletop/push"), "no policy reads what is said in tabletop/push: unknown word"),
        (("--env", "tabletop/touch-paraphrase"), "--unknown-words mask leaves out words"),
        (("--episodes", "0"), "the number of episodes is 0"),
        (("--unknown-words", "ask"), "unknown way to treat unknown words 'ask'"),
        (("--execution-horizon", "9"), "predicts only 2 steps at once"),
        (("--trained-on", "tabletop/pick"), "tabletop/pick never asks for what the demonstrations"),
        (("--trained-on", "tabletop/tuch"), "did you mean 'tabletop/touch'"),
        (("--workers", "0"), "the number of workers is 0"),
    ],
)
def test_bad_options_are_refused_before_anything_is_played(
    comparison, tmp_path, capsys, arguments, message
):
    assert message in refused(capsys, tmp_path / "out", comparison, *arguments)


def test_policies_that_fit_nowhere_are_named(tmp_path, capsys):
    out = tmp_path / "out"
    sighted = save_untrained(tmp_path / "sighted", cameras=("overhead",))
    given = ("--trained-on", "tabletop/touch")
    assert "unknown camera 'overhead'" in refused(capsys, out, sighted, *given)
    line = refused(capsys, out, "test_transfer_command:make_narrow", *given)
    assert "test_transfer_command:make_narrow predicted" in line
    assert "(1, 1, 6), but (1, 1, 7) was expected" in line


def test_a_policy_without_a_record_is_refused(tmp_path, capsys):
    out = tmp_path / "out"
    line = refused(capsys, out, save_untrained(tmp_path / "alone"))
    assert "nothing says what" in line
    assert "--trained-on" in line
    gone = save_training(tmp_path / "moved", tmp_path / "no demonstrations")
    assert "nothing says what" in refused(capsys, out, gone)
    assert "name the policy in it" in refused(capsys, out, tmp_path / "moved")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "plan.json").write_text("{}")
    assert "holds no finished comparison" in refused(capsys, out, tmp_path / "begun")
    (tmp_path / "begun" / "results.json").write_text('{"schema_version": 1, "policy": "p"}')
    line = refused(capsys, out, tmp_path / "begun")
    assert "no comparison in an environment" in line
    assert "can be named one by one" in line
    assert "expected a comparison or a saved policy" in refused(capsys, out, tmp_path / "nowhere")


def test_policies_of_different_origin_are_refused_together(comparison, tmp_path, demos, capsys):
    from plait.data.lerobot.reader import LeRobotReader

    assert set(LeRobotReader.open(demos).tasks) <= set(suite_sentences("touch"))
    out = tmp_path / "out"
    twice = save_training(tmp_path / "concat", demos)
    line = refused(capsys, out, comparison, twice)
    assert "two policies are called 'concat', seed 0" in line


class Narrow:
    cameras, observation_window, action_horizon, image_size = ("base",), 1, 1, 16

    def predict(self, observation):
        import torch

        from plait.types import ActionChunk

        actions = torch.zeros(observation.batch_size, 1, 6)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def make_narrow():
    return Narrow()
