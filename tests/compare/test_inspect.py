"""`plait inspect --shortcuts`: verdicts in plain words, files written whole, clear refusals."""

import json
from dataclasses import replace

import pytest

import shortcut_fakes as fakes
from plait.cli import main
from plait.compare.shortcuts import inspect_shortcuts, shortcuts_lines
from plait.evaluation.shortcuts import ShortcutSettings
from plait.report.shortcuts import conclude_shortcuts, judge_shortcuts
from plait.results import Estimate, load_result
from plait.results.inspection import InspectionResult
from plait.results.shortcuts import (
    BY_EPISODE,
    BY_SCENE,
    ExplainedActions,
    InstructionPrediction,
    InstructionProbe,
    LanguageGain,
    SceneSharing,
    ShortcutMeasures,
)

SMALL = ["--steps", "60", "--image-size", "16"]


def about(value, low=None, high=None):
    return Estimate(
        value=value,
        low=value - 0.03 if low is None else low,
        high=value + 0.03 if high is None else high,
    )


def make_measures(*, accuracy=0.5, gain=0.0, without=0.3, counts=None, reason="", **changes):
    probe = InstructionProbe(source="first image", model="network", accuracy=about(accuracy))
    prediction = InstructionPrediction(
        probes=(probe,),
        majority=0.5,
        uniform=0.5,
        num_instructions=2,
        num_train_episodes=70,
        num_test_episodes=30,
    )
    row = ExplainedActions(
        inputs="images + state",
        model="network",
        every_step=about(without),
        first_step=about(without),
    )
    gains = LanguageGain(model="network", every_step=about(gain), first_step=about(gain))
    measures = ShortcutMeasures(
        num_episodes=100,
        episodes_by_instruction={"a": 60, "b": 40} if counts is None else counts,
        split_by=BY_SCENE,
        prediction=InstructionPrediction(reason=reason) if reason else prediction,
        scenes=SceneSharing(
            tolerance=16.0,
            num_scenes=100,
            num_repeated=0,
            scenes_by_instructions={"1": 100},
            shared_episodes=0.0,
            num_neighbours=5,
            neighbour_instructions=1.9,
            neighbours_alike=0.5,
            neighbours_chance=0.5,
        ),
        actions=(row,),
        gains=(gains,),
    )
    return replace(measures, **changes)


# --- verdicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measures", "kind", "words"),
    [
        (make_measures(accuracy=0.95), "can_ignore", "the first image alone tells which of the 2"),
        (
            make_measures(counts={"a": 100}, reason="one"),
            "can_ignore",
            "all 100 episodes have the same one",
        ),
        (make_measures(counts={}, reason="none"), "can_ignore", "none of the 100 episodes has one"),
        (make_measures(gain=0.3), "cannot_ignore", "explains 30 points (27 to 33) more"),
        (make_measures(without=0.97), "can_ignore", "images and state alone explain 97.0%"),
        (make_measures(), "not_judged", "gives the instruction away in 50.0%"),
        (
            make_measures(accuracy=0.79, gain=0.3),
            "not_judged",
            "too few to tell whether that is nearly always",
        ),
        (
            make_measures(reason="only 3 of 100 episodes have ..."),
            "not_judged",
            "because only 3 of 100 episodes",
        ),
    ],
)
def test_the_verdict_says_in_plain_words_whether_language_can_be_ignored(measures, kind, words):
    verdict = judge_shortcuts(measures)
    assert verdict.kind == kind
    assert words in verdict.sentence
    begin = {
        "can_ignore": "A policy trained on this data can ignore its instruction: ",
        "cannot_ignore": "A policy trained on this data cannot ignore its instruction: ",
        "not_judged": "Whether a policy trained on this data can ignore its instruction cannot be "
        "judged, because ",
    }
    assert verdict.sentence.startswith(begin[kind])


def test_a_told_instruction_wins_over_a_gain_for_it_is_the_shortcut():
    assert judge_shortcuts(make_measures(accuracy=0.95, gain=0.3)).kind == "can_ignore"


@pytest.mark.parametrize(("gain", "kind"), [(0.04, "not_judged"), (0.06, "cannot_ignore")])
def test_a_gain_counts_only_where_its_interval_leaves_the_smallest_one_behind(gain, kind):
    assert judge_shortcuts(make_measures(gain=gain)).kind == kind


def test_a_gain_of_the_ridge_alone_decides_nothing():
    """It adds up what modalities tell, so it may mend what its images lack."""
    gains = (LanguageGain(model="ridge", every_step=about(0.5), first_step=about(0.5)),)
    assert judge_shortcuts(make_measures(gains=gains)).kind == "not_judged"


