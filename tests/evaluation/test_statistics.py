import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from evaluation_fakes import make_episode, make_run
from scipy import optimize, stats

from plait.errors import OptionError, PlaitError
from plait.evaluation.statistics import (
    compare_pairs,
    crossed_bootstrap,
    holm,
    mcnemar_exact,
    paired_difference_interval,
    summarise_arms,
    wilson,
)


# Newcombe, 1998, Statistics in Medicine 17, 857-872, table I, method 3 (Wilson).
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_published(successes, trials, low, high):
    rate = wilson(successes, trials)

    assert (rate.successes, rate.trials) == (successes, trials)
    assert rate.rate == successes / trials
    assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


def test_wilson_solves_its_equation():
    # The limits are where |p̂ - p| = z sqrt(p (1 - p) / n).
    z = stats.norm.ppf(0.95)
    rate = wilson(7, 19, confidence=0.9)
    for limit in (rate.low, rate.high):
        assert abs(7 / 19 - limit) == pytest.approx(z * math.sqrt(limit * (1 - limit) / 19))


def test_wilson_at_the_ends():
    assert wilson(0, 13).low == 0
    assert wilson(13, 13).high == 1
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_wilson_covers_on_average():
    trials, rates = 30, np.linspace(0.02, 0.98, 97)
    intervals = [wilson(k, trials) for k in range(trials + 1)]
    covers = np.array([[i.low <= rate <= i.high for i in intervals] for rate in rates])
    probabilities = stats.binom.pmf(np.arange(trials + 1), trials, rates[:, None])
    coverage = (covers * probabilities).sum(axis=1)

    assert coverage.mean() == pytest.approx(0.95, abs=0.01)
    assert coverage.min() > 0.83  # its known dip beside 0 and 1 (Brown, Cai & DasGupta, 2001)


def test_more_successes_than_trials_are_refused():
    with pytest.raises(ValueError, match="4 successes in 3 trials cannot be"):
        wilson(4, 3)


