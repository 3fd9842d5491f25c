"""Sentences about comparisons whose numbers are all in sight."""

from dataclasses import replace

import pytest
from hand_made import arm, compared, pair, rate

from plait.report.conclusions import conclude, episodes_to_separate

FILM = arm("film", rate(150, 200, 0.686, 0.805), latency_ms=4.0)
LATE = arm("late", rate(140, 200, 0.633, 0.759), latency_ms=2.0)
EARLY = arm("early", rate(80, 200, 0.335, 0.469), latency_ms=1.0)
BLIND = arm("film, images masked", rate(10, 200, 0.027, 0.090), control="images_masked")
DEAF = arm("film, instruction masked", rate(50, 200, 0.195, 0.314), control="instruction_masked")

BETTER = pair("film", "late", 30, 5, 0.05, 0.001)
TIED = pair("film", "late", 30, 20, 0.05, 0.4)
FAR = pair("film", "early", 80, 10, 0.35, 0.0001)
USES_WORDS = pair("film", "film, instruction masked", 110, 10, 0.5, 0.0001)
USES_IMAGES = pair("film", "film, images masked", 142, 2, 0.7, 0.0001)


def said(sentences, *parts):
    """Return the one sentence that holds all the parts."""
    found = [s for s in sentences if all(part in s for part in parts)]
    assert len(found) == 1, (parts, sentences)
    return found[0].replace("\N{NO-BREAK SPACE}", " ")


def test_a_winner_is_named_only_where_it_differs_from_every_other():
    sentences = conclude(compared((FILM, LATE, EARLY), (BETTER, FAR)))
    assert sentences[0].replace("\N{NO-BREAK SPACE}", " ") == (
        "film is better than every other strategy: it succeeds in 75.0% (68.6–80.5%) of 200 "
        "episodes, the next, late, in 70.0% (+5.0 points, 95% interval 0.0 to +10.0, p = 0.001)."
    )


def test_two_strategies_that_differ():
    sentences = conclude(compared((FILM, LATE), (BETTER,)))
    assert sentences[0].startswith("film is better than the other strategy:")


def test_ties_are_not_won():
    sentences = conclude(compared((FILM, LATE, EARLY), (TIED, FAR)))
    assert sentences[0] == (
        "There is no single winner: film has the highest success, 75.0% (68.6–80.5%) of 200 "
        "episodes, but that many episodes do not tell it from late. early is worse than film."
    )
    assert not any("better than" in sentence for sentence in sentences)


def test_a_tie_of_all_names_nobody_as_worse():
    sentences = conclude(compared((FILM, LATE), (TIED,)))
    assert sentences[0].endswith("do not tell it from late.")


def test_arms_that_were_not_compared_are_not_told_apart():
    sentences = conclude(compared((FILM, LATE), ()))
    assert "do not tell it from late" in sentences[0]
    assert not any("more episodes" in sentence for sentence in sentences)


def test_many_losers_are_counted():
    losers = tuple(replace(EARLY, arm=f"early{index}") for index in range(5))
    pairs = tuple(pair("film", loser.arm, 80, 10, 0.35, 0.001) for loser in losers)
    first = conclude(compared((FILM, LATE, *losers), (TIED, *pairs)))[0]
    assert first.endswith("do not tell it from late. The 5 others are worse than film.")


def test_episodes_to_separate_against_the_formula_by_hand():
    # p10 = 0.15, p01 = 0.10: (1.95996 √0.25 + 0.84162 √(0.25 - 0.0025))² / 0.05² = 782.9...
    assert episodes_to_separate(0.15, 0.10, 1) == 783
    # With two tests z_α is 2.24140: (1.12070 + 0.41870)² / 0.0025 = 947.9...
    assert episodes_to_separate(0.15, 0.10, 2) == 948
    assert episodes_to_separate(0.1, 0.1, 1) is None
    assert episodes_to_separate(0.10, 0.15, 1) == 783


def test_a_tie_says_how_many_more_episodes_it_would_take():
    # 30 and 20 of 200, one comparison: 783 in all, 583 more, rounded up to 590.
    sentence = said(conclude(compared((FILM, LATE), (TIED,))), "To tell film from late")
    assert "roughly 590 more episodes each" in sentence
    assert "the 5.0 points seen here" in sentence
    assert "corrected for 1 comparison)" in sentence


def test_equal_counts_cannot_be_extrapolated():
    equal = pair("film", "late", 20, 20, 0.0, 1.0)
    said(conclude(compared((FILM, LATE), (equal,))), "film and late solved equally many episodes")


def test_controls_below_the_strategy_and_where_they_stand_to_chance():
    sentences = conclude(compared((FILM, DEAF, BLIND), (USES_WORDS, USES_IMAGES)))
    words = said(sentences, "film uses the instruction")
    assert words == (
        "film uses the instruction: without it in training and test, its success falls by 50.0 "
        "points (p < 0.001) to 25.0% (19.5–31.4%), which cannot be told from chance (25.0%)."
    )
    images = said(sentences, "film uses the images: without them")
    assert images.endswith("to 5.0% (2.7–9.0%), below chance (25.0%).")
    assert not any("learned nothing" in sentence for sentence in sentences)


