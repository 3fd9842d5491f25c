"""With and without towers: pairs, sentences and the figure, from numbers in sight."""

from dataclasses import replace

import pytest
from hand_made import arm, compared, pair, rate

from plait.report.conclusions import conclude
from plait.report.figures import starts as starts_figure
from plait.report.starts import conclude_starts, has_starts, starts


def made(name, successes, init="none", share=1.0):
    low, high = successes / 200 - 0.05, successes / 200 + 0.05
    return replace(arm(name, rate(successes, 200, low, high)), init=init, train_fraction=share)


FILM = made("film", 150)
ALIGNED = made("film, aligned", 154, "aligned")
LITTLE = made("film, 10% of the data", 60, share=0.1)
LITTLE_ALIGNED = made("film, aligned, 10% of the data", 90, "aligned", 0.1)
LOOKED_UP = made("retrieval, aligned", 70, "aligned")
PAIRS = (
    pair("film, aligned", "film", 20, 16, 0.02, 0.6),
    pair("film, aligned, 10% of the data", "film, 10% of the data", 50, 20, 0.15, 0.001),
)
WHOLE = compared((ALIGNED, FILM, LITTLE_ALIGNED, LOOKED_UP, LITTLE), PAIRS)


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_policies_from_towers_are_paired_with_those_without():
    found = starts(WHOLE)
    assert [(s.aligned.arm, s.without.arm, s.verdict) for s in found] == [
        ("film, aligned, 10% of the data", "film, 10% of the data", "better"),
        ("film, aligned", "film", "not told apart"),
    ]
    assert found[0].difference == "+15.0 (+10.0 to +20.0)"


def test_the_sentence_says_where_towers_help_and_by_how_much():
    helped, looked_up = map(plain, conclude_starts(WHOLE))
    assert helped == (
        "Starting film from towers (aligned) helps with 10% of the demonstrations: 10% of the "
        "demonstrations, 45.0% against 30.0% without (+15.0 (+10.0 to +20.0) points, p = 0.001); "
        "all demonstrations, 77.0% against 75.0% without (+2.0 (−3.0 to +7.0) points, p = 0.6)."
    )
    assert "succeeds in 35.0% (30.0–40.0%) (aligned, all demonstrations); chance is 25.0%" in (
        looked_up
    )


@pytest.mark.parametrize(
    ("p_value", "difference", "said"),
    [(0.4, -0.02, "is not shown to matter"), (0.01, -0.1, "harms with all demonstrations")],
)
def test_what_is_not_told_apart_is_called_that(p_value, difference, said):
    pairs = (pair("film, aligned", "film", 10, 20, difference, p_value),)
    assert said in conclude_starts(compared((FILM, ALIGNED), pairs))[0]


def test_only_arms_with_the_most_data_are_ranked():
    sentences = conclude(WHOLE)
    assert "film, aligned" in sentences[0]
    assert "10%" not in sentences[0]
    assert sum("Starting film from towers" in sentence for sentence in sentences) == 1


def test_without_towers_and_shares_there_is_nothing_to_show():
    plain_comparison = compared((FILM,))
    assert not has_starts(plain_comparison)
    assert starts_figure(plain_comparison) is None
    assert conclude_starts(plain_comparison) == []


def test_the_figure_has_a_line_for_every_start_and_a_point_for_every_share():
    figure = starts_figure(WHOLE)
    lines = {trace["name"]: trace for trace in figure.data}
    assert set(lines) == {"film", "film, aligned", "retrieval, aligned"}
    assert lines["film"]["y"] == [0.3, 0.75]
    assert lines["film, aligned"]["y"] == [0.45, 0.77]
    assert lines["film"]["error_y"]["array"] == pytest.approx([0.05, 0.05])
