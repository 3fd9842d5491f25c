"""A comparison in an environment with groups of tasks, where no scene says what guessing gives."""

from dataclasses import replace

import pytest
from fake_comparison import Fake, write_fake
from hand_made import arm, compared, rate
from page_reading import read_page

from plait.evaluation.rates import mean_rate, with_groups
from plait.report import write_report
from plait.report.conclusions import conclude
from plait.report.tables import ranking_table
from plait.results import Comparison, Grouping, GroupRate, RunResult, load_result, save_result

GROUPS = {
    "difficulty": {"easy": ("touch", "push"), "very_hard": ("stack",)},
    "shared scene": {"puck": ("touch", "push")},
}


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grouped")
    fake = Fake(fusions=("film", "late"), tasks=("touch", "push", "stack"), num_episodes=60)
    comparison = load_result(write_fake(folder, fake), Comparison)
    runs = [load_result(folder / run / "result.json", RunResult) for run in comparison.runs]
    arms = [replace(each, chance=0.0) for each in comparison.arms]
    comparison = replace(comparison, arms=with_groups(arms, runs, GROUPS))
    save_result(folder / "results.json", comparison)
    return comparison, read_page(write_report(folder / "results.json", folder / "report.html"))


def test_every_arm_has_its_success_by_group(grouped):
    comparison, page = grouped
    for one in comparison.arms:
        touch, push, stack = (one.per_task[task] for task in ("touch", "push", "stack"))
        row = page.row("groups-1", one.arm)
        easy = (touch.successes + push.successes) / (touch.trials + push.trials)
        assert f"| {100 * easy:.1f}%" in row
        assert f"| {100 * stack.rate:.1f}%" in row
        assert f"| {100 * (easy + stack.rate) / 2:.1f}%" in row.rsplit(" | ", 1)[0] + row
        shared = one.groups[1]
        assert shared.together.successes == touch.successes + push.successes
        assert page.row("groups-2", one.arm).startswith(f"{one.arm} | {100 * easy:.1f}%")
    assert "all of these" in page.section("groups-2")
    assert "all episodes" in page.section("groups-1")


def test_where_guessing_is_not_known_nothing_is_said_of_it(grouped):
    comparison, page = grouped
    assert "chance" not in page.section("ranking")
    assert "Chance" not in page.section("reading")
    assert not page.figures["ranking"]["layout"]["shapes"]
    assert not any("chance" in sentence for sentence in conclude(comparison))
    headings = [column.header for column in ranking_table(comparison).columns]
    assert "chance" not in [str(heading) for heading in headings]


def test_the_page_of_the_tabletop_has_no_groups(page):
    assert not page.find("section", id="groups-1")
    assert "chance" in page.section("ranking")


def with_shared_scenes(name, successes, shared, control=None):
    on_shared = rate(shared, 100, shared / 100 - 0.05, shared / 100 + 0.05)
    group = GroupRate(name="drawer", tasks=("open", "close"), success=on_shared)
    found = Grouping(
        kind="shared scene", groups=(group,), together=on_shared, mean=mean_rate([on_shared])
    )
    success = rate(successes, 200, successes / 200 - 0.05, successes / 200 + 0.05)
    return replace(arm(name, success, control=control, chance=0.0), groups=(found,))


def test_tasks_that_share_a_scene_are_set_beside_the_control_without_instruction():
    best = with_shared_scenes("film", 150, 90)
    deaf = with_shared_scenes("film, instruction masked", 110, 50, control="instruction_masked")
    (sentence,) = [s for s in conclude(compared((best, deaf))) if "shared scene" in s]
    assert sentence == (
        "On tasks with a shared scene film succeeds in 90.0% (85.0–95.0%) of 100 episodes; "
        "film, instruction masked in 50.0% (45.0–55.0%)."
    )