def test_a_control_above_chance_shows_a_leak():
    leaky = replace(DEAF, success=rate(120, 200, 0.531, 0.665))
    sentences = conclude(compared((FILM, leaky), (USES_WORDS,)))
    assert said(sentences, "film uses the instruction").endswith(
        "to 60.0% (53.1–66.5%), above chance (25.0%), so part of the task can be done without it."
    )


def test_a_control_whose_interval_holds_chance_is_not_called_above_it():
    near = replace(DEAF, success=rate(56, 200, 0.223, 0.346))
    sentence = said(conclude(compared((FILM, near), (USES_WORDS,))), "film uses the instruction")
    assert sentence.endswith("to 28.0% (22.3–34.6%), which cannot be told from chance (25.0%).")


def test_a_strategy_like_its_control_has_learned_nothing():
    same = pair("film", "film, instruction masked", 30, 25, 0.02, 0.6)
    sentences = conclude(compared((FILM, DEAF), (same,)))
    assert "does not tell the two apart (p = 0.6)" in said(
        sentences, "film is not shown to use the instruction"
    )
    said(sentences, "film is not shown to beat a control", "learned nothing about fusion")


def test_a_control_that_beats_its_strategy_is_reported_as_wrong():
    worse = pair("film, instruction masked", "film", 60, 20, 0.2, 0.001)
    sentences = conclude(compared((FILM, DEAF), (worse,)))
    said(sentences, "film does better without the instruction", "something is wrong")
    said(sentences, "film is not shown to beat a control")


def test_other_strategies_are_measured_against_the_controls_by_their_intervals():
    leaky = replace(DEAF, success=rate(90, 200, 0.383, 0.519))
    pairs = (TIED, FAR, USES_WORDS)
    sentences = conclude(compared((FILM, LATE, EARLY, leaky), pairs))
    sentence = said(sentences, "learned nothing about fusion")
    assert sentence.startswith("early is not shown to beat a control")


def test_chance_is_named_for_strategies_that_do_not_clear_it():
    weak = arm("weak", rate(60, 200, 0.241, 0.367), chance=0.25)
    sentences = conclude(compared((FILM, weak), (pair("film", "weak", 95, 5, 0.45, 0.001),)))
    said(sentences, "weak is not shown to be above chance", "25.0%")


@pytest.mark.parametrize(
    ("unseen", "verb"),
    [
        (rate(60, 200, 0.241, 0.367), "film falls to 30.0% (24.1–36.7%), from 75.0%"),
        (rate(144, 200, 0.654, 0.778), "film stays within the uncertainty, at 72.0%"),
        (rate(190, 200, 0.910, 0.973), "film rises to 95.0%"),
    ],
)
def test_unseen_combinations(unseen, verb):
    said(conclude(compared((replace(FILM, holdout=unseen),))), "never seen in training", verb)


def test_the_cheapest_of_the_tied_is_named():
    sentence = said(conclude(compared((FILM, LATE, EARLY), (TIED, FAR))), "cheapest")
    assert sentence == (
        "Of the strategies not told from the best, late is the cheapest to run: 2.00 ms a "
        "prediction against 4.00 ms for film, 2.0 min of training against 4.0 min."
    )


def test_the_price_of_a_winner():
    sentence = said(conclude(compared((FILM, LATE, EARLY), (BETTER, FAR))), "takes 4.00")
    assert sentence.endswith("the fastest, early, takes 1.00 ms and succeeds in 40.0%.")
    cheap = replace(FILM, cost=EARLY.cost)
    said(conclude(compared((cheap, LATE), (BETTER,))), "film is also the fastest: 1.00")
    said(conclude(compared((cheap, LATE), (TIED,))), "film is also the cheapest to run")


def test_one_seed_leaves_training_noise_unknown():
    said(conclude(compared((FILM,))), "trained with one seed", "unknown")


def test_several_seeds_show_training_noise():
    arms = (replace(FILM, seed_rates=(0.70, 0.80)), replace(LATE, seed_rates=(0.62, 0.78)))
    said(conclude(compared(arms, (TIED,))), "between training seeds", "16.0 points (late)")


def test_a_single_strategy_is_compared_with_nothing():
    sentences = conclude(compared((FILM,)))
    assert sentences[0].endswith("there is no other strategy to compare it with.")
    assert len(sentences) == 2


def test_only_controls():
    assert conclude(compared((DEAF,))) == ("No strategy was evaluated, only controls.",)


def test_meaningless_numbers_allow_no_conclusion():
    [sentence] = conclude(compared((FILM, LATE), (BETTER,), is_meaningful=False))
    assert sentence.startswith("These numbers are too small to mean anything: the preset smoke")
    assert "200 episodes per strategy" in sentence
