"""What the page, the table and the sentences of a transfer test say, and what they do not."""

import io
import re

import pytest
from rich.console import Console
from transfer_fakes import MACHINE, episode

from plait.evaluation.transfer.scores import ArmCells, compare_all_losses, summarise_arm
from plait.report.transfer import conclude_transfer, transfer_table, write_transfer_report
from plait.report.transfer.figures import transfer_figures
from plait.results import save_result
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    PARAPHRASES,
    TRAINED,
    VERBS,
    Challenge,
    TransferCell,
    TransferResult,
)

KNOWN = Challenge(env="tabletop/touch", relation=TRAINED)
CONTROL = Challenge(env="tabletop/touch-holdout", relation=BESIDE)
HELD_OUT = Challenge(env="tabletop/touch-holdout", relation=COMBINATIONS)
REWORDED = Challenge(env="tabletop/touch-paraphrase", relation=PARAPHRASES)
PUSH = Challenge(env="tabletop/push", relation=VERBS)
CHALLENGES = (KNOWN, CONTROL, HELD_OUT, REWORDED, PUSH)
SCENES = 100


def arm(name, successes, control=None):
    """Make an arm from the number of successes in each challenge; None is a refusal."""
    cells = {}
    for challenge, count in zip(CHALLENGES, successes, strict=True):
        wins = [] if count is None else [index < count for index in range(SCENES)]
        cells[challenge] = [
            TransferCell(
                arm=name,
                seed=0,
                challenge=challenge,
                episodes=tuple(episode(i, won) for i, won in enumerate(wins)),
                num_fitting=(2,) * len(wins) if challenge is REWORDED else (),
                refusal="unknown word 'tap'" if count is None else "",
            )
        ]
    return ArmCells(name, name, control, cells)


def result_of(*arms, notes=()):
    return TransferResult(
        command="plait transfer outputs/compare",
        sources=("outputs/compare",),
        env=KNOWN.env,
        challenges=CHALLENGES,
        arms=tuple(summarise_arm(each) for each in arms),
        comparisons=compare_all_losses(arms),
        num_scenes=SCENES,
        num_shown=20,
        notes=notes,
        settings={"episodes": SCENES},
        total_seconds=60.0,
        machine=MACHINE,
    )


STEADY = arm("steady", (95, 94, 93, 90, 0))
FALLING = arm("falling", (95, 90, 20, 45, 60))
GUESSING = arm("guessing", (25, 25, 25, 25, 0))
BLIND = arm("falling, instruction masked", (25, 25, 25, 25, 62), control="instruction_masked")


@pytest.fixture
def sentences():
    return conclude_transfer(result_of(STEADY, FALLING, GUESSING, BLIND))


def about(sentences, *words):
    found = [each for each in sentences if all(word in each for word in words)]
    assert len(found) == 1, (words, sentences)
    return found[0]


def test_who_loses_less_is_named_first_and_only_where_it_is_shown(sentences):
    assert sentences[0].startswith(
        "On combinations never seen (tabletop/touch-holdout) steady loses less than falling"
    )
    assert "73.0 points less" in sentences[0]
    assert "guessing" not in sentences[0]
    even = conclude_transfer(result_of(STEADY, arm("other", (94, 94, 92, 88, 0))))
    assert "no strategy is shown to lose less than another (1 pair compared)" in even[0]
    assert "steady 93.0%, from 95.0%; other 92.0%, from 94.0%" in even[1]


def test_losses_come_with_intervals_and_the_control_says_what_the_combination_cost(sentences):
    line = about(sentences, "falling a loss of 75.0 points")
    assert re.search(r"a loss of 75\.0 points \(\+6\d\.\d to \+8\d\.\d\)", line)
    assert "falling a loss of 70.0 points" in about(sentences, "the combination itself makes")


def test_a_strategy_at_chance_is_named_and_said_to_have_nothing_to_lose(sentences):
    line = about(sentences, "nothing can be lost there")
    assert line.startswith("guessing is not shown")
    at_chance = about(sentences, "not shown to be above chance in tabletop/touch-holdout")
    assert at_chance.startswith("falling and guessing are")


def test_knowing_the_colours_alone_is_no_understanding_of_paraphrases(sentences):
    line = about(sentences, "reading these alone and guessing the rest gives 50.0%")
    assert line.endswith("above that is steady.")


def test_success_with_a_verb_never_shown_is_held_against_the_control(sentences):
    line = about(sentences, "Suites whose verb no demonstration shows (push)")
    assert "falling in tabletop/push, 60.0%" in line
    assert "but not told from 62.0% without instruction" in line
    without = conclude_transfer(result_of(STEADY, GUESSING))
    assert "no strategy is shown to be above chance" in about(without, "(push)")


def test_one_strategy_is_described_rather_than_compared():
    lines = conclude_transfer(result_of(arm("film", (90, 88, 86, None, 0))))
    assert lines[0].startswith("On combinations never seen (tabletop/touch-holdout) film succeeds")
    assert "a loss of 4.0 points" in lines[0]
    assert "which is not told from nothing" in lines[0]
    assert "asked for a combination that was shown, film succeeds in 88.0%" in lines[1]
    assert not any("paraphrase" in line.lower() for line in lines)


def test_a_gain_is_called_one():
    (line,) = [
        each
        for each in conclude_transfer(result_of(arm("film", (50, 60, 90, None, None))))
        if "a gain of 40.0 points" in each
    ]
    assert "never seen" in line


def test_the_page_is_one_file_that_loads_nothing_and_shows_every_number(tmp_path):
    shown = result_of(STEADY, FALLING, BLIND, notes=("A <b>note</b>.",))
    save_result(tmp_path / "results.json", shown)
    path = write_transfer_report(tmp_path / "results.json", tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    body = re.sub(r"<script\b.*?</script>", "", page.split("<body", 1)[1], flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["']https?:""", body)
    assert "A &lt;b&gt;note&lt;/b&gt;." in body
    for written in ("93.0%", "−75.0", "touch-holdout", "by shown words", "falling"):
        assert written in body, written
    again = write_transfer_report(tmp_path / "results.json", tmp_path / "again.html")
    assert again.read_bytes() == path.read_bytes()


def test_a_dumbbell_goes_from_what_was_trained_to_what_was_not():
    figures = transfer_figures(result_of(STEADY, FALLING))
    dumbbells = [name for name in figures if name.startswith("lost-")]
    assert dumbbells == [f"lost-{HELD_OUT.key}", f"lost-{REWORDED.key}"]
    lines = [trace for trace in figures[dumbbells[0]].data if trace["mode"] == "lines"]
    assert [trace["x"] for trace in lines] == [[0.95, 0.93], [0.95, 0.2]]
    marks = figures[dumbbells[1]].layout["annotations"]
    assert any("shown words alone 50.0%" in mark["text"] for mark in marks)
    assert len([name for name in figures if name.startswith("outcomes-")]) == len(CHALLENGES)


def printed(result, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(transfer_table(result))
    return console.export_text()


def test_the_table_drops_intervals_before_names_and_refused_columns_always():
    found = result_of(STEADY, arm("film, robust", (90, 88, 86, None, 0)))
    wide, narrow = printed(found, 140), printed(found, 64)
    assert "95% (89–98)" in wide
    assert "95%" in narrow
    assert "(89" not in narrow
    for text in (wide, narrow):
        assert "steady" in text
        assert "robust" in text
        assert "refused" in text
    alone = printed(result_of(arm("film", (90, 88, 86, None, 0))), 140)
    assert "refused" not in alone
    assert "paraphrase" not in alone
