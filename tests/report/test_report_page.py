"""The page: its numbers, that it stands alone, and that text stays text."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fake_comparison import Fake, draw_rollout, write_fake
from page_reading import Page, read_page

from plait.errors import DataError
from plait.report import write_report
from plait.results import Comparison, Rate, RunResult, load_result, save_result

EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
SMALL = Fake(num_episodes=12, fusions=("film", "late"), num_pictures=1)


def report(folder: Path, fake: Fake = SMALL) -> Page:
    return read_page(write_report(write_fake(folder, fake), folder / "report.html"))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    z, share = 1.959963984540054, successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    half /= 1 + z**2 / trials
    return middle - half, middle + half


def test_ranking_shows_the_exact_rate_interval_and_counts(tmp_path):
    path = write_fake(tmp_path, replace(SMALL, has_controls=False))
    comparison = load_result(path, Comparison)
    low, high = wilson(125, 200)
    rate = Rate(successes=125, trials=200, rate=0.625, low=low, high=high)
    first = replace(comparison.arms[0], success=rate, chance=0.2875)
    save_result(path, replace(comparison, arms=(first, *comparison.arms[1:])))
    page = read_page(write_report(path, tmp_path / "report.html"))
    row = page.row("ranking", first.arm)
    assert row.startswith(f"{first.arm} | 62.5% | 55.6–68.9% | 125 of 200 | 28.7% |")
    [trace] = [t for t in page.figures["ranking"]["data"] if "125 of 200" in t["hovertext"][0]]
    assert trace["x"] == [0.625]
    assert trace["error_x"]["array"] == [pytest.approx(high - 0.625)]
    assert trace["error_x"]["arrayminus"] == [pytest.approx(0.625 - low)]


def test_every_arm_is_in_the_ranking_with_the_controls_last(page, comparison):
    names = [row.split(" | ")[0] for row in page.rows("ranking")][1:]
    controls = [arm.arm for arm in comparison.arms if arm.control]
    assert names == [arm.arm for arm in comparison.arms if not arm.control] + controls
    assert len(controls) == 2
    assert [row.text.split("\n")[1].strip() for row in page.find("tr", class_="control")][
        : len(controls)
    ] == controls


def test_seeds_and_unseen_combinations_have_their_columns(page, comparison):
    best = comparison.arms[0]
    seeds = " · ".join(f"{100 * rate:.1f}%" for rate in best.seed_rates)
    row = page.row("ranking", best.arm)
    assert f"| {seeds} | {100 * best.holdout.rate:.1f}% |" in row


def test_pairs_are_coloured_only_where_they_differ(page, comparison):
    among = [p for p in comparison.comparisons if "masked" not in p.first + p.second]
    cells = page.find("td", class_="pair")
    assert len(cells) == len(among) == 15
    coloured = [cell for cell in cells if "differs" in cell.attributes["class"].split()]
    assert len(coloured) == sum(pair.differs for pair in among)
    assert 0 < len(coloured) < 15
    [tied] = [p for p in among if {p.first, p.second} == {"film", "cross_attention"}]
    [cell] = [
        c
        for c in cells
        if f"by {tied.second} alone" in c.attributes["title"]
        and f", {tied.second_only} by" not in c.attributes["title"]
        and tied.first in c.attributes["title"]
    ]
    assert f"−{100 * tied.difference:.1f}" in cell.text
    assert "differs" not in cell.attributes["class"].split()


def test_the_controls_are_compared_with_their_strategy(page, comparison):
    [pair] = [p for p in comparison.comparisons if p.second == "film, images masked"]
    rows = [row for row in page.rows("pairs") if "images masked" in row]
    assert len(rows) == 1
    assert f"+{100 * pair.difference:.1f}" in rows[0]
    assert f"| {pair.first_only} | {pair.second_only}" in rows[0]


def test_tasks_show_rate_and_interval(page, comparison):
    best = comparison.arms[0]
    row = page.row("tasks", best.arm)
    for rate in best.per_task.values():
        assert f"{100 * rate.rate:.1f}%{100 * rate.low:.1f}–{100 * rate.high:.1f}%" in row


def test_costs_are_in_the_table(page, comparison):
    best = comparison.arms[0]
    row = page.row("cost", best.arm)
    assert f"{best.cost.num_parameters / 1000:.0f}\N{NO-BREAK SPACE}k".split()[0] in row
    assert "3.40 ms" in row
    assert "3.4 min" in row


def test_conclusions_come_first(page, comparison):
    findings = page.find("li")
    assert findings[0].text.startswith("There is no single winner: film has the highest success")
    assert page.source.index('id="findings"') < page.source.index('id="ranking"')


def test_rollouts_say_what_was_asked_and_how_it_ended(page, folder, comparison):
    run = load_result(folder / comparison.runs[0] / "result.json", RunResult)
    text = page.section("rollouts")
    for picture in run.pictures:
        outcome = picture.outcome.replace("_", " ")
        mark = "✓" if picture.success else "✗"
        assert f"{mark} {outcome}“{picture.instruction}”scene {picture.seed}" in text
    moving = [e for e in page.find("img") if e.attributes["alt"].startswith("Rollout")]
    runs = [load_result(folder / place / "result.json", RunResult) for place in comparison.runs]
    assert len(moving) == sum(len(run.pictures) for run in runs) == 30
    assert len(page.find("source", media="(prefers-reduced-motion: reduce)")) == len(moving)


def test_diagnostics_are_averaged_over_seeds(page, folder, comparison):
    runs = [load_result(folder / place / "result.json", RunResult) for place in comparison.runs]
    values = [run.diagnostics[0].values[0] for run in runs if run.arm == "late"]
    assert f"late | {sum(values) / 2:.2f} |" in page.row("inside", "late") + " |"
    maps = [e for e in page.find("img") if e.attributes["alt"].startswith("Where")]
    assert [e.attributes["alt"] for e in maps] == [
        f"Where “{word}” looks in the view" for word in ("touch", "the", "red", "cube")
    ]


def test_the_page_loads_nothing(page):
    loading = ("src", "href", "srcset", "data", "poster", "action", "background", "ping")
    for element in page.elements:
        for name in set(loading) & element.attributes.keys():
            assert element.attributes[name].startswith(("data:", "#")), (element.tag, name)
        assert "url(" not in element.attributes.get("style", "")
    assert not page.find("link")
    assert not page.find("iframe")
    [style] = page.find("style")
    assert not re.search(r"url\(|@import", style.text)
    [policy] = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none';")
    assert "http" not in policy.attributes["content"]
    own = page.find("script")[-1].text
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|WebSocket", own)


def test_plotly_is_inlined_once(page):
    scripts = page.find("script")
    assert len(scripts) == 3
    assert [len(script.text) > 1_000_000 for script in scripts] == [False, True, False]


def test_structure_is_sound(page):
    assert page.find("html")[0].attributes["lang"] == "en"
    assert page.find("title")[0].text == page.find("h1")[0].text
    assert all(e.attributes.get("alt") for e in page.find("img"))
    assert all(e.attributes.get("loading") == "lazy" for e in page.find("img"))
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    anchors = {e.attributes["href"].removeprefix("#") for e in page.find("a")}
    assert anchors == {e.attributes["id"] for e in page.find("section")}
    figures = page.find("div", role="img")
    assert [e.attributes["data-figure"] for e in figures] == [
        "ranking",
        "outcomes",
        "curves",
        "cost",
    ]
    assert page.figures.keys() == {e.attributes["data-figure"] for e in figures}
    assert all(e.attributes["aria-label"] for e in figures)


def test_text_from_outside_stays_text(tmp_path):
    fake = replace(
        SMALL, title=f"Title {EVIL}", instruction=EVIL + "{}", renamed={"film": f"film {EVIL}"}
    )
    page = report(tmp_path, fake)
    assert len(page.find("script")) == 3
    assert page.find("h1")[0].text == f"Title {EVIL}"
    assert all(e.attributes["src"].startswith("data:") for e in page.find("img"))
    assert not [e for e in page.elements if any(k.startswith("on") for k in e.attributes)]
    assert f"film {EVIL}" in page.section("ranking")
    drawn = [t["hovertext"][0] for t in page.figures["ranking"]["data"]]
    assert any("film &lt;/script&gt;" in text for text in drawn)
    assert not any("<script" in text or "<img" in text for text in drawn)


@pytest.mark.parametrize("is_meaningful", [True, False])
def test_banner_where_the_numbers_mean_nothing(tmp_path, is_meaningful):
    page = report(tmp_path, replace(SMALL, is_meaningful=is_meaningful))
    banner = page.find("div", class_="banner")
    assert len(banner) == (0 if is_meaningful else 1)
    assert ("too small to mean anything" in page.text) is not is_meaningful


@pytest.mark.parametrize(
    "fake",
    [
        replace(SMALL, fusions=("film",), has_controls=False),
        replace(SMALL, has_diagnostics=False, num_pictures=0),
        Fake(num_episodes=10, num_pictures=0, fusions=tuple(f for f in ("film", "late", "early",
             "concat", "transformer", "cross_attention", "bottleneck", "graph", "low_rank_tensor",
             "mixture", "perceiver", "gated")), num_seeds=5),
    ],
    ids=["one arm", "nothing to show", "twelve arms"],
)  # fmt: skip
def test_small_and_large_comparisons(tmp_path, fake):
    page = report(tmp_path, fake)
    num_arms = len(fake.fusions) + 2 * fake.has_controls
    assert len(page.rows("ranking")) == num_arms + 1
    assert bool(page.find("section", id="pairs")) is (num_arms > 1)
    assert bool(page.find("section", id="inside")) is fake.has_diagnostics
    assert bool(page.find("section", id="rollouts")) is (fake.num_pictures > 0)
    assert not page.find("section", id="tasks")


def test_the_same_results_give_the_same_page(tmp_path):
    first, second = tmp_path / "one.html", tmp_path / "two.html"
    path = write_fake(tmp_path, SMALL)
    assert write_report(path, first) == first
    write_report(path, second)
    assert first.read_bytes() == second.read_bytes()


def test_setup_lists_versions_data_and_settings(page):
    text = page.section("setup")
    for shown in ("9f2c41d0a7b35e68", "torch", "2.8.0", "training.learning_rate", "0.002"):
        assert shown in text
    assert "policy.vision.name | conv" in page.rows("setup")


def test_a_missing_run_is_named(tmp_path):
    path = write_fake(tmp_path, SMALL)
    gone = tmp_path / load_result(path, Comparison).runs[1] / "result.json"
    gone.unlink()
    with pytest.raises(
        DataError, match=r"result\.json: no such file; expected the result of a"
    ) as e:
        write_report(path, tmp_path / "report.html")
    assert e.value.path == gone
    assert not (tmp_path / "report.html").exists()


def test_a_missing_picture_is_named_and_the_old_page_stays(tmp_path):
    path = write_fake(tmp_path, SMALL)
    output = write_report(path, tmp_path / "report.html")
    before = output.read_bytes()
    next(tmp_path.rglob("*.webp")).unlink()
    with pytest.raises(DataError, match=r"scene_\d+\.webp: no such file; expected a WebP"):
        write_report(path, output)
    assert output.read_bytes() == before


def test_a_broken_picture_is_refused(tmp_path):
    path = write_fake(tmp_path, SMALL)
    next(tmp_path.rglob("*.webp")).write_bytes(b"RIFF no picture")
    with pytest.raises(DataError, match="not a readable picture"):
        write_report(path, tmp_path / "report.html")


def test_a_picture_outside_the_run_is_refused(tmp_path):
    path = write_fake(tmp_path / "comparison", SMALL)
    draw_rollout(tmp_path / "private.webp", 1, is_success=True)
    file = path.parent / load_result(path, Comparison).runs[0] / "result.json"
    run = load_result(file, RunResult)
    stolen = replace(run.pictures[0], file="../../../../private.webp")
    save_result(file, replace(run, pictures=(stolen,)))
    with pytest.raises(DataError, match="a path out of the folder of the run"):
        write_report(path, tmp_path / "report.html")


def test_a_comparison_without_arms_is_refused(tmp_path):
    path = write_fake(tmp_path, SMALL)
    save_result(path, replace(load_result(path, Comparison), arms=()))
    with pytest.raises(DataError, match="no arms; expected at least one arm"):
        write_report(path, tmp_path / "report.html")
