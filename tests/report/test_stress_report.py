"""The page, the tables and the sentences of a stress test, from numbers made by hand."""

import io
import json
from dataclasses import replace

import pytest
from page_reading import read_page
from rich.console import Console

from plait.errors import DataError
from plait.report.stress import conclude_stress, stress_table, write_stress_report
from plait.results import DatasetSummary, Machine, Rate, load_result, save_result
from plait.results.stress import (
    Breakdown,
    Condition,
    Contribution,
    ContributionGroup,
    Kept,
    Listening,
    Loop,
    Reaction,
    Robustness,
    Score,
    StressResult,
)

NASTY = "<script>alert('x')</script> & co"
MODALITIES = ("language", "proprio", "vision")
CLEAN = Condition(kind="clean", name="clean")


def score(condition, value, change=0.0, half=0.05, **options):
    return Score(
        condition=condition,
        value=value,
        low=max(value - half, 0.0),
        high=value + half,
        num_units=50,
        change=change,
        change_low=change - half,
        change_high=change + half,
        **options,
    )


def corrupted(name, modality, severity):
    return Condition(kind="corruption", name=name, severity=severity, modality=modality)


def missing(*names):
    return Condition(kind="missing", name="+".join(names), missing=names)


def robustness(name, modality, relative, effective=None):
    return Robustness(
        name=name, modality=modality, highest=5, area=0.5, relative=relative, effective=effective
    )


def kept(modality, value, half=0.1):
    return Kept(modality=modality, value=value, low=value - half, high=value + half)


def contributions(*values):
    return tuple(
        Contribution(modality=name, value=value, low=value - 0.1, high=value + 0.1)
        for name, value in zip(MODALITIES, values, strict=True)
    )


def group(name, values, leader="", departures=None, perceptual=()):
    """Make a group; departures are by modality, and told unless they are 0."""
    return ContributionGroup(
        name=name,
        num_units=30,
        everything=0.1,
        nothing=0.1 + sum(values),
        contributions=contributions(*values),
        perceptual=perceptual,
        leader=leader,
        departures=tuple(
            Contribution(modality=m, value=v, low=v - 0.02, high=v + 0.02)
            for m, v in (departures or {}).items()
        ),
    )


def phases():
    return Breakdown(
        by="phase",
        groups=(
            group("approach", (0.02, 0.03, 0.2), "vision", {"vision": 0.12, "language": 0.0}),
            group("grasp", (0.05, 0.06, 0.04)),
            group("place", (0.2, 0.01, 0.04), "language", {"language": 0.15, "vision": -0.08}),
        ),
        note="The gripper never closes in 3 of 30 held-out episodes.",
    )


def closed_loop():
    refused = corrupted("typos", "language", 5)
    return Loop(
        loop="closed",
        num_units=50,
        scores=(
            score(CLEAN, 0.9),
            score(missing("vision"), 0.0, -0.9),
            score(missing("language"), 0.3, -0.6),
            score(missing("proprio"), 0.88, -0.02),
            score(missing("vision", "language", "proprio"), 0.0, -0.9),
            score(Condition(kind="camera", name="wrist", modality="vision"), 0.5, -0.4),
            score(corrupted("jpeg", "vision", 1), 0.9),
            score(corrupted("jpeg", "vision", 5), 0.2, -0.7),
            score(corrupted("other_instruction", "language", 5), 0.1, -0.8),
            Score(condition=refused, value=None, refusal="unknown word"),
            score(corrupted("proprio_noise", "proprio", 5), 0.87, -0.03),
        ),
        robustness=(
            robustness("jpeg", "vision", 0.6, effective=-0.25),
            robustness("other_instruction", "language", 0.1),
            robustness("proprio_noise", "proprio", 0.97),
        ),
        kept=(kept("proprio", 0.97), kept("vision", 0.6)),
        contributions=contributions(0.35, 0.02, 0.53),
    )


def open_loop():
    return Loop(
        loop="open",
        num_units=20,
        scores=(
            score(CLEAN, 0.1, half=0.01),
            score(corrupted("jpeg", "vision", 5), 0.2, 0.1, half=0.01),
        ),
        robustness=(robustness("jpeg", "vision", 0.5),),
        kept=(kept("vision", 0.5),),
        perceptual=contributions(0.4, 0.0, 0.6),
        trivial=0.3,
    )


def rate(value):
    return Rate(
        successes=round(50 * value), trials=50, rate=value, low=max(value - 0.1, 0), high=value
    )


def made(**changes):
    result = StressResult(
        command=f"plait stress {NASTY}",
        policy=NASTY,
        env="tabletop/touch",
        closed=closed_loop(),
        open=open_loop(),
        listening=Listening(
            instructed=rate(0.7),
            original=rate(0.1),
            neither=rate(0.2),
            told_its_own=rate(0.9),
            chance=0.25,
        ),
        reaction=Reaction(
            swapped=0.5,
            swapped_low=0.4,
            swapped_high=0.6,
            paraphrased=0.1,
            paraphrased_low=0.05,
            paraphrased_high=0.15,
        ),
        dataset=DatasetSummary(
            path="demos",
            fingerprint="f00d",
            num_episodes=100,
            num_steps=900,
            cameras=("base",),
            tasks=("touch it",),
            is_recorded_here=False,
        ),
        reference="outputs/late",
        notes=("Something could not be judged.",),
        settings={"severities": [1, 5]},
        total_seconds=75.0,
        machine=Machine(platform="p", processor="c", num_cores=2, python="3", packages={}),
    )
    return replace(result, **changes)


