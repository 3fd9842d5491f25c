"""The sentences, the table and the page of a comparison on demonstrations, from made-up numbers."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from plait.errors import DataError
from plait.report.open_loop import conclude_open_loop, error_table, write_open_loop_report
from plait.results import Cost, CurvePoint, DatasetSummary, Estimate, Machine, save_result
from plait.results.open_loop import (
    COPY_STATE,
    MEAN_ACTION,
    EpisodeError,
    ErrorPair,
    OpenLoopArm,
    OpenLoopComparison,
    OpenLoopRun,
)

NASTY = "<script>alert('x')</script>"
COST = Cost(
    num_parameters=202_000,
    flops_per_action_chunk=100,
    latency_ms_median=2.0,
    latency_ms_p99=3.0,
    train_seconds=60.0,
    train_samples_per_second=1000.0,
)
MACHINE = Machine(
    platform="p", processor="c", num_cores=2, python="3", packages={}, git_commit="abc"
)


def near(value, half=0.01):
    return Estimate(value=value, low=value - half, high=value + half)


def arm(name, kind, *steps, control=None):
    return OpenLoopArm(
        arm=name,
        kind=kind,
        fusion=name.split(",")[0] if kind != "baseline" else "",
        control=control,
        error=near(sum(steps) / len(steps)),
        per_step=tuple(near(step) for step in steps),
        seed_errors=() if kind == "baseline" else (sum(steps) / len(steps),),
        cost=None if kind == "baseline" else COST,
    )


FILM = arm("film", "strategy", 0.22, 0.28)
LATE = arm("late", "strategy", 0.3, 0.4)
BLIND = arm("film, images masked", "control", 0.23, 0.29, control="images_masked")
DEAF = arm("film, instruction masked", "control", 0.4, 0.5, control="instruction_masked")
COPY = arm(COPY_STATE, "baseline", 0.2, 0.34)
MEAN = arm(MEAN_ACTION, "baseline", 1.0, 1.0)


def pair(first, second, value, half=0.005):
    return ErrorPair(first=first.arm, second=second.arm, difference=near(value, half))


def made(**changes):
    result = OpenLoopComparison(
        title=f"Plait {NASTY}",
        command="plait compare --data demos",
        preset="default",
        is_meaningful=True,
        dataset=DatasetSummary(
            path=f"demos {NASTY}",
            fingerprint="abc",
            num_episodes=50,
            num_steps=4000,
            cameras=("base",),
            tasks=("pick", "place"),
            is_recorded_here=False,
        ),
        num_held_out=10,
        num_steps=800,
        fps=10.0,
        arms=(FILM, COPY, BLIND, LATE, DEAF, MEAN),
        pairs=(
            pair(FILM, LATE, 0.1),
            pair(FILM, COPY, 0.02),
            pair(FILM, MEAN, 0.75),
            pair(FILM, BLIND, 0.01, half=0.02),
            pair(FILM, DEAF, 0.2),
        ),
        notes=("A note.",),
        runs=("runs/film",),
        settings={"seed": 0},
        total_seconds=60.0,
        machine=MACHINE,
    )
    return replace(result, **changes)


def said(**changes):
    return " ".join(conclude_open_loop(made(**changes)))


def test_the_winner_its_baselines_its_horizon_and_its_controls_are_named():
    text = said()
    assert "film predicts the actions of 10 held-out episodes best" in text
    assert "0.250 (0.240–0.260)" in text
    assert "every other strategy has a larger error" in text
    assert "7.4% smaller than that of “copy the state” (0.270)" in text
    assert "“copy the state” is at least as good up to 0.10 s ahead" in text
    assert "Vision shows no use on these episodes" in text
    assert "The instruction earns its keep: film trained without errs by +0.200" in text
    assert "A note." in text
    assert "not success" in text


def test_who_is_not_told_apart_is_named_so():
    pairs = (pair(FILM, LATE, 0.1, half=0.2), pair(FILM, COPY, 0.02, half=0.05))
    text = said(pairs=pairs)
    assert "not told apart from it: late" in text
    assert "film cannot be told from “copy the state”" in text


def test_a_baseline_that_is_better_is_said_to_be():
    text = said(arms=(COPY, FILM, LATE, MEAN), pairs=(pair(COPY, FILM, 0.03),))
    assert "“copy the state” (0.270) has a smaller error than every strategy" in text


def test_a_control_that_is_better_is_said_to_be():
    text = said(arms=(BLIND, FILM), pairs=(pair(BLIND, FILM, 0.02),))
    assert "Vision does harm here: film trained without errs by −0.020" in text


def test_language_is_not_judged_where_there_is_one_instruction():
    dataset = replace(made().dataset, tasks=("pick",))
    assert "instruction earns" not in said(dataset=dataset)


def test_a_smoke_run_claims_nothing():
    (only,) = conclude_open_loop(made(is_meaningful=False, preset="smoke"))
    assert "mean nothing" in only


def test_the_table_has_every_arm_in_groups():
    console = Console(file=io.StringIO(), width=140)
    console.print(error_table(made()))
    lines = console.file.getvalue().splitlines()
    names = [name for line in lines for name in re.findall(r"^ (\S.*?)  ", line)]
    arms = ["film", "late", BLIND.arm, DEAF.arm, COPY.arm, MEAN.arm]
    assert [name for name in names if name in arms] == arms


def test_a_narrow_terminal_gets_whole_names_and_no_costs():
    console = Console(file=io.StringIO(), width=60)
    console.print(error_table(made()))
    shown = console.file.getvalue()
    assert "…" not in shown
    assert "instruction" in shown
    assert "latency" not in shown


def write_run(folder):
    run = OpenLoopRun(
        arm="film",
        fusion="film",
        control=None,
        seed=0,
        cost=COST,
        curve=tuple(
            CurvePoint(step=step, train_loss=1 / step, validation_loss=1 / step, seconds=1.0 * step)
            for step in (1, 2, 3)
        ),
        episodes=(EpisodeError(episode=3, error=0.2, per_step=(0.1, None)),),
        machine=MACHINE,
    )
    folder.mkdir(parents=True)
    save_result(folder / "result.json", run)


def test_the_page_holds_everything_and_nothing_is_run_from_names(tmp_path):
    write_run(tmp_path / "runs/film")
    save_result(tmp_path / "results.json", made())
    page = write_open_loop_report(tmp_path / "results.json", tmp_path / "report.html").read_text()
    body = page.split("<body", 1)[1]
    assert NASTY not in page
    for needle in ("Who knows what the robot does next?", "How far ahead", "0.250 (0.240–0.260)"):
        assert needle in body
    assert 'id="figure-horizon"' in body
    assert 'id="figure-curves"' in body
    written = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"']https?:", written)


def test_a_comparison_without_strategies_is_refused(tmp_path):
    save_result(tmp_path / "results.json", made(arms=(COPY,), runs=()))
    with pytest.raises(DataError, match="no strategies"):
        write_open_loop_report(tmp_path / "results.json", tmp_path / "report.html")
