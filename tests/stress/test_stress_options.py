"""Training options: paired differences against a reckoning by hand, and what is said to help."""

import random
from dataclasses import replace
from statistics import fmean, quantiles

import pytest

from plait.errors import OptionError
from plait.evaluation.statistics import paired_difference_interval
from plait.evaluation.stress.options import Trained, compare_options
from plait.results.options import Option
from plait.results.stress import Cell, Condition

NUM_UNITS = 40
CLEAN = Condition(kind="clean", name="clean")


def corrupted(name, severity, modality="vision"):
    return Condition(kind="corruption", name=name, severity=severity, modality=modality)


def without(*names):
    return Condition(kind="missing", name="+".join(names), missing=names)


CONDITIONS = (
    CLEAN,
    without("vision"),
    without("language"),
    without("vision", "language"),
    Condition(kind="camera", name="wrist", modality="vision"),
    Condition(kind="listening", name="listening"),
    corrupted("jpeg", 1),
    corrupted("jpeg", 5),
    corrupted("occlusion", 1),
    corrupted("empty", 5, "language"),
)
# Success rates by condition: of the policy itself, and of one that was trained otherwise.
PLAIN = dict(
    zip([c.key for c in CONDITIONS], (1, 0.2, 0.1, 0, 0.4, 1, 0.8, 0.4, 0.3, 0.1), strict=True)
)
BETTER = {**PLAIN, "corruption-jpeg-5": 0.9, "corruption-occlusion-1": 0.8, "clean-clean-0": 0.8}


def cells(rates, seed):
    """Cells whose scenes succeed at the given rates."""
    rng = random.Random(seed)
    made = {}
    for condition in CONDITIONS:
        order = list(range(NUM_UNITS))
        rng.shuffle(order)
        solved = set(order[: round(NUM_UNITS * rates[condition.key])])
        made[condition.key] = Cell(
            condition=condition,
            loop="closed",
            units=tuple(range(NUM_UNITS)),
            values=tuple(float(unit in solved) for unit in range(NUM_UNITS)),
        )
    return made


def trained(name, *played):
    policies = tuple(f"{name}{index}" for index in range(len(played)))
    return Trained(Option(name=name, changes=(name,), policies=policies), played)


def compared(*others, conditions=CONDITIONS, **options):
    base = trained("this", cells(PLAIN, 0))
    return compare_options([base, *others], conditions, "closed", **options)


def effects(option):
    return {each.name: each for each in (*option.measures, *option.conditions)}


def test_averages_are_those_reckoned_by_hand():
    found = compared(trained("b", cells(BETTER, 1)))
    own, other = map(effects, found.options)
    assert {name: round(each.value, 9) for name, each in own.items()} == {
        "undisturbed": 1.0,
        "corrupted": round(((0.8 + 0.4) / 2 + 0.3) / 2, 9),
        "lost to corruption": round(0.45 - 1, 9),
        "worst condition": 0.3,
        "one sense missing": round((0.2 + 0.4) / 2, 9),
        # Areas: jpeg over 0, 1, 5 and occlusion over 0, 1.
        "kept vision": round((((1 + 0.8) / 2 + 4 * (0.8 + 0.4) / 2) / 5 + (1 + 0.3) / 2) / 2, 9),
        "jpeg": 0.6,
        "occlusion": 0.3,
        "without vision": 0.2,
        "without language": 0.1,
        "without camera wrist": 0.4,
    }
    assert other["corrupted"].change == pytest.approx(((0.8 + 0.9) / 2 + 0.8) / 2 - 0.45)
    assert other["lost to corruption"].change == pytest.approx(0.375 + 0.2)
    assert (own["worst condition"].detail, other["worst condition"].detail) == (
        "occlusion 1",
        "jpeg 1",
    )
    assert (found.corruptions, found.severities) == (("jpeg", "occlusion"), (1, 5))
    assert (found.num_units, found.confidence) == (NUM_UNITS, pytest.approx(0.95))
    assert all((each.low, each.high, each.change) == (0, 0, 0) for each in own.values())


def test_intervals_are_those_of_scenes_drawn_again_with_all_that_both_did():
    first, second = cells(PLAIN, 0), cells(BETTER, 1)
    found = compared(trained("b", second))

    def mean_over(played, units):
        rate = {key: fmean(cell.values[unit] for unit in units) for key, cell in played.items()}
        jpeg = (rate["corruption-jpeg-1"] + rate["corruption-jpeg-5"]) / 2
        return (jpeg + rate["corruption-occlusion-1"]) / 2

    rng = random.Random(3)
    drawn = [rng.choices(range(NUM_UNITS), k=NUM_UNITS) for _ in range(1500)]
    gains = [mean_over(second, units) - mean_over(first, units) for units in drawn]
    ends = quantiles(gains, n=40, method="inclusive")
    effect = effects(found.options[1])["corrupted"]
    assert (effect.low, effect.high) == pytest.approx((ends[0], ends[-1]), abs=0.015)
    assert found == compared(trained("b", cells(BETTER, 1)))