def page_of(result, tmp_path):
    save_result(tmp_path / "results.json", result)
    return read_page(write_stress_report(tmp_path / "results.json", tmp_path / "report.html"))


def test_a_saved_result_comes_back_the_same(tmp_path):
    save_result(tmp_path / "results.json", made())
    assert load_result(tmp_path / "results.json", StressResult) == made()


def test_the_first_finding_names_the_weakest_modality():
    first = conclude_stress(made())[0]
    assert first.startswith(
        "Weakest is vision: over its corruptions the policy keeps 60.0% (50.0% to 70.0%) of its "
    )
    assert "proprio 97.0% (87.0% to 107.0%)" in first
    assert "choice of scenes" in first
    assert "language" not in first  # other_instruction loses the task, and typos were refused


def test_weakest_is_said_with_reserve_where_intervals_overlap():
    close = replace(open_loop(), kept=(kept("vision", 0.9), kept("proprio", 0.85)))
    found = conclude_stress(made(closed=None, listening=None, open=close))[0]
    assert found.startswith("On demonstrations, weakest, though intervals overlap, is proprio:")
    assert "choice of episodes" in found


def test_a_result_from_before_averages_had_intervals_still_has_a_page(tmp_path):
    page_of(made(), tmp_path)
    old = json.loads((tmp_path / "results.json").read_text())
    for loop in ("closed", "open"):
        del old[loop]["kept"], old[loop]["breakdowns"]
    (tmp_path / "results.json").write_text(json.dumps(old))
    assert load_result(tmp_path / "results.json", StressResult).closed.kept == ()
    page = read_page(write_stress_report(tmp_path / "results.json", tmp_path / "report.html"))
    assert page.row("closed", "jpeg")
    assert "Weakest" not in page.text


def test_findings_say_how_bad_it_gets_and_how_well_it_listens():
    text = " ".join(conclude_stress(made()))
    assert "the worst is jpeg at severity 5: 20.0%, −70.0 (−75.0 to −65.0 points)" in text
    assert "1 of 3 corrupted conditions are worse" in text
    assert "without camera wrist 50.0%, without vision 0.0%" in text
    assert "does the instructed thing in 70.0%" in text
    assert "still does the scene's own in 10.0%" in text
    assert "5.0 times as far" in text
    assert "always the mean action: 0.300" in text
    assert "above 100% it misleads): vision 60.0%, language 40.0% and proprio 0.0%" in text
    assert text.endswith("Something could not be judged.")


def test_a_policy_that_reacts_alike_to_tasks_and_words_is_told_so():
    deaf = replace(made().reaction, swapped=0.15)
    assert "hardly tells another task from other words" in conclude_stress(made(reaction=deaf))[-3]
    unasked = replace(made().reaction, paraphrased=None, refusal="unknown word")
    assert "the policy refuses it" in conclude_stress(made(reaction=unasked))[-3]


def test_the_heat_map_holds_every_cell(tmp_path):
    page = page_of(made(), tmp_path)
    assert page.row("closed", "jpeg") == "jpeg | 90.0%85–95% | 20.0%15–25% | 60.0% | −0.25"
    assert page.row("closed", "typos") == "typos |  | refused | – | –"
    assert page.row("open", "jpeg") == "jpeg | 0.2000.190–0.210 | 50.0%"


def test_the_lattice_shows_what_is_there_and_what_is_left(tmp_path):
    page = page_of(made(), tmp_path)
    assert page.row("closed", "everything") == "everything | ● | ● | ● | 90.0% | 85–95% | "
    assert page.row("closed", "without vision") == (
        "without vision | ○ | ● | ● | 0.0% | 0–5% | −90.0"
    )
    assert page.row("closed", "without camera wrist").endswith("50.0% | 45–55% | −40.0")


def with_breakdowns(*breakdowns):
    return made(open=replace(open_loop(), breakdowns=breakdowns))


def test_contributions_by_phase_are_a_picture_with_marks_where_intervals_tell(tmp_path):
    page = page_of(with_breakdowns(phases()), tmp_path)
    figure = page.figures["open-contributions-phase"]
    bars = figure["data"][0]
    # Vision, language, proprio: in the order in which modalities are shown everywhere.
    assert bars["x"] == [0.2, 0.02, 0.03, 0.04, 0.05, 0.06, 0.04, 0.2, 0.01]
    assert bars["error_x"]["array"] == pytest.approx([0.1] * 9)
    assert bars["y"] == sorted(bars["y"])
    assert figure["layout"]["yaxis"]["ticktext"] == [
        "<b>vision  0.200 ▲</b>",
        "language  0.020",
        "proprio  0.030",
        "vision  0.040",
        "language  0.050",
        "proprio  0.060",
        "vision  0.040 ▼",
        "<b>language  0.200 ▲</b>",
        "proprio  0.010",
    ]
    headings = [each["text"] for each in figure["layout"]["annotations"]]
    assert headings[0].startswith("<b>approach</b>, 30 episodes")
    assert "error 0.100 with everything, 0.350 with nothing" in headings[0]
    text = page.section("open")
    assert "never closes in 3 of 30" in text
    assert "a tenth of the episode to either side" in text


