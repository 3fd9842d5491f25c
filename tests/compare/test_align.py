"""The whole of `plait align`, small: from demonstrations to towers, report, and a policy."""

import json
import math

import numpy as np
import pytest
import torch

from plait.aligner import Aligner
from plait.cli import main
from plait.compare.align import divide_held_out
from plait.policy import Policy
from plait.results import load_result
from plait.results.alignment import AlignmentResult

SMALL = ("--steps", "6", "--batch-size", "16", "--width", "24", "--image-size", "16")


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("align") / "demos"
    arguments = ["--env", "tabletop/touch", "--episodes", "30", "--cameras", "base"]
    assert main(["record", *arguments, "--image-size", "16", "--out", str(folder)]) == 0
    return folder


def align(demos, out, *arguments):
    return main(["align", "--data", str(demos), "--out", str(out), *SMALL, *arguments])


@pytest.fixture(scope="module")
def finished(demos, tmp_path_factory):
    out = tmp_path_factory.mktemp("towers") / "out"
    assert align(demos, out) == 0
    return out


def test_the_result_holds_all_that_was_asked_for(finished):
    result = load_result(finished / "results.json", AlignmentResult)
    assert (result.num_train_episodes, result.num_test_episodes) == (27, 2)
    assert result.num_watched_episodes == 1
    for measures in (result.before, result.after, result.centred):
        directions = {(score.query, score.target) for score in measures.retrieval}
        assert len(directions) == 6
        for score in measures.retrieval:
            values = [score.recall[k] for k in ("1", "5", "10")]
            assert values == sorted(values)
            assert 0 <= score.low <= score.recall["1"] + 1e-6
            assert score.recall["1"] <= score.high + 1e-6
            assert all(math.isfinite(v) for v in (score.median_rank, score.mean_reciprocal_rank))
        assert len(measures.pairs) == len(measures.modalities) == 3
        assert [r.query for r in measures.retrieved_action][-1] == "vision + language"
    to_text = [s for s in result.after.retrieval if s.target == "language"]
    assert {s.gallery_size for s in to_text} == {result.num_test_instructions}
    for score in to_text:
        assert score.chance["1"] == pytest.approx(1 / result.num_test_instructions)
    ceilings = {d.ceiling for d in result.after.diagonal if "language" in (d.query, d.target)}
    num_steps = next(s.num_queries for s in result.after.retrieval if s.query == "vision")
    assert ceilings == {result.num_test_instructions / num_steps}
    for example in result.examples:
        assert all((finished / frame.file).is_file() for frame in example.frames)
        assert len({frame.episode for frame in example.frames}) == len(example.frames)
    assert any("only 2 held-out episodes" in note for note in result.notes)


def test_the_factors_of_the_tabletop_are_measured(finished):
    result = load_result(finished / "results.json", AlignmentResult)
    named = {each.factor for each in result.after.factors}
    # Every episode says `touch`: a verb that never varies is no factor.
    assert named <= {"colour", "object", "colour + object"}
    assert {"colour", "object"} & named
    assert {(each.query, each.target) for each in result.after.factors} == {
        ("vision", "language"),
        ("language", "vision"),
    }


@pytest.mark.parametrize(("count", "watched"), [(3, 1), (4, 1), (5, 2), (20, 7), (300, 100)])
def test_what_is_watched_is_not_measured(count, watched):
    held_out = np.arange(0, 2 * count, 2)
    first, second = divide_held_out(held_out, seed=0)
    assert len(first) == watched
    assert set(first).isdisjoint(second)
    assert sorted([*first, *second]) == held_out.tolist()


def test_the_watched_are_drawn_at_random_by_the_seed():
    held_out = np.arange(300)
    draws = [divide_held_out(held_out, seed)[0] for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    # Early and late recordings alike.
    assert 25 < (draws[0] < 150).sum() < 75


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_to_divide_are_both_watched_and_measured(count):
    held_out = np.arange(count)
    assert all(np.array_equal(part, held_out) for part in divide_held_out(held_out, seed=0))


def test_a_note_says_where_what_is_watched_is_measured(demos, finished, tmp_path):
    assert align(demos, tmp_path, "--validation-fraction", "0.05") == 0
    result = load_result(tmp_path / "results.json", AlignmentResult)
    assert result.num_watched_episodes == result.num_test_episodes == 2
    assert any("chosen on the very episodes" in note for note in result.notes)
    divided = load_result(finished / "results.json", AlignmentResult)
    assert not any("chosen on the very episodes" in note for note in divided.notes)


def test_the_report_stands_alone(finished):
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")[:20_000]
    assert "data:image" in page


def test_the_same_seed_gives_the_same_towers(demos, finished, tmp_path):
    assert align(demos, tmp_path) == 0
    first, second = Aligner.load(finished / "aligner"), Aligner.load(tmp_path / "aligner")
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_a_second_call_goes_on_from_what_is_there(demos, finished, capsys):
    before = (finished / "aligner" / "aligner.safetensors").read_bytes()
    assert align(demos, finished, "--json") == 0
    assert (finished / "aligner" / "aligner.safetensors").read_bytes() == before
    assert json.loads(capsys.readouterr().out)["num_steps"] == 6


def test_a_policy_starts_from_the_towers(demos, finished, tmp_path):
    arguments = ["--data", str(demos), "--image-size", "16", "--width", "24", "--steps", "1"]
    train = ["train", *arguments, "--batch-size", "2", "--learning-rate", "1e-9"]
    assert main([*train, "--init", str(finished), "--out", str(tmp_path / "aligned")]) == 0
    assert main([*train, "--out", str(tmp_path / "fresh")]) == 0
    towers = Aligner.load(finished / "aligner").encoders["language"].embedding.weight
    aligned = Policy.load(tmp_path / "aligned" / "policy").encoders["language"].embedding.weight
    fresh = Policy.load(tmp_path / "fresh" / "policy").encoders["language"].embedding.weight
    assert (aligned - towers).abs().max() < 1e-6
    assert (fresh - towers).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "1"], "batch size is 1"),
        (["--objective", "info_nse"], "info_nce"),
        (["--options", "{"], "not valid JSON"),
        (["--options", "[]"], "must be a JSON object"),
        (["--options", '{"repeat": "keep"}'], "repeats"),
        (["--patience", "-1"], "patience is -1"),
        (["--micro-batch-size", "-1"], "micro-batch size is -1"),
        (["--embedding-dim", "0"], "embedding dimension"),
        (["--seed", "1"], "holds another training"),
    ],
)
def test_bad_input_gets_one_sentence(demos, finished, capsys, arguments, message):
    assert align(demos, finished, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_train_refuses_towers_that_are_not_there(demos, tmp_path, capsys):
    arguments = ["--data", str(demos), "--init", str(tmp_path / "none"), "--image-size", "16"]
    assert main(["train", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert "aligner.json: no such file" in capsys.readouterr().err
