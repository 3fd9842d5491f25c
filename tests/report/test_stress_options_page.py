"""Training options on the page and in sentences: which helps most, and when none is named."""

from dataclasses import replace

import pytest
from page_reading import read_page
from test_stress_report import NASTY, made

from plait.report.stress import conclude_stress, write_stress_report
from plait.results import load_result, save_result
from plait.results.options import Effect, Option, OptionComparison, Verdict
from plait.results.stress import StressResult

MEASURES = (
    "undisturbed",
    "corrupted",
    "lost to corruption",
    "worst condition",
    "one sense missing",
)


def effect(name, value, change=0.0, half=0.02, **options):
    half = half if change else 0.0
    return Effect(
        name=name, value=value, change=change, low=change - half, high=change + half, **options
    )


def option(name, clean, corrupted, missing, **options):
    """Values of an option, changes from a policy with 0.9, 0.5 and 0.3."""
    return Option(
        name=name,
        policies=(f"{name}/policy",),
        measures=(
            effect("undisturbed", clean, clean - 0.9),
            effect("corrupted", corrupted, corrupted - 0.5),
            effect("lost to corruption", corrupted - clean, corrupted - clean + 0.4),
            effect("worst condition", 0.1, detail="jpeg 5"),
            effect("one sense missing", missing, missing - 0.3),
        ),
        conditions=(
            effect("undisturbed", clean, clean - 0.9),
            effect("jpeg", corrupted, corrupted - 0.5, group="vision"),
        ),
        **options,
    )


THIS = option("film/policy", 0.9, 0.5, 0.3, changes=())
DROPOUT = option("dropout", 0.85, 0.52, 0.7, changes=("dropout of modalities 0.1",))
JPEGS = option("corruptions", 0.86, 0.7, 0.31, changes=(NASTY,))


def comparison(*verdicts, options=(THIS, JPEGS, DROPOUT), **changes):
    return OptionComparison(
        loop="closed",
        num_units=50,
        corruptions=("jpeg", "occlusion"),
        severities=(1, 5),
        confidence=0.975,
        options=options,
        verdicts=verdicts,
        **changes,
    )


def verdict(measure, best, *rivals, is_better=True):
    return Verdict(measure=measure, best=best, is_better=is_better, rivals=rivals)


def sentences(found):
    return conclude_stress(made(options=(found,)))


def test_the_option_that_helps_most_comes_after_the_weakest_modality_with_its_effect_and_price():
    found = sentences(
        comparison(verdict("corrupted", "corruptions"), verdict("one sense missing", "dropout"))
    )
    assert found[0].startswith("Weakest is vision")
    assert found[1] == (
        "Of 2 training options compared, “corruptions” helps most over 2 corruptions (severities 1 "
        "and 5): +20.0 points (+18.0 to +22.0) of success, at −4.0 points (−6.0 to −2.0) "
        "undisturbed."
    )
    assert found[2] == (
        "Of 2 training options compared, “dropout” helps most with one sense missing: +40.0 points "
        "(+38.0 to +42.0) of success, at −5.0 points (−7.0 to −3.0) undisturbed."
    )
    assert any("a training with another seed may come out otherwise" in each for each in found)


def test_a_price_within_its_interval_is_not_told_from_nothing_and_told_once():
    cheap = option("corruptions", 0.89, 0.7, 0.5, changes=())
    verdicts = [verdict(name, "corruptions") for name in ("corrupted", "one sense missing")]
    found = sentences(comparison(*verdicts, options=(THIS, cheap, DROPOUT)))
    assert found[1].endswith(
        ", at −1.0 points (−3.0 to +1.0) undisturbed, which is not told from nothing."
    )
    assert found[2].endswith("(+18.0 to +22.0) of success.")


def test_no_winner_is_named_where_the_scenes_do_not_tell():
    tied = sentences(comparison(verdict("corrupted", "corruptions", "dropout")))[1]
    assert tied == (
        "Of 2 training options compared, which helps most over 2 corruptions (severities 1 and 5) "
        "is not told: “corruptions” is ahead with +20.0 points (+18.0 to +22.0) of success, but "
        "not told from “dropout” (+2.0 points (0.0 to +4.0))."
    )
    none = sentences(comparison(verdict("corrupted", "corruptions", is_better=False)))[1]
    assert "none is shown to help over 2 corruptions" in none
    assert "helps most" not in none
    only = comparison(verdict("corrupted", "dropout", is_better=False), options=(THIS, DROPOUT))
    assert sentences(only)[1].startswith(
        "The one training option compared, “dropout”, is not shown to help over"
    )


def test_an_option_whose_whole_interval_is_below_zero_hurts():
    worse = option("dropout", 0.85, 0.4, 0.7, changes=("dropout of modalities 0.1",))
    only = comparison(verdict("corrupted", "dropout", is_better=False), options=(THIS, worse))
    assert sentences(only)[1].startswith("The one training option compared, “dropout”, hurts over")


def test_on_demonstrations_it_is_skill():
    found = replace(comparison(verdict("corrupted", "corruptions")), loop="open")
    (sentence,) = [each for each in sentences(found) if "training options compared" in each]
    assert sentence.startswith("On demonstrations, of 2 training options compared")
    assert "of skill" in sentence


def test_where_nothing_was_compared_that_is_said_with_what_to_do():
    found = conclude_stress(made())
    (sentence,) = [each for each in found if "training option" in each]
    assert "is not known" in sentence
    assert "--against" in sentence
    assert found.index(sentence) == len(found) - 2


def test_the_page_has_table_figure_and_what_each_option_changes(tmp_path):
    result = made(options=(comparison(verdict("corrupted", "corruptions"), notes=("A note.",)),))
    save_result(tmp_path / "results.json", result)
    assert load_result(tmp_path / "results.json", StressResult) == result
    page = read_page(write_stress_report(tmp_path / "results.json", tmp_path / "report.html"))
    assert page.row("options", "this policy") == (
        "this policy | 90.0% | 50.0% | −40.0 | 10.0%jpeg 5 | 30.0%"
    )
    assert page.row("options", "corruptions") == (
        "corruptions | 86.0%−4.0−6.0 to −2.0 | 70.0%+20.0+18.0 to +22.0 | −16.0+24.0+22.0 to +26.0"
        " | 10.0%0.00.0 to 0.0jpeg 5 | 31.0%+1.0−1.0 to +3.0"
    )
    section = page.section("options")
    assert "dropout of modalities 0.1 (1 training)." in section
    assert NASTY in section
    assert "hold together (97.5% each)" in section
    assert "A note." in page.section("findings")
    figure = page.figures["options-closed"]
    assert [trace["x"] for trace in figure["data"]] == [[0.9, 0.5], [0.86, 0.7], [0.85, 0.52]]
    lines = [(shape["x0"], shape["x1"]) for shape in figure["layout"]["shapes"]]
    assert lines == [(0.85, 0.9), (0.5, 0.7)]


@pytest.mark.parametrize("name", ["options", "failures"])
def test_without_a_comparison_the_page_has_no_place_for_it(tmp_path, name):
    save_result(tmp_path / "results.json", made())
    page = read_page(write_stress_report(tmp_path / "results.json", tmp_path / "report.html"))
    assert not page.find("section", id=name)
