"""Losses, their intervals, and who loses less, against published and hand-counted values."""

import pytest
from transfer_fakes import PickyExpert, episode

from plait.envs import make_env
from plait.envs.tabletop.asking import suite_sentences
from plait.evaluation.differences import Estimate, independent_difference
from plait.evaluation.statistics import paired_difference_interval, wilson
from plait.evaluation.stress.policies import Checked
from plait.evaluation.transfer.challenges import are_paired, shown_by
from plait.evaluation.transfer.fitting import num_fitting
from plait.evaluation.transfer.play import play_challenge
from plait.evaluation.transfer.scores import ArmCells, compare_losses, summarise_arm
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    PARAPHRASES,
    TRAINED,
    VERBS,
    Challenge,
    TransferCell,
)

KNOWN = Challenge(env="tabletop/touch", relation=TRAINED)
HELD_OUT = Challenge(env="tabletop/touch-holdout", relation=COMBINATIONS)
CONTROL = Challenge(env="tabletop/touch-holdout", relation=BESIDE)
REWORDED = Challenge(env="tabletop/touch-paraphrase", relation=PARAPHRASES)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe, 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_difference_of_two_rates_is_newcombes(first, second, low, high):
    found = independent_difference(*(Estimate.of(wilson(*pair)) for pair in (first, second)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert found.value == pytest.approx(first[0] / first[1] - second[0] / second[1])


def cell(challenge, successes, *, first=100, seed=0, refusal=""):
    episodes = tuple(episode(first + i, bool(won)) for i, won in enumerate(successes))
    return TransferCell(arm="a", seed=seed, challenge=challenge, episodes=episodes, refusal=refusal)


def arm(name, cells, control=None):
    return ArmCells(name, name, control, cells)


def test_scores_losses_and_outcomes_are_counted_over_training_seeds():
    cells = {
        KNOWN: [cell(KNOWN, [1] * 8 + [0] * 2), cell(KNOWN, [1] * 10, first=200, seed=1)],
        CONTROL: [cell(CONTROL, [1] * 10), cell(CONTROL, [1, 1], first=200, seed=1)],
        HELD_OUT: [cell(HELD_OUT, [1, 0] * 5), cell(HELD_OUT, [0] * 10, first=200, seed=1)],
        REWORDED: [cell(REWORDED, [0, 1] * 5), cell(REWORDED, [1] * 10, first=200, seed=1)],
    }
    known, control, held_out, reworded = summarise_arm(arm("film", cells)).scores
    assert (known.success.rate, known.seed_rates, known.lost) == (0.9, (0.8, 1.0), None)
    assert known.chance == 0.25
    assert held_out.outcomes == {"wrong_object": 15, "success": 5}
    newcombe = independent_difference(Estimate.of(wilson(18, 20)), Estimate.of(wilson(5, 20)))
    assert not held_out.lost.is_paired
    assert (held_out.lost.value, held_out.lost.low) == pytest.approx((0.65, newcombe.low))
    # Of 12 shared scenes, the control alone solves 7, and never only the other.
    assert held_out.lost_beside.is_paired
    assert held_out.lost_beside.value == pytest.approx(7 / 12)
    assert held_out.lost_beside.high == pytest.approx(paired_difference_interval(7, 0, 12)[1])
    # Scenes of the first seed: 5 solved by one alone against 2 (of the scenes 0 ... 9).
    assert reworded.lost.is_paired
    assert reworded.lost.value == pytest.approx((18 - 15) / 20)
    assert control.lost_beside is None


def test_a_refusal_by_one_training_seed_leaves_no_number():
    cells = {
        KNOWN: [cell(KNOWN, [1] * 4), cell(KNOWN, [1] * 4, first=200, seed=1)],
        REWORDED: [cell(REWORDED, [1] * 4), cell(REWORDED, [], seed=1, refusal="what?")],
    }
    score = summarise_arm(arm("film", cells)).scores[1]
    assert (score.success, score.refusal, score.lost) == (None, "what?", None)


def losing(name, known, held_out, control=None):
    cells = {KNOWN: [cell(KNOWN, known)], HELD_OUT: [cell(HELD_OUT, held_out)]}
    return arm(name, cells, control)


def test_the_strategy_that_keeps_its_success_loses_less():
    steady = losing("steady", [1] * 60, [1] * 60)
    falling = losing("falling", [1] * 60, [0] * 60)
    guessing = losing("guessing", [1, 0, 0, 0] * 15, [0] * 60)
    control = losing("steady, masked", [1] * 60, [0] * 60, control="instruction_masked")
    found = compare_losses([falling, steady, guessing, control], HELD_OUT)
    assert [(pair.first, pair.second, pair.differs) for pair in found] == [
        ("steady", "falling", True)
    ]
    assert found[0].difference == pytest.approx(1.0)
    assert 0.8 < found[0].low < 1.0


def test_equal_losses_are_not_told_apart_however_different_the_levels():
    high = losing("high", [1] * 60, [1] * 48 + [0] * 12)
    low = losing("low", [1] * 48 + [0] * 12, [1] * 36 + [0] * 24)
    (pair,) = compare_losses([high, low], HELD_OUT)
    assert pair.difference == pytest.approx(0.0)
    assert not pair.differs
    assert pair.low < 0 < pair.high


def test_more_pairs_widen_every_interval():
    arms = [losing(name, [1] * 60, [1] * 45 + [0] * 15) for name in "abcd"]
    arms[0] = losing("a", [1] * 60, [1] * 55 + [0] * 5)
    (alone,) = compare_losses(arms[:2], HELD_OUT)
    among = next(pair for pair in compare_losses(arms, HELD_OUT) if pair.second == "b")
    assert among.difference == alone.difference
    assert among.low < alone.low
    assert among.high > alone.high


def test_only_the_same_scenes_in_other_words_are_paired():
    assert are_paired(KNOWN, REWORDED)
    assert not are_paired(KNOWN, HELD_OUT)
    assert not are_paired(KNOWN, CONTROL)
    assert not are_paired(KNOWN, Challenge(env="tabletop/pick", relation=VERBS))


@pytest.fixture(scope="module")
def picky():
    """Return what the picky expert does in a challenge, one scene at a time."""
    shown = shown_by("tabletop/touch")

    def play(challenge, seeds=range(1_000_000, 1_000_004)):
        expert, episodes = PickyExpert(challenge.env), []
        for seed in seeds:
            found = play_challenge(
                Checked(expert, "picky", 7),
                expert.make_env,
                challenge,
                [seed],
                shown,
                arm="picky",
                training_seed=0,
                execution_horizon=1,
            )
            episodes += found.episodes
        return TransferCell(arm="picky", seed=0, challenge=challenge, episodes=tuple(episodes))

    return {challenge: [play(challenge)] for challenge in (KNOWN, CONTROL, HELD_OUT, REWORDED)}


def test_an_expert_that_avoids_held_out_things_loses_all_by_the_combination_alone(picky):
    known, control, held_out, reworded = summarise_arm(arm("picky", picky)).scores
    assert known.success.rate == control.success.rate == reworded.success.rate == 1
    assert held_out.success.rate == 0
    assert set(held_out.outcomes) == {"wrong_object"}
    assert held_out.lost.value == held_out.lost_beside.value == 1
    assert reworded.lost.value == 0


def test_the_control_asks_in_the_same_scenes_for_what_was_shown(picky):
    (control,), (held_out,) = picky[CONTROL], picky[HELD_OUT]
    shown, never = set(suite_sentences("touch")), set(suite_sentences("touch-holdout"))
    assert [e.seed for e in control.episodes] == [e.seed for e in held_out.episodes]
    assert [e.num_candidates for e in control.episodes] == [
        e.num_candidates for e in held_out.episodes
    ]
    assert all(e.instruction in shown for e in control.episodes)
    assert all(e.instruction in never for e in held_out.episodes)


def test_shown_words_leave_open_what_shares_its_colour():
    words = shown_by("tabletop/touch").words
    assert {"touch", "the", "red", "cube"} <= words
    assert "block" not in words
    env = make_env("tabletop/touch-paraphrase", cameras=("base",), image_size=8)
    counts = set()
    for seed in range(30):
        env.reset(seed=seed)
        tabletop = env.unwrapped
        colours = [placed.thing.colour for placed in tabletop.scene.objects]
        assert num_fitting(tabletop, words) == colours.count(tabletop.task.thing.colour)
        assert num_fitting(tabletop, ()) == len(colours)
        counts.add(num_fitting(tabletop, words))
    assert len(counts) > 1
    plain = make_env("tabletop/touch", cameras=("base",), image_size=8)
    plain.reset(seed=0)
    assert num_fitting(plain.unwrapped, words) == 1
