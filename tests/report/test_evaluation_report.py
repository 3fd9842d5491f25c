"""What the page, the table and the sentences of an evaluation say."""

import io

import numpy as np
import pytest
from fake_evaluation import result_of
from page_reading import read_page
from rich.console import Console

from plait.evaluation.pictures import encode_animation
from plait.report.evaluation import (
    conclude_evaluation,
    evaluation_table,
    write_evaluation_report,
)
from plait.report.evaluation.figures import evaluation_figures
from plait.results import RolloutPicture, save_result

OWN = {"reach": 10, "push": 9, "stack": 0}
DEAF = {"reach": 10, "push": 0, "stack": 0}
BLIND = {"reach": 9, "push": 10, "stack": 0}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    save_result(folder / "results.json", result_of(OWN, DEAF, BLIND))
    return read_page(write_evaluation_report(folder / "results.json", folder / "report.html"))


def about(sentences, words):
    (found,) = [sentence for sentence in sentences if words in sentence]
    return found


def test_sentences_name_both_means_and_what_never_succeeds():
    sentences = conclude_evaluation(result_of(OWN, DEAF, BLIND))
    assert sentences[0].startswith("The policy succeeds in 63.3% (")
    assert "mean over its 3 tasks, each counted alike, is 63.3%" in sentences[0]
    groups = about(sentences, "By difficulty")
    assert "easy 95.0% and very hard 0.0%" in groups
    assert "counted alike, is 47.5% (" in groups
    assert "Never solved: stack (1 of 3 tasks)" in about(sentences, "Never solved")
    assert "Solved in every episode: 1 of 3" in about(sentences, "Solved in every")
    assert "10 episodes only" in about(sentences, "Some task")


def test_a_control_is_said_to_differ_only_where_the_test_says_so():
    sentences = conclude_evaluation(result_of(OWN, DEAF, BLIND))
    assert "30.0 points less" in about(sentences, "Without the instruction")
    assert "45.0 points less" in about(sentences, "On tasks with a shared scene, without the instr")
    assert "that it uses the images is not shown" in about(sentences, "Without the images")
    misled = conclude_evaluation(result_of(DEAF, OWN, BLIND))
    assert "the instruction misleads it" in about(misled, "Without the instruction")


def test_the_page_holds_the_numbers(page):
    row = page.row("groups-difficulty", "very hard")
    assert row.startswith("very hard | 1 | 0.0% | 0.0–27.8% | 0 of 10")
    assert row.endswith("| 0.0% | 0.0%")
    assert page.row("groups-difficulty", "mean of the groups").startswith(
        "mean of the groups |  | 47.5%"
    )
    assert page.row("groups-shared-scene", "puck").startswith("puck | 2 | 95.0%")
    assert page.row("tasks", "push") == "push | easy | 90.0% | 59.6–98.2% | 9 of 10 | 0.0% | 100.0%"
    assert "−30.0" in page.row("controls", "instruction masked")
    assert "films" not in page.text.lower()


def test_tasks_are_drawn_in_the_order_of_their_groups_and_groups_can_be_switched(page):
    traces = page.figures["tasks"]["data"]
    by_name = {trace["legendgroup"]: trace for trace in traces}
    assert set(by_name) == {"easy", "very_hard", "instruction masked", "images masked"}
    assert by_name["easy"]["x"] == [1.0, 0.9]
    assert by_name["easy"]["y"] == [0.0, 1.0]
    assert by_name["very_hard"]["y"] == [2.0]
    assert "error_x" not in by_name["instruction masked"]
    buttons = page.find("button", type="button")
    assert {"easy", "instruction masked"} <= {b.attributes.get("data-group") for b in buttons}


def test_a_policy_without_groups_or_controls_has_a_page_too(tmp_path):
    result = result_of({"touch": 3}, groups={})
    assert set(evaluation_figures(result)) == {"tasks"}
    save_result(tmp_path / "results.json", result)
    page = read_page(write_evaluation_report(tmp_path / "results.json", tmp_path / "report.html"))
    assert "touch | 30.0%" in page.row("tasks", "touch")
    assert not page.find("section", id="controls")
    assert not any("the mean" in sentence for sentence in conclude_evaluation(result))


def test_the_table_fits_a_terminal():
    console = Console(file=io.StringIO(), width=100)
    console.print(evaluation_table(result_of(OWN, DEAF, BLIND)))
    printed = console.file.getvalue()
    for words in ("difficulty: very hard", "mean of 2 groups", "shared scene: puck", "63.3%"):
        assert words in printed
    assert "…" not in printed


def test_pictures_that_may_not_be_those_of_training_are_marked():
    sentences = conclude_evaluation(result_of(OWN, is_view_of_training=False))
    assert "these were taken by opengl" in about(sentences, "taken otherwise")
    assert not any("taken otherwise" in each for each in conclude_evaluation(result_of(OWN)))


def test_films_of_scenes_that_end_otherwise_are_counted_and_not_shown(tmp_path):
    def film(seed, task, *, success):
        file = f"rollouts/scene_{seed}.webp"
        frames = [np.full((8, 8, 3), seed + step, np.uint8) for step in range(3)]
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(encode_animation(frames, 100))
        outcome = "success" if success else "timeout"
        return RolloutPicture(
            file=file, seed=seed, task=task, instruction="Go.", success=success, outcome=outcome
        )

    # Scene 19 is the one of ten that `push` fails in.
    pictures = (film(0, "reach", success=True), film(19, "push", success=True))
    save_result(tmp_path / "results.json", result_of(OWN, pictures=pictures))
    page = read_page(write_evaluation_report(tmp_path / "results.json", tmp_path / "report.html"))
    shown = [
        each.attributes["alt"] for each in page.find("img") if "told" in each.attributes["alt"]
    ]
    assert len(shown) == 1
    assert shown[0].startswith("reach")
    assert "1 more scene, played again, ended otherwise" in " ".join(page.text.split())