def test_where_no_action_changes_the_verdict_says_so():
    measures = make_measures(actions=(), gains=())
    assert "no action ever changes" in judge_shortcuts(measures).sentence
    assert "No action ever changes, so there is no variance to explain." in conclude_shortcuts(
        measures
    )


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        (0.5, "the image tells nothing that these probes can see"),
        (0.6, "the image narrows it down and does not decide it"),
        (0.95, "the image decides what is asked for"),
    ],
)
def test_findings_compare_the_probe_with_chance(accuracy, words):
    findings = " ".join(conclude_shortcuts(make_measures(accuracy=accuracy)))
    assert words in findings
    assert "always naming the commonest gives 50.0%" in findings
    assert "scenes that no training episode shows" in findings


def test_findings_say_what_the_instruction_adds_even_where_nothing_is_judged():
    measures = make_measures(gain=0.3, reason="too few")
    assert judge_shortcuts(measures).kind == "not_judged"
    findings = " ".join(conclude_shortcuts(measures))
    assert "in the network, the instruction adds +30.0 (+27.0 to +33.0) points" in findings


def test_findings_say_what_was_held_out_and_how_scenes_are_shared():
    scenes = replace(
        make_measures().scenes,
        num_scenes=20,
        num_repeated=20,
        scenes_by_instructions={"1": 5, "2": 15},
        shared_episodes=0.75,
    )
    findings = " ".join(conclude_shortcuts(make_measures(scenes=scenes, split_by=BY_EPISODE)))
    assert "20 distinct scenes, 20 of them in more than one episode; 15 have more" in findings
    assert "75.0% of the episodes lie there" in findings
    assert "whose scenes may have been learned from" in findings


# --- the command --------------------------------------------------------------------------------


def test_a_painted_instruction_can_be_ignored_and_the_result_is_written_whole(capsys, tmp_path):
    data, out = fakes.write(tmp_path / "data", fakes.painted), tmp_path / "out"
    arguments = ["inspect", "--shortcuts", str(data), "--out", str(out), "--json", *SMALL]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["shortcuts"]["verdict"]["kind"] == "can_ignore"
    result = load_result(out / "results.json", InspectionResult).shortcuts
    assert result.verdict.sentence == printed["shortcuts"]["verdict"]["sentence"]
    assert "the first image alone tells which of the 2 instructions" in result.verdict.sentence
    assert result.dataset.num_episodes == 120
    assert {path.name for path in out.iterdir()} == {"results.json", "report.html", "frames"}
    page = (out / "report.html").read_text()
    assert "Can language be ignored?" in page
    assert "the first image alone tells which of the 2 instructions" in page


def test_an_obeyed_instruction_cannot_be_ignored_and_a_person_reads_why(capsys, tmp_path):
    data = fakes.write(tmp_path / "data", fakes.obeyed)
    result = inspect_shortcuts(data, ShortcutSettings(num_steps=60), image_size=16)
    assert result.verdict.kind == "cannot_ignore"
    lines = shortcuts_lines(result)
    assert lines[-1] == result.verdict.sentence
    assert [len(table.columns) for table in lines[:2]] == [4, 6]


def test_one_instruction_prints_no_accuracy(capsys, tmp_path):
    data = fakes.write(tmp_path / "data", fakes.one_instruction, 12)
    options = ["--steps", "3", "--image-size", "16", "--out", str(tmp_path / "out")]
    assert main(["inspect", "--shortcuts", str(data), *options]) == 0
    output = capsys.readouterr()
    assert output.out == ""
    text = " ".join(output.err.split())
    assert "Predicting the instruction is not judged: all episodes have the same" in text
    assert "can ignore its instruction: all 12 episodes have the same one" in text
    assert "first image" not in text


def refused(capsys, *arguments):
    code = main(["inspect", "--shortcuts", *arguments])
    output = capsys.readouterr()
    lines = [line for line in output.err.strip().splitlines() if line.startswith("plait:")]
    assert (code, output.out, len(lines)) == (2, "", 1)
    return lines[0]


def test_what_cannot_be_done_is_refused_in_one_sentence(capsys, tmp_path):
    data, out = str(fakes.write(tmp_path / "data", fakes.obeyed, 3)), tmp_path / "out"
    missing = refused(capsys, str(tmp_path / "none"), "--out", str(out))
    assert "expected a LeRobot dataset" in missing
    assert "has 3 episodes; at least 4 are needed" in refused(capsys, data, "--out", str(out))
    for words, *options in (
        ("did you mean 'base'", "--cameras", "bse"),
        ("the image size is 8, but must be at least 16", "--image-size", "8"),
        ("the number of episodes is -2", "--episodes", "-2"),
        ("the number of steps is 0", "--steps", "0"),
        ("the number of frames is 0", "--frames", "0"),
        ("the number of episodes to see is -1", "--look-at", "-1"),
    ):
        assert words in refused(capsys, data, "--out", str(out), *options)
    assert not out.exists()
