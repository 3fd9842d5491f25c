"""The whole of `plait evaluate`, small: processes, cells, resumption, controls, and refusals."""

import json
from collections import Counter

import pytest
from evaluate_fakes import Noting, save_untrained

from plait.cli import main
from plait.compare.evaluation_cells import deal_scenes
from plait.results import load_result
from plait.results.evaluation import EvaluationResult
from plait.types import LANGUAGE, VISION

FAST = ("--env", "tabletop/touch", "--episodes", "10", "--films", "0")


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return save_untrained(tmp_path_factory.mktemp("saved") / "policy")


@pytest.fixture(scope="module")
def finished(policy, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    arguments = ("--controls", "--workers", "1", "--films", "1", "--out", str(out))
    assert main(["evaluate", policy, *FAST[:-2], *arguments]) == 0
    return out


def result_in(out):
    return load_result(out / "results.json", EvaluationResult)


def without_times(condition):
    return {**vars(condition), "seconds": 0, "steps_per_second": 0}


def test_every_scene_is_played_once_under_every_condition(finished):
    result = result_in(finished)
    assert [each.control for each in result.conditions] == [
        None,
        "instruction_masked",
        "images_masked",
    ]
    assert [each.masked for each in result.conditions] == [(), (LANGUAGE,), (VISION,)]
    for condition in result.conditions:
        seeds = [episode.seed for episode in condition.episodes]
        assert seeds == list(range(1_000_000, 1_000_010))
    assert (finished / "report.html").stat().st_size > 100_000
    solved = {episode.seed: episode.success for episode in result.conditions[0].episodes}
    assert result.pictures
    assert all(film.success == solved[film.seed] for film in result.pictures)
    assert all((finished / film.file).exists() for film in result.pictures)


def test_the_number_of_processes_changes_no_number(finished, policy, tmp_path, capsys):
    arguments = ("--controls", "--workers", "2", "--json", "--out", str(tmp_path / "out"))
    assert main(["evaluate", policy, *FAST, *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["num_processes"] == 2
    found, expected = result_in(tmp_path / "out"), result_in(finished)
    for one, other in zip(found.conditions, expected.conditions, strict=True):
        assert without_times(one) == without_times(other)


def test_finished_cells_and_films_are_not_made_again(finished, policy):
    cells = sorted((finished / "cells").rglob("*.json"))
    kept = [*cells[1:], *(finished / "rollouts").iterdir()]
    before = {path: path.stat().st_mtime_ns for path in kept}
    content = json.loads(cells[0].read_text())
    cells[0].unlink()
    arguments = ("--controls", "--workers", "1", "--films", "1", "--out", str(finished))
    assert main(["evaluate", policy, *FAST[:-2], *arguments]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert {**json.loads(cells[0].read_text()), "seconds": 0} == {**content, "seconds": 0}


def test_nothing_is_kept_without_a_folder(policy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main(["evaluate", policy, *FAST[:2], "--episodes", "2", "--workers", "1"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "all episodes" in capsys.readouterr().err


def test_controls_see_nothing_of_what_they_hide(capsys):
    Noting.seen.clear()
    arguments = ("--episodes", "2", "--workers", "1", "--controls", "--json")
    assert main(["evaluate", "evaluate_fakes:Noting", *FAST[:2], *arguments]) == 0
    hidden = {False: {LANGUAGE: 0, VISION: 0}, True: {LANGUAGE: 0, VISION: 0}}
    for observation in Noting.seen:
        for modality in (LANGUAGE, VISION):
            is_there = bool(observation.modality_mask[modality].all())
            assert bool(observation.modality_mask[modality].any()) == is_there
            hidden[is_there][modality] += 1
        has_language = bool(observation.modality_mask[LANGUAGE].all())
        has_vision = bool(observation.modality_mask[VISION].all())
        assert any(observation.instruction) == has_language
        assert bool(observation.images["base"].any()) == has_vision
        assert has_language or has_vision
    # A third of all looks each: this policy stands still, so conditions last equally long.
    assert hidden[False][LANGUAGE] == hidden[False][VISION] == len(Noting.seen) / 3
    printed = json.loads(capsys.readouterr().out)
    assert [each["pair"]["p_value"] for each in printed["comparisons"]] == [1.0, 1.0]


@pytest.mark.parametrize("number", [1, 3, 19, 100, 500])
def test_scenes_are_dealt_whole_and_evenly(number):
    cells = deal_scenes(1_000_000, number)
    dealt = [seed for cell in cells for seed in cell]
    assert sorted(dealt) == list(range(1_000_000, 1_000_000 + number))
    sizes = {len(cell) for cell in cells}
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 20


def test_processes_get_a_mixture_of_tasks():
    # Were cells dealt in turn, of 50 tasks and 28 cells one process would get the even ones.
    cells = deal_scenes(1_000_000, 500)
    for hand in (cells[0::2], cells[1::2]):
        tasks = Counter(seed % 50 for cell in hand for seed in cell)
        assert len(tasks) == 50


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mask", "smell"), "unknown modality 'smell'"),
        (("--mask", "vision", "--controls"), "leave out either"),
        (("--execution-horizon", "5"), "predicts only 2 steps"),
        (("--env", "tabletop/tuch"), "did you mean 'tabletop/touch'"),
        (("--episodes", "0"), "number of episodes is 0"),
        (("--films", "-1"), "number of films is -1"),
        (("--seed", "-1"), "the seed is -1"),
        (("--workers", "0"), "number of workers is 0"),
        (("--render", "raycast"), "one way of taking pictures; leave out --render"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(policy, tmp_path, capsys, arguments, words):
    out = tmp_path / "out"
    assert main(["evaluate", policy, "--workers", "1", *arguments, "--out", str(out)]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("plait:")]
    assert words in line
    assert not out.exists()


def test_the_folder_of_another_evaluation_is_refused(finished, policy, capsys):
    arguments = ("--episodes", "11", "--workers", "1", "--out", str(finished))
    assert main(["evaluate", policy, *arguments]) == 2
    assert "holds another evaluation" in capsys.readouterr().err
