"""Films of failures on the page: their captions, and what becomes of a film that is not there."""

from dataclasses import replace

import numpy as np
import pytest
from page_reading import read_page
from test_stress_report import NASTY, corrupted, made

from plait.errors import DataError
from plait.evaluation.pictures import encode_animation
from plait.report.stress import write_stress_report
from plait.report.stress.failures import ending
from plait.results import load_result, save_result
from plait.results.stress import Condition, Failure, StressResult

TOLD = Condition(kind="listening", name="listening")
FAILURE = Failure(
    condition=corrupted("jpeg", "vision", 3),
    seed=1007,
    file="failures/jpeg.webp",
    instruction="touch the red cube",
    own_instruction="touch the red cube",
    outcome="wrong_object",
    acted_on="blue cube",
    num_steps=9,
    num_own_steps=1,
    num_alike=12,
    num_solved=45,
)


def page_of(failure, folder):
    (folder / "failures").mkdir(exist_ok=True)
    frames = [np.full((40, 80, 3), level, np.uint8) for level in (0, 90, 180)]
    (folder / FAILURE.file).write_bytes(encode_animation(frames, 100))
    save_result(folder / "results.json", made(failures=(failure,)))
    return read_page(write_stress_report(folder / "results.json", folder / "report.html"))


def test_a_film_says_what_was_done_and_what_the_policy_did(tmp_path):
    page = page_of(FAILURE, tmp_path)
    section = page.section("failures")
    for said in (
        "jpeg, severity 3",
        "✓ succeeded after 1 step",
        "✗ acted on the blue cube instead after 9 steps",
        "Told “touch the red cube”. So end 12 of 45 scenes that succeed undisturbed.",
        "scene 1007",
    ):
        assert said in section
    (image,) = page.find("img")
    assert image.attributes["src"].startswith("data:image/webp;base64,")
    (still,) = page.find("source")
    assert still.attributes["srcset"].startswith("data:image/webp;base64,")
    assert page.find("button", id="pause")
    assert load_result(tmp_path / "results.json", StressResult).failures == (FAILURE,)


def test_what_was_read_and_what_would_have_been_are_told_apart(tmp_path):
    section = page_of(replace(FAILURE, instruction=NASTY), tmp_path).section("failures")
    assert f"Told “{NASTY}”; undisturbed “touch the red cube”." in section
    silent = page_of(replace(FAILURE, instruction=""), tmp_path).section("failures")
    assert "Told nothing; undisturbed “touch the red cube”." in silent


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "acted on the blue cube instead"),
        ({"acted_on": ""}, "acted on another object"),
        ({"outcome": "timeout"}, "ran out of time"),
        ({"outcome": "fell_over"}, "fell over"),
        ({"condition": TOLD, "outcome": "original"}, "did the scene's own task"),
        ({"condition": TOLD, "outcome": "neither"}, "acted on the blue cube, and did neither task"),
        ({"condition": TOLD, "outcome": "neither", "acted_on": ""}, "did neither task"),
    ],
)
def test_endings_in_words(changes, said):
    assert ending(replace(FAILURE, **changes)) == said


def test_a_film_that_is_gone_is_named(tmp_path):
    page_of(FAILURE, tmp_path)
    (tmp_path / FAILURE.file).unlink()
    with pytest.raises(DataError, match=r"jpeg\.webp"):
        write_stress_report(tmp_path / "results.json", tmp_path / "report.html")


def test_without_failures_there_is_no_section(tmp_path):
    save_result(tmp_path / "results.json", made())
    page = read_page(write_stress_report(tmp_path / "results.json", tmp_path / "report.html"))
    assert not page.find("section", id="failures")
