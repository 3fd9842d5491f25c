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


def rates_and_intervals(*rates):
    return [said(rate) for rate in rates for said in (percent, interval)]


def groups(condition, kind):
    (found,) = [each for each in condition["groups"] if each["kind"] == kind]
    return found


def of_mt50(trials):
    return figures("metaworld", "MT50")[f"evaluation_{trials}"]["conditions"][0]


def mean_of_groups(condition):
    mean = groups(condition, "difficulty")["mean"]
    return {**mean, "rate": mean["value"]}


def test_the_groups_of_mt50():
    fifty, ten = of_mt50(50), of_mt50(10)
    *shown, mean, together = rows(METAWORLD, "Results")
    difficulty = [groups(each, "difficulty") for each in (fifty, ten)]
    assert len(shown) == len(difficulty[0]["groups"]) == 4
    for *of_each, (label, *cells) in zip(
        *(each["groups"] for each in difficulty), shown, strict=True
    ):
        assert {group["name"].replace("_", " ") for group in of_each} == {label.split(" (")[0]}
        assert cells == rates_and_intervals(*(group["success"] for group in of_each))
    assert mean[1:] == rates_and_intervals(mean_of_groups(fifty), mean_of_groups(ten))
    assert together[1:] == rates_and_intervals(fifty["success"], ten["success"])


def test_the_controls_of_mt50():
    text = " ".join(METAWORLD.split())
    conditions = figures("metaworld", "MT50")["evaluation_10"]["conditions"]
    deaf, blind = (percent(each["success"]) for each in conditions[1:])
    assert f"{deaf} succeed with the instruction masked" in text
    assert f"and {blind} with the images masked" in text


def test_the_readme_says_what_was_measured_on_mt50_and_mt10():
    text = " ".join(README.split())
    rates = [figures("metaworld", "MT10")["evaluation_50"]["conditions"][0]["success"]]
    for trials in (10, 50):
        rates += [of_mt50(trials)["success"], mean_of_groups(of_mt50(trials))]
    for rate in rates:
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