def test_what_stands_out_by_phase_is_said_only_where_intervals_tell():
    found = next(s for s in conclude_stress(with_breakdowns(phases())) if s.startswith("By phase"))
    assert found == (
        "By phase, on demonstrations: vision contributes most to approach; language to place; "
        "intervals do not tell which does to grasp. Farthest from the average over the other "
        "phases: language in place by +0.150 (+0.130 to +0.170), vision in approach by +0.120 "
        "(+0.100 to +0.140) and vision in place by −0.080 (−0.100 to −0.060)."
    )
    alike = Breakdown(by="task", groups=(group("a", (0.1, 0.1, 0.1)), group("b", (0.1, 0.1, 0.1))))
    assert (
        "By task, on demonstrations: intervals do not tell which modality contributes most to any. "
        "No contribution is told from the average over the other tasks."
    ) in conclude_stress(with_breakdowns(alike))


def test_perceptual_scores_of_groups_are_a_table(tmp_path):
    groups = (
        group("pour", (0.1, 0.1, 0.1), perceptual=contributions(0.4, -0.05, 1.2)),
        group("stir", (0.1, 0.1, 0.1)),
        group("shake", (0.1, 0.1, 0.1), perceptual=contributions(0.0, 0.0, 0.5)),
    )
    page = page_of(with_breakdowns(Breakdown(by="task", groups=groups)), tmp_path)
    assert page.row("open", "task") == "task | vision | language | proprio"
    assert page.row("open", "pour") == (
        "pour | 120% (110 to 130) | 40% (30 to 50) | −5% (−15 to 5)"
    )
    assert page.row("open", "shake").startswith("shake | 50%")
    assert "stir" not in [row.split(" | ")[0] for row in page.rows("open")]


def test_a_breakdown_without_groups_says_why(tmp_path):
    result = with_breakdowns(Breakdown(by="phase", note="From before errors were kept by phase."))
    assert "From before errors were kept by phase." in conclude_stress(result)
    page = page_of(result, tmp_path)
    assert "open-contributions-phase" not in page.figures
    assert "From before errors were kept" in page.section("open")


def test_a_task_with_markup_in_its_name_stays_a_name(tmp_path):
    groups = (group(NASTY, (0.1, 0.1, 0.1)), group("b" * 200, (0.1, 0.1, 0.1)))
    page = page_of(with_breakdowns(Breakdown(by="task", groups=groups)), tmp_path)
    headings = page.figures["open-contributions-task"]["layout"]["annotations"]
    assert headings[0]["text"].startswith("<b>&lt;script&gt;")
    assert "b" * 61 not in headings[1]["text"]
    assert len(page.find("script")) == len(page_of(made(), tmp_path).find("script"))


def test_every_figure_has_a_place_and_every_place_a_figure(tmp_path):
    page = page_of(with_breakdowns(phases()), tmp_path)
    places = {element.attributes["data-figure"] for element in page.find("div", class_="figure")}
    assert places == set(page.figures)
    assert {"listening", "closed-contributions", "open-perceptual"} <= places
    assert "closed-curves-vision" in places
    curve = page.figures["closed-curves-vision"]["data"][0]
    assert curve["y"] == [0.9, 0.9, 0.2]


def test_nothing_from_outside_becomes_markup(tmp_path):
    page = page_of(made(), tmp_path)
    assert NASTY in page.text
    assert "alert('x')" not in " ".join(element.text for element in page.find("script"))


def test_a_test_of_demonstrations_alone_has_a_page(tmp_path):
    page = page_of(made(closed=None, listening=None, env=None, reaction=None), tmp_path)
    assert not page.find("section", id="closed")
    assert not page.find("section", id="listening")
    assert page.row("open", "jpeg")


def test_a_test_of_the_closed_loop_alone_has_a_page(tmp_path):
    page = page_of(made(open=None, reaction=None, dataset=None, reference=None), tmp_path)
    assert not page.find("section", id="open")
    assert page.find("section", id="listening")


def test_the_same_result_gives_the_same_bytes(tmp_path):
    sources = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sources.append(page_of(made(), tmp_path / name).source)
    assert sources[0] == sources[1]


def test_the_terminal_table_fits_80_columns():
    buffer = io.StringIO()
    console = Console(file=buffer, width=80)
    for table in stress_table(made(policy="outputs/film/policy")):
        console.print(table)
    lines = buffer.getvalue().splitlines()
    assert any("jpeg" in line and "20.0%" in line and "60.0%" in line for line in lines)
    assert any("without camera wrist" in line and "50.0%" in line for line in lines)


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        write_stress_report(tmp_path / "results.json", tmp_path / "report.html")
