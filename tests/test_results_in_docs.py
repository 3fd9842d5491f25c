"""The tables of `docs/choosing_a_fusion.md` are those of the result files beside it."""

import re
from pathlib import Path

import pytest

from doc_tables import rows
from plait.results import Comparison, load_result
from plait.results.open_loop import OpenLoopComparison
from plait.results.stress import StressResult
from plait.results.transfer import TransferResult

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "choosing_a_fusion.md").read_text(encoding="utf-8")
RESULTS = DOCS / "results"
BENCHMARKS = DOCS.parent / "benchmarks" / "results"


def test_every_result_file_that_is_named_is_there_and_none_is_unnamed():
    named = set(re.findall(r"\]: (results/\S+)", PAGE))
    assert {DOCS / name for name in named} == set(RESULTS.glob("*.json"))
    used = set(re.findall(r"\[([\w-]+)\](?!:)", PAGE))
    assert set(re.findall(r"^\[([\w-]+)\]:", PAGE, flags=re.MULTILINE)) <= used


def test_no_path_of_a_machine_is_published():
    for path in (*RESULTS.glob("*.json"), *BENCHMARKS.rglob("*.json")):
        assert not re.search(r'[" ,=]/\w+/', path.read_text(encoding="utf-8")), path.name


def test_success_by_strategy_is_that_of_the_comparison():
    comparison = load_result(RESULTS / "default_comparison.json", Comparison)
    found = rows(PAGE, "Accuracy, latency and training time")
    assert len(found) == len(comparison.arms)
    for arm, (name, success, interval, latency, _) in zip(comparison.arms, found, strict=True):
        assert arm.fusion in name
        assert success == f"{100 * arm.success.rate:.1f} %"
        assert interval == f"{100 * arm.success.low:.1f} to {100 * arm.success.high:.1f} %"
        assert latency == f"{arm.cost.latency_ms_median:.1f} ms"


def test_what_transfers_is_that_of_the_transfer():
    result = load_result(RESULTS / "default_transfer.json", TransferResult)
    arms = [arm for arm in result.arms if arm.control is None]
    for arm, cells in zip(arms, rows(PAGE, "Combinations and words never seen"), strict=True):
        assert cells[0] == f"`{arm.fusion}`"
        by_relation = {score.challenge.relation: score.success for score in arm.scores}
        expected = [
            by_relation[name] for name in ("trained", "beside", "combinations", "paraphrases")
        ]
        assert cells[1:] == [f"{100 * rate.rate:.1f} %" for rate in expected]


def test_data_size_is_that_of_the_comparison():
    comparison = load_result(RESULTS / "starts_and_shares.json", Comparison)
    rates = {(a.fusion, a.init, a.train_fraction): a.success.rate for a in comparison.arms}
    for share, *cells in rows(PAGE, "Data size"):
        fraction = int(share.rstrip(" %")) / 100
        arms = [("film", "none"), ("film", "aligned"), ("retrieval", "aligned")]
        for (fusion, init), cell in zip(arms, cells, strict=True):
            assert float(cell.rstrip(" %")) == pytest.approx(
                100 * rates[fusion, init, fraction], abs=0.051
            )


@pytest.mark.parametrize(
    ("name", "column"), [("stress_film_20000", 1), ("stress_film_robust_20000", 2)]
)
def test_missing_senses_are_those_of_the_stress_test(name, column):
    loop = load_result(RESULTS / f"{name}.json", StressResult).closed
    value = {(s.condition.kind, s.condition.name): s.value for s in loop.scores}
    base, wrist = value["camera", "base"], value["camera", "wrist"]
    worst = min(v for (kind, _), v in value.items() if kind == "corruption")
    expected = [
        f"{100 * value['clean', 'clean']:.0f} %",
        f"{100 * base:.0f} % / {100 * wrist:.0f} %",
        f"{100 * value['missing', 'proprio']:.0f} %",
        f"{100 * worst:.0f} %",
    ]
    cells = [row[column] for row in rows(PAGE, "Missing cameras and noisy senses")]
    assert [cell.partition(" (")[0] for cell in cells[:4]] == expected


def test_errors_on_the_real_robot_are_those_of_the_comparison():
    result = load_result(RESULTS / "g1_absolute.json", OpenLoopComparison)
    errors = {arm.arm: arm.error for arm in result.arms}
    shown = {row[0].replace("`", ""): row[1] for row in rows(PAGE, "On a real robot")}
    for name, label in (("concat", "concat"), ("copy the state", "copy the state")):
        error = errors[name]
        assert shown[label] == f"{error.value:.3f} [{error.low:.3f}, {error.high:.3f}]"
