"""With and without robust training: sentences from numbers in sight."""

from dataclasses import replace

from hand_made import arm, compared, pair, rate

from plait.report.conclusions import conclude
from plait.report.robust import conclude_robust
from plait.report.starts import starts


def made(name, successes, *, robust=False, init="none"):
    low, high = successes / 200 - 0.05, successes / 200 + 0.05
    return replace(arm(name, rate(successes, 200, low, high)), robust=robust, init=init)


FILM, LATE = made("film", 150), made("late", 60)
ROBUST_FILM = made("film, robust", 120, robust=True)
ROBUST_LATE = made("late, robust", 62, robust=True)
PAIRS = (
    pair("film", "film, robust", 40, 10, 0.15, 0.001),
    pair("late, robust", "late", 12, 10, 0.01, 0.7),
)
WHOLE = compared((FILM, ROBUST_FILM, ROBUST_LATE, LATE), PAIRS)


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_sentence_says_where_it_harms_and_where_nothing_is_shown():
    (sentence,) = map(plain, conclude_robust(WHOLE))
    assert sentence.startswith(
        "On scenes in which nothing is missing or disturbed, robust training harms film (−15.0 "
        "points, 95% interval −20.0 to −10.0, p = 0.001). It is not shown to matter for late (+1.0 "
        "points, 95% interval −4.0 to +6.0, p = 0.7)."
    )
    assert sentence in map(plain, conclude(WHOLE))


def test_nothing_is_said_where_nothing_was_trained_robustly():
    assert conclude_robust(compared((FILM, LATE))) == []
    assert conclude_robust(compared((ROBUST_FILM, LATE))) == []


def test_a_robust_policy_from_towers_is_paired_with_a_robust_one():
    aligned = made("film, aligned", 155, init="aligned")
    both = made("film, aligned, robust", 130, init="aligned", robust=True)
    found = starts(compared((aligned, FILM, both, ROBUST_FILM)))
    assert [(s.fusion, s.aligned.arm, s.without.arm) for s in found] == [
        ("film", "film, aligned", "film"),
        ("film, robust", "film, aligned, robust", "film, robust"),
    ]
