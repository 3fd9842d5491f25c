"""Summary numbers with closed forms: areas, effective robustness, Shapley values."""

import numpy as np
import pytest

from plait.errors import OptionError
from plait.evaluation.stress.contributions import perceptual_score, shapley_values, subsets
from plait.evaluation.stress.summary import (
    area_under_curve,
    effective_robustness,
    relative_robustness,
)

NAMES = ("action", "language", "proprio", "vision")


def test_an_unhurt_policy_has_relative_robustness_one():
    assert relative_robustness({0: 0.8, 1: 0.8, 3: 0.8, 5: 0.8}) == pytest.approx(1)


def test_a_straight_decline_to_nothing_leaves_half():
    assert relative_robustness({0: 0.9, 1: 0.72, 3: 0.36, 5: 0.0}) == pytest.approx(0.5)


def test_the_area_weighs_by_distance_between_severities():
    # 1 until severity 1, then 0 from severity 3 on: ∫ = 1 + 1 (a triangle) over 5.
    assert area_under_curve({0: 1.0, 1: 1.0, 3: 0.0, 5: 0.0}) == pytest.approx(2 / 5)


def test_the_area_ends_at_the_highest_severity_played():
    assert area_under_curve({0: 1.0, 2: 0.5}) == pytest.approx(0.75)


def test_a_policy_that_can_do_nothing_has_no_relative_robustness():
    assert relative_robustness({0: 0.0, 5: 0.0}) is None


@pytest.mark.parametrize("curve", [{}, {0: 1.0}, {1: 0.5, 3: 0.4}])
def test_a_curve_needs_a_clean_start_and_more(curve):
    with pytest.raises(OptionError, match="starts at 0"):
        area_under_curve(curve)


def test_effective_robustness_is_zero_against_a_shifted_copy():
    reference = {0: 0.6, 1: 0.5, 3: 0.3, 5: 0.1}
    better = {severity: value + 0.3 for severity, value in reference.items()}
    assert effective_robustness(better, reference) == pytest.approx(0)


def test_effective_robustness_adds_what_is_kept_beyond_the_reference():
    reference = {0: 0.6, 1: 0.4, 5: 0.0}
    curve = {0: 0.8, 1: 0.8, 3: 0.8, 5: 0.5}
    # Shifted by 0.2 the reference has 0.6 and 0.2; severity 3 is not in common.
    assert effective_robustness(curve, reference) == pytest.approx(0.2 + 0.3)


def test_effective_robustness_needs_something_in_common():
    with pytest.raises(OptionError, match="cannot be compared"):
        effective_robustness({0: 1.0, 1: 1.0}, {0: 1.0, 2: 1.0})


def random_game(seed, num_units=5, names=NAMES):
    rng = np.random.default_rng(seed)
    return {subset: rng.normal(size=num_units) for subset in subsets(names)}


@pytest.mark.parametrize("seed", range(3))
def test_shapley_values_add_up_to_all_less_none_in_every_scene(seed):
    game = random_game(seed)
    total = sum(shapley_values(game).values())
    np.testing.assert_allclose(total, game[frozenset(NAMES)] - game[frozenset()], atol=1e-12)


def test_interchangeable_modalities_have_equal_values():
    game = {subset: np.array([float(len(subset) ** 2)]) for subset in subsets(NAMES)}
    values = shapley_values(game)
    assert all(value == pytest.approx(16 / 4) for value in values.values())


def test_a_modality_that_changes_nothing_is_worth_nothing():
    game = random_game(1)
    for subset in subsets(NAMES):
        game[subset] = game[subset - {"proprio"}]
    assert shapley_values(game)["proprio"] == pytest.approx(np.zeros(5))


def test_additive_parts_get_exactly_what_they_add():
    weights = dict(zip(NAMES, (0.1, 0.2, 0.0, 0.5), strict=True))
    game = {s: np.array([sum(weights[name] for name in s)], dtype=float) for s in subsets(NAMES)}
    values = shapley_values(game)
    assert {name: float(value[0]) for name, value in values.items()} == pytest.approx(weights)


def test_two_modalities_of_the_research_notes():
    """Measured once: alone 0.765 and 0.305, together 0.876."""
    game = {
        frozenset(): np.zeros(1),
        frozenset({"vision"}): np.array([0.765]),
        frozenset({"language"}): np.array([0.305]),
        frozenset({"vision", "language"}): np.array([0.876]),
    }
    values = shapley_values(game)
    assert float(values["vision"][0]) == pytest.approx(0.668)
    assert float(values["language"][0]) == pytest.approx(0.208)


def test_shapley_values_need_every_subset_and_few_modalities():
    game = random_game(0)
    del game[frozenset({"vision"})]
    with pytest.raises(OptionError, match=r"absent: \[\['vision'\]\]"):
        shapley_values(game)
    with pytest.raises(OptionError, match="at most 6"):
        shapley_values({frozenset("abcdefg"): np.zeros(1)})


def test_perceptual_score_runs_from_unused_to_everything():
    assert perceptual_score(0.2, 0.2, trivial=0.6) == pytest.approx(0)
    assert perceptual_score(0.2, 0.6, trivial=0.6) == pytest.approx(1)
    assert perceptual_score(0.2, 0.4, trivial=0.6) == pytest.approx(0.5)
    assert perceptual_score(0.7, 0.8, trivial=0.6) is None
