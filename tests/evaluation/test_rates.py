"""Rates by task and by group, and a policy beside its controls, against formulas written out."""

from math import comb, sqrt

import pytest
from evaluate_fakes import GROUPS, episodes_of
from evaluation_fakes import make_episode

from plait.envs import family_of
from plait.envs.metaworld.tasks import SHARED_SCENES, SUITES
from plait.evaluation.rates import (
    compare_episodes,
    compare_with_controls,
    group_rates,
    mean_rate,
    summarise_condition,
)
from plait.evaluation.statistics import wilson

Z = 1.959963984540054


def wilson_by_hand(successes, trials):
    share = successes / trials
    middle = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z / (1 + Z**2 / trials) * sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    return middle - half, middle + half


@pytest.fixture
def condition():
    episodes = episodes_of({"reach": 9, "push": 4, "stack": 1, "peg": 10})
    return summarise_condition(episodes, GROUPS, control=None, masked=(), seconds=4.0)


def test_tasks_and_groups_have_wilson_intervals(condition):
    assert {task: rate.successes for task, rate in condition.per_task.items()} == {
        "peg": 10,
        "push": 4,
        "reach": 9,
        "stack": 1,
    }
    difficulty, shared = condition.groups
    found = {group.name: group.success for group in difficulty.groups}
    assert {name: (rate.successes, rate.trials) for name, rate in found.items()} == {
        "easy": (13, 20),
        "very_hard": (1, 10),
    }
    assert [(group.name, group.success.successes) for group in shared.groups] == [("puck", 13)]
    for rate in (condition.success, *condition.per_task.values(), *found.values()):
        expected = wilson_by_hand(rate.successes, rate.trials)
        assert (rate.low, rate.high) == pytest.approx(expected)


def test_means_count_tasks_and_groups_alike(condition):
    # An uneven number of episodes tells the mean over tasks from that over episodes.
    more = [make_episode(1000 + index, success=True, task="peg") for index in range(60)]
    uneven = summarise_condition(
        [*condition.episodes, *more], GROUPS, control=None, masked=(), seconds=4.0
    )
    assert uneven.task_mean == pytest.approx((0.9 + 0.4 + 0.1 + 1.0) / 4)
    assert uneven.success.rate == pytest.approx(84 / 100)
    difficulty = uneven.groups[0]
    assert difficulty.mean.value == pytest.approx((13 / 20 + 1 / 10) / 2)
    # `peg` is in no group.
    assert (difficulty.together.successes, difficulty.together.trials) == (14, 30)


def test_the_interval_of_a_mean_adds_those_of_its_parts_in_quadrature():
    rates = [wilson(13, 20), wilson(1, 10)]
    mean = mean_rate(rates)
    lows, highs = zip(*(wilson_by_hand(13, 20), wilson_by_hand(1, 10)), strict=True)
    below = sqrt((0.65 - lows[0]) ** 2 + (0.1 - lows[1]) ** 2) / 2
    above = sqrt((highs[0] - 0.65) ** 2 + (highs[1] - 0.1) ** 2) / 2
    assert (mean.low, mean.high) == pytest.approx((0.375 - below, 0.375 + above))
    alone = mean_rate(rates[:1])
    assert (alone.low, alone.high) == pytest.approx((rates[0].low, rates[0].high))


def test_steps_and_speed(condition):
    assert condition.mean_steps == 5
    assert condition.mean_steps_to_success == 5
    assert condition.steps_per_second == pytest.approx(40 * 5 / 4.0)
    failed = summarise_condition(
        episodes_of({"reach": 0}), GROUPS, control=None, masked=(), seconds=0.0
    )
    assert failed.mean_steps_to_success is None


def test_groups_without_an_episode_are_left_out():
    assert [each.kind for each in group_rates(episodes_of({"stack": 3}), GROUPS)] == ["difficulty"]
    assert group_rates(episodes_of({"stack": 3}), {}) == ()


def test_a_policy_is_paired_with_its_controls_in_all_scenes_and_in_those_of_a_group():
    full = {"reach": 10, "push": 10, "stack": 10}
    solved = {None: full, "instruction_masked": {**full, "push": 2}, "images_masked": full}
    conditions = [
        summarise_condition(episodes_of(each), GROUPS, control=control, masked=(), seconds=1.0)
        for control, each in solved.items()
    ]
    found = compare_with_controls(conditions, GROUPS)
    shown = {(each.control, each.kind): each.pair for each in found}
    # All tasks have a difficulty: that kind would say the same again.
    assert set(shown) == {
        (control, kind)
        for control in ("instruction_masked", "images_masked")
        for kind in ("", "shared scene")
    }
    everywhere, shared = (shown["instruction_masked", kind] for kind in ("", "shared scene"))
    assert (everywhere.first, everywhere.second) == ("policy", "instruction masked")
    assert (everywhere.first_only, everywhere.second_only) == (8, 0)
    assert everywhere.difference == pytest.approx(8 / 30)
    assert shared.difference == pytest.approx(8 / 20)
    # Eight scenes that one alone solved: two tails of a fair coin, times four tests.
    assert everywhere.p_value == pytest.approx(4 * 2 * comb(8, 8) / 2**8)
    assert shown["images_masked", ""].p_value == 1
    assert not shown["images_masked", ""].differs


def test_the_better_condition_comes_first_and_scenes_are_matched_by_seed():
    first = [make_episode(seed, success=False) for seed in range(12)]
    second = [make_episode(seed, success=seed < 11) for seed in reversed(range(13))]
    pair = compare_episodes("a", first, "b", second)
    assert (pair.first, pair.first_only, pair.second_only) == ("b", 11, 0)
    assert pair.difference == pytest.approx(11 / 12)
    assert pair.differs


def test_meta_world_is_grouped_by_difficulty_and_by_shared_scene():
    family = family_of("metaworld/MT50")
    groups = family.groups("MT50")
    sizes = {name: len(tasks) for name, tasks in groups["difficulty"].items()}
    assert sizes == {"easy": 28, "medium": 11, "hard": 6, "very_hard": 5}
    assert groups["shared scene"] == SHARED_SCENES
    assert family.groups("MT10")["shared scene"] == {
        "puck": ("reach-v3", "push-v3", "pick-place-v3"),
        "drawer": ("drawer-open-v3", "drawer-close-v3"),
        "window": ("window-open-v3", "window-close-v3"),
    }
    assert family.groups("push-v3") == {"difficulty": {"hard": ("push-v3",)}}
    for suite, tasks in SUITES.items():
        for members in family.groups(suite).values():
            assert {task for group in members.values() for task in group} <= set(tasks)
    assert family_of("tabletop/all").groups("all") == {}