def test_a_single_condition_has_the_score_interval_of_paired_rates():
    first, second = cells(PLAIN, 0), cells(BETTER, 1)
    found = effects(compared(trained("b", second)).options[1])
    key = "corruption-occlusion-1"
    pairs = list(zip(first[key].values, second[key].values, strict=True))
    gained, lost = pairs.count((0.0, 1.0)), pairs.count((1.0, 0.0))
    low, high = paired_difference_interval(gained, lost, NUM_UNITS)
    assert (found["occlusion"].low, found["occlusion"].high) == pytest.approx((low, high))
    # The worst conditions of both may differ; their scenes are the same.
    pairs = list(zip(first[key].values, second["corruption-jpeg-1"].values, strict=True))
    ends = paired_difference_interval(pairs.count((0.0, 1.0)), pairs.count((1.0, 0.0)), NUM_UNITS)
    worst = found["worst condition"]
    assert (worst.low, worst.high) == pytest.approx(ends)


def test_scenes_that_end_alike_for_both_leave_a_single_rate_its_spread():
    same = effects(compared(trained("b", cells(PLAIN, 0))).options[1])
    assert (same["corrupted"].change, same["corrupted"].low, same["corrupted"].high) == (0, 0, 0)
    undisturbed = same["undisturbed"]
    assert undisturbed.change == 0
    assert -0.1 < undisturbed.low < 0 < undisturbed.high < 0.1


def test_the_winner_is_named_only_where_it_is_told_from_all_others():
    better, worse = trained("better", cells(BETTER, 1)), trained("worse", cells(PLAIN, 2))
    found = compared(worse, better)
    by_measure = {each.measure: each for each in found.verdicts}
    verdict = by_measure["corrupted"]
    assert (verdict.best, verdict.is_better, verdict.rivals) == ("better", True, ())
    assert [each.name for each in found.options] == ["this", "better", "worse"]
    assert found.confidence == pytest.approx(0.975)
    # Nothing changed where senses are missing.
    assert not by_measure["one sense missing"].is_better
    tied = compared(better, trained("alike", cells(BETTER, 4))).verdicts[0]
    assert tied.is_better
    assert {tied.best, *tied.rivals} == {"better", "alike"}
    none = compared(trained("a", cells(PLAIN, 5)), trained("b", cells(PLAIN, 6))).verdicts[0]
    assert not none.is_better


def test_seeds_of_a_training_are_averaged_and_widen_the_interval():
    one = effects(compared(trained("b", cells(BETTER, 1))).options[1])["corrupted"]
    both = compared(trained("b", cells(BETTER, 1), cells(PLAIN, 7))).options[1]
    two = effects(both)["corrupted"]
    assert two.change == pytest.approx(one.change / 2)
    assert two.high - two.low > one.high - one.low
    assert both.policies == ("b0", "b1")


def test_a_corruption_that_one_refused_or_lacks_is_left_out_for_all():
    refusing = cells(BETTER, 1)
    key = "corruption-jpeg-5"
    refusing[key] = replace(refusing[key], values=(), units=(), refusal="unknown word")
    found = compared(trained("b", refusing))
    assert found.corruptions == ("occlusion",)
    assert "jpeg" not in effects(found.options[0])
    assert found.notes == (
        "Not every policy was played with these, so they are not compared: jpeg.",
    )
    del refusing[key], refusing["camera-wrist-0"]
    (note,) = compared(trained("b", refusing)).notes
    assert note.endswith("compared: wrist, jpeg.")


def test_errors_of_demonstrations_become_skill():
    def errors(value):
        return {
            key: replace(cell, loop="open", values=(value,) * NUM_UNITS)
            for key, cell in cells(PLAIN, 0).items()
        }

    base = trained("this", errors(0.2))
    found = compare_options([base, trained("b", errors(0.1))], CONDITIONS, "open", trivial=0.4)
    values = [effects(option)["corrupted"].value for option in found.options]
    assert values == pytest.approx([0.5, 0.75])


def test_without_clean_success_nothing_is_kept():
    never = dict.fromkeys(PLAIN, 0.0)
    found = compared(trained("b", cells(never, 0)))
    assert not any(each.name.startswith("kept") for each in found.options[0].measures)


def test_too_little_to_compare_is_refused():
    with pytest.raises(OptionError, match="from two policies and two scenes"):
        compared()
    other = {key: replace(cell, units=tuple(range(7, 47))) for key, cell in cells(PLAIN, 0).items()}
    with pytest.raises(OptionError, match="the same scenes or episodes, but theirs differ"):
        compared(trained("b", other))
