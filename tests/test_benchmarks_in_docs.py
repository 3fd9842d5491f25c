"""What README and docs say of Meta-World and LIBERO is what the benchmarks wrote down."""

import json
import re
from pathlib import Path

from doc_tables import rows

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
METAWORLD = (ROOT / "docs" / "metaworld.md").read_text(encoding="utf-8")
LIBERO = (ROOT / "docs" / "libero.md").read_text(encoding="utf-8")


def figures(benchmark, part):
    path = RESULTS / benchmark / f"{part}.json"
    return json.loads(path.read_text(encoding="utf-8"))["figures"]


def percent(rate):
    return f"{100 * rate['rate']:.1f} %"


def interval(rate, digits=1):
    return f"{100 * rate['low']:.{digits}f} to {100 * rate['high']:.{digits}f} %"


def groups(condition, kind):
    (found,) = [each for each in condition["groups"] if each["kind"] == kind]
    return found


def test_the_groups_of_mt50():
    condition = figures("metaworld", "MT50")["evaluation_10"]["conditions"][0]
    difficulty = groups(condition, "difficulty")
    *shown, mean, together = rows(METAWORLD, "Results")
    assert len(shown) == len(difficulty["groups"]) == 4
    for group, (label, rate, between) in zip(difficulty["groups"], shown, strict=True):
        assert label.split(" (")[0].replace(" ", "_") == group["name"].replace(" ", "_")
        assert (rate, between) == (percent(group["success"]), interval(group["success"]))
    assert mean[1] == f"{100 * difficulty['mean']['value']:.1f} %"
    assert mean[2] == interval(difficulty["mean"])
    assert together[1:] == [percent(condition["success"]), interval(condition["success"])]


def test_the_readme_says_what_was_measured_on_mt50_and_mt10():
    text = " ".join(README.split())
    fifty = figures("metaworld", "MT50")["evaluation_10"]["conditions"][0]
    mean = groups(fifty, "difficulty")["mean"]
    ten = figures("metaworld", "MT10")["evaluation_50"]["conditions"][0]["success"]
    for rate in (fifty["success"], {"rate": mean["value"], **mean}, ten):
        assert f"**{percent(rate)}** ({interval(rate)})" in text


def test_strategies_on_mt10():
    arms = {arm["arm"]: arm for arm in figures("metaworld", "fusions")["arms"]}
    shown = rows(METAWORLD, "Ten strategies on MT10, and what it cannot tell")
    assert len(shown) == len(arms)
    for label, rate, between, puck, *_ in shown:
        name = label.replace("`", "").replace("trained without images", "images masked")
        arm = arms[name.replace("trained without the instruction", "instruction masked")]
        assert rate == f"{100 * arm['success']['rate']:.0f} %"
        assert between == interval(arm["success"], digits=0)
        scenes = {g["name"]: g["success"] for g in groups(arm, "shared scene")["groups"]}
        assert int(puck) == scenes["puck"]["successes"]


def test_what_breaks_the_policy_of_mt10():
    section = METAWORLD.split("### What breaks the policy of MT10\n")[1]
    shown = dict(re.findall(r"`(\w+)`\*{0,2} \*{0,2}(\d+)", section))
    closed = figures("metaworld", "stress")["closed"]
    kinds = ("corruption", "camera")
    played = {
        score["condition"]["name"]: str(round(score["value"] * closed["num_units"]))
        for score in closed["scores"]
        if score["condition"]["kind"] in kinds and not score["refusal"]
    }
    assert shown == played


def test_the_suites_of_libero_and_libero_pro():
    shown = rows(LIBERO, "Results")
    suites = [figures("libero", suite) for suite in ("object", "spatial")]
    changes = ("", "-lan", "-object", "-swap", "-task")
    for change, (label, *cells) in zip(changes, shown, strict=True):
        assert label == "the suite" if change == "" else label.endswith(f"(`{change}`)")
        part, expected = f"evaluation{change.replace('-', '_')}", []
        for suite in suites:
            rate = suite[part]["conditions"][0]["success"]
            expected += [f"{rate['successes']} of {rate['trials']}", interval(rate, digits=0)]
        assert cells == expected


def test_the_scripted_expert_of_libero():
    measured = figures("libero", "expert")
    for label, success, between, steps in rows(LIBERO, "Measured"):
        rate = measured[label.strip("`").removeprefix("libero/")]
        assert success == f"{rate['successes']} of {rate['trials']}"
        assert between == interval(rate, digits=0)
        assert steps == f"{rate['mean_steps_to_success']:.0f}, {rate['most_steps_to_success']}"