# Fagerland, Lydersen & Laake, 2014: 6 and 16 of 161 (Cavo et al., 2012): p = 0.052479;
# 1 and 7 of 21 (Bentur et al., 2009): 2 (1 + 8) / 2^8.
@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    [(6, 16, 0.052479), (1, 7, 18 / 256), (0, 5, 2 / 32), (4, 4, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_published(first_only, second_only, p_value):
    assert mcnemar_exact(first_only, second_only) == pytest.approx(p_value, abs=5e-7)
    assert mcnemar_exact(second_only, first_only) == pytest.approx(p_value, abs=5e-7)


# Fagerland, Lydersen & Laake, 2014, Tango's asymptotic score interval.
@pytest.mark.parametrize(
    ("first_only", "second_only", "trials", "low", "high"),
    [(6, 16, 161, -0.124, -0.0054), (1, 7, 21, -0.517, -0.026)],
)
def test_tango_published(first_only, second_only, trials, low, high):
    found = paired_difference_interval(first_only, second_only, trials)

    assert found == pytest.approx((low, high), abs=5e-4)
    swapped = paired_difference_interval(second_only, first_only, trials)
    assert swapped == pytest.approx((-high, -low), abs=5e-4)


@pytest.mark.parametrize(("b", "c", "n"), [(3, 9, 40), (0, 5, 17), (5, 0, 17), (11, 2, 13)])
def test_tango_limits_are_where_the_score_test_turns(b, c, n):
    z = stats.norm.ppf(0.975)
    for limit in paired_difference_interval(b, c, n):

        def unlikelihood(q, limit=limit):
            """Trinomial: P(second only) = q, P(first only) = q + limit."""
            cells = np.array([q + limit, q, 1 - 2 * q - limit])
            counts = np.array([b, c, n - b - c])
            return -np.sum(counts[counts > 0] * np.log(np.maximum(cells[counts > 0], 1e-300)))

        bounds = (max(0.0, -limit), (1 - limit) / 2)
        fit = optimize.minimize_scalar(
            unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        )
        variance = n * (2 * fit.x + limit - limit**2)
        assert abs(b - c - n * limit) / math.sqrt(variance) == pytest.approx(z, rel=1e-4)


def test_tango_without_a_split_scene():
    # There q = 0 for Δ > 0, so nΔ = z²(1 - Δ).
    z = stats.norm.ppf(0.975)
    edge = z**2 / (25 + z**2)

    assert paired_difference_interval(0, 0, 25) == pytest.approx((-edge, edge))


def test_tango_when_one_arm_always_wins_alone():
    low, high = paired_difference_interval(12, 0, 12)

    assert high == 1
    assert 0.5 < low < 1
    assert paired_difference_interval(0, 12, 12) == pytest.approx((-1, -low))


@pytest.mark.parametrize(("first", "second"), [(0.2, 0.1), (0.35, 0.05), (0.15, 0.15)])
def test_tango_covers(first, second):
    trials, coverage = 40, 0.0
    for b, c in product(range(trials + 1), repeat=2):
        probability = stats.multinomial.pmf(
            [b, c, trials - b - c], trials, [first, second, 1 - first - second]
        )
        if b + c <= trials and probability > 1e-7:
            low, high = paired_difference_interval(b, c, trials)
            coverage += probability * (low <= first - second <= high)

    assert 0.935 < coverage < 0.965


def test_impossible_pairs_are_refused():
    with pytest.raises(ValueError, match="5 and 6 split scenes among 10 cannot be"):
        paired_difference_interval(5, 6, 10)


def test_holm_by_hand():
    # Sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_bootstrap_covers_both_sources_of_chance():
    # Rates differ between seeds by a normal with deviation .1: for 6 seeds and 400 scenes that is
    # nearly all there is, and an interval that resamples episodes alone would be far too narrow.
    generator = np.random.default_rng(0)
    covered, num_trials = 0, 150
    for _ in range(num_trials):
        rates = np.clip(0.5 + 0.1 * generator.standard_normal((6, 1)), 0, 1)
        successes = (generator.random((6, 400)) < rates).astype(float)
        low, high = crossed_bootstrap(successes, generator, num_resamples=300)
        covered += low <= 0.5 <= high

    # A percentile interval of six values covers a little less than it says.
    assert 0.82 < covered / num_trials < 0.99


def test_bootstrap_variance_is_that_of_the_pigeonhole():
    # values[s, e] = u_s + v_e: Var of the resampled mean is var(u) / S + var(v) / E, exactly.
    u, v = np.array([0.0, 1.0, 5.0, 2.0]), np.arange(7.0) ** 2
    values = u[:, None] + v[None]
    deviation = math.sqrt(u.var() / 4 + v.var() / 7)
    generator = np.random.default_rng(3)
    low, high = crossed_bootstrap(values, generator, confidence=0.6827, num_resamples=40000)

    assert (high - low) / 2 == pytest.approx(deviation, rel=0.05)
    assert low < values.mean() < high


def test_bootstrap_needs_three_seeds():
    with pytest.raises(ValueError, match="2 training seeds are too few to resample; 3 are needed"):
        crossed_bootstrap(np.zeros((2, 9)), np.random.default_rng(0))


def test_an_arm_is_summarised_over_its_seeds():
    runs = [
        make_run("film", [1, 1, 0, 1], seed=1, error=0.3, seconds=5.0),
        make_run("concat", [0, 0, 0, 1]),
        make_run("film", [1, 0, 0, 0], seed=0, error=0.1, seconds=2.0),
        make_run("film", [1, 1, 1, 1], seed=2, error=0.2, seconds=3.0),
    ]
    best, worst = summarise_arms(runs)

    assert (best.arm, worst.arm) == ("film", "concat")
    assert (best.success.successes, best.success.trials) == (8, 12)
    assert best.success == wilson(8, 12)
    assert best.seed_rates == (0.25, 0.75, 1.0)
    assert best.outcomes == {"success": 8, "timeout": 4}
    assert best.validation_action_error == pytest.approx(0.2)
    assert best.cost.latency_ms_median == 3
    assert best.cost.train_seconds == 300
    assert (best.cost.num_parameters, best.cost.flops_per_action_chunk) == (11, 13)


def test_tasks_and_chance_are_kept_apart():
    run = make_run("late", [])
    episodes = (
        make_episode(1, True, task="touch", num_candidates=2),
        make_episode(2, False, task="touch", num_candidates=4, outcome="wrong_object"),
        make_episode(3, False, task="push", num_candidates=4),
    )
    (arm,) = summarise_arms([replace(run, episodes=episodes)])

    assert arm.chance == pytest.approx((1 / 2 + 1 / 4 + 1 / 4) / 3)
    assert {task: (r.successes, r.trials) for task, r in arm.per_task.items()} == {
        "push": (0, 1),
        "touch": (1, 2),
    }
    assert arm.outcomes == {"success": 1, "wrong_object": 1, "timeout": 1}


def test_held_out_scenes_are_summarised_apart():
    runs = [make_run("late", [1, 0], seed=seed) for seed in (0, 1)]
    held_out = (make_episode(7, True), make_episode(8, True), make_episode(9, False))
    runs[1] = replace(runs[1], holdout_episodes=held_out)
    (arm,) = summarise_arms(runs)

    assert arm.holdout == wilson(2, 3)
    assert (arm.success.successes, arm.success.trials) == (2, 4)
    assert summarise_arms(runs[:1])[0].holdout is None


def test_pairs_are_matched_by_training_seed_and_scene():
    runs = [
        make_run("a", [1, 1, 1, 0, 1, 1], seed=0),
        make_run("a", [0, 1, 1, 1, 1, 1], seed=1),
        make_run("b", [0, 1, 0, 1, 0, 0], seed=0),
        # One scene fewer: the sixth pair of seed 1 does not exist.
        make_run("b", [0, 0, 0, 1, 1], seed=1),
        # A seed that `a` lacks is not compared.
        make_run("b", [1, 1, 1], seed=2),
    ]
    (pair,) = compare_pairs(runs)

    assert (pair.first, pair.second) == ("a", "b")
    assert (pair.first_only, pair.second_only) == (4 + 2, 1 + 0)
    assert pair.difference == pytest.approx(5 / 11)
    assert (pair.low, pair.high) == paired_difference_interval(6, 1, 11)
    assert pair.p_value == pytest.approx(2 * (1 + 7) / 2**7)
    assert not pair.differs


def test_p_values_are_adjusted_over_all_pairs():
    runs = [
        make_run("best", [1] * 20),
        make_run("middle", [1] * 10 + [0] * 10),
        make_run("worst", [0] * 20),
    ]
    pairs = compare_pairs(runs)

    assert [(p.first, p.second) for p in pairs] == [
        ("best", "middle"),
        ("best", "worst"),
        ("middle", "worst"),
    ]
    raw = [2 / 2**10, 2 / 2**20, 2 / 2**10]
    assert [p.p_value for p in pairs] == pytest.approx([2 * raw[0], 3 * raw[1], 2 * raw[2]])
    assert all(p.differs for p in pairs)


def test_equal_arms_do_not_differ():
    (pair,) = compare_pairs([make_run("a", [1, 0, 1]), make_run("b", [1, 0, 1])])

    assert (pair.difference, pair.p_value, pair.differs) == (0, 1, False)
    assert pair.low == -pair.high


def test_a_control_is_compared_with_its_own_strategy_alone():
    runs = [
        make_run("film", [1, 1, 1]),
        make_run("late", [1, 1, 0]),
        make_run("film, blind", [0, 0, 0], fusion="film", control="images_masked"),
        make_run("film, deaf", [1, 0, 0], fusion="film", control="instruction_masked"),
    ]

    assert {(p.first, p.second) for p in compare_pairs(runs)} == {
        ("film", "late"),
        ("film", "film, deaf"),
        ("film", "film, blind"),
    }


def test_arms_are_compared_on_the_same_share_of_the_demonstrations_alone():
    def aligned(name, successes, **changes):
        return replace(make_run(name, successes, fusion="film"), **changes)

    runs = [
        aligned("film", [1, 1, 1, 1]),
        aligned("film, aligned", [1, 1, 1, 0], init="aligned"),
        aligned("film, less", [1, 1, 0, 0], train_fraction=0.1),
        aligned("film, aligned, less", [1, 0, 0, 0], init="aligned", train_fraction=0.1),
        replace(
            make_run("film, aligned, blind", [0, 0, 0, 0], fusion="film", control="images_masked"),
            init="aligned",
        ),
    ]

    assert {(p.first, p.second) for p in compare_pairs(runs)} == {
        ("film", "film, aligned"),
        ("film, less", "film, aligned, less"),
        ("film, aligned", "film, aligned, blind"),
    }
    summary = {arm.arm: arm for arm in summarise_arms(runs)}["film, aligned, less"]
    assert (summary.init, summary.train_fraction) == ("aligned", 0.1)


def test_one_arm_has_nothing_to_be_compared_with():
    assert compare_pairs([make_run("a", [1])]) == ()


def test_arms_without_a_shared_episode_are_refused():
    with pytest.raises(PlaitError, match="arms 'a' and 'b' share no episode"):
        compare_pairs([make_run("a", [1], seed=0), make_run("b", [1], seed=1)])


def test_two_runs_of_one_seed_are_refused():
    with pytest.raises(OptionError, match="'a' has two runs with training seed 4"):
        summarise_arms([make_run("a", [1], seed=4), make_run("a", [1], seed=4)])
