"""What `--against` finds, refuses and compares: policies, runs, comparisons, finished folders."""

import json
from dataclasses import replace

import pytest
from stress_fakes import COMMANDS, ReadingPolicy, write_demonstrations

from plait.cli import main
from plait.compare.settings import Arm, CompareSettings, run_config
from plait.compare.stress_against import Rival, compare_with, find_rivals
from plait.compare.stress_cells import cell_file
from plait.config import to_json
from plait.errors import DataError, OptionError
from plait.results import (
    Comparison,
    Cost,
    DatasetSummary,
    Machine,
    RunResult,
    load_result,
    save_result,
)
from plait.results.stress import Cell, Condition, StressResult

SETTINGS = CompareSettings()
MACHINE = Machine(platform="p", processor="c", num_cores=2, python="3", packages={})
CONDITIONS = (
    Condition(kind="clean", name="clean"),
    Condition(kind="corruption", name="jpeg", severity=3, modality="vision"),
)
IDENTITY = {
    "env": "tabletop/touch",
    "episodes": 6,
    "seed": 5,
    "execution_horizon": 2,
    "data": None,
    "data_fingerprint": "",
}


def write_policy(folder, arm, seed=0):
    """A folder that looks like a saved policy, with its training's configuration beside it."""
    (folder / "policy").mkdir(parents=True)
    (folder / "policy" / "policy.json").write_text(str(folder))
    config = run_config(SETTINGS, arm, seed, "demos", SETTINGS.policy)
    (folder / "config.json").write_text(to_json(config))
    return folder / "policy"


def write_stress(folder, policy, solved, **changes):
    """A finished stress test with as many of six scenes solved under jpeg."""
    identity = {
        "policy": str(policy),
        "policy_fingerprint": f"of {policy}",
        **IDENTITY,
        **changes,
    }
    for condition, count in zip(CONDITIONS, (6, solved), strict=True):
        values = tuple(float(unit < count) for unit in range(6))
        cell = Cell(condition=condition, loop="closed", units=tuple(range(6)), values=values)
        save_result(cell_file(folder, "closed", condition), cell)
    (folder / "plan.json").write_text(json.dumps(identity))
    return identity


@pytest.fixture
def trained(tmp_path):
    """Three stressed trainings: plain, the same with another seed, robust."""
    arms = {"plain": Arm(fusion="film"), "again": Arm(fusion="film")}
    arms["robust"] = Arm(fusion="film", robust=True)
    found = {}
    for seed, (name, arm) in enumerate(arms.items()):
        policy = write_policy(tmp_path / "runs" / name, arm, seed)
        folder = tmp_path / f"stress-{name}"
        found[name] = write_stress(folder, policy, {"plain": 0, "again": 2, "robust": 5}[name])
    return tmp_path, found


def compared(root, identities, *names):
    rivals = find_rivals(
        [str(root / f"stress-{name}") for name in names], root, identities["plain"]
    )
    own = Rival(identities["plain"]["policy"], "", root / "stress-plain")
    return compare_with(rivals, own, CONDITIONS, "closed", None)


def test_finished_tests_are_compared_by_training_and_seeds_put_together(trained):
    found = compared(*trained, "again", "robust")
    own, robust = found.options
    assert robust.name == "dropout + tokens + corruptions"
    assert len(own.policies) == 2
    values = {each.name: each.value for each in own.measures}
    assert values["corrupted"] == pytest.approx((0 + 2) / 12)
    (change,) = [each.change for each in robust.measures if each.name == "corrupted"]
    assert change == pytest.approx(5 / 6 - 1 / 6)


def test_seeds_of_one_training_are_no_option(trained):
    with pytest.raises(OptionError, match="no training option is compared: all policies were"):
        compared(*trained, "again")


def test_the_policy_itself_is_no_rival(trained):
    root, identities = trained
    with pytest.raises(OptionError, match="there is nothing to compare"):
        find_rivals([str(root / "stress-plain")], root, identities["plain"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "tabletop/pick"}, "its env is 'tabletop/pick', but that of .* 'tabletop/touch'"),
        ({"seed": 9}, "its seed is 9"),
        ({"episodes": 7}, "its episodes is 7"),
        ({"execution_horizon": 1}, "its execution horizon is 1"),
        ({"env": None, "data": "demos"}, "stressed in different loops"),
    ],
)
def test_other_scenes_are_refused(trained, changes, message):
    root, identities = trained
    write_stress(root / "other", "elsewhere", 3, **changes)
    with pytest.raises(OptionError, match=message):
        find_rivals([str(root / "other")], root, identities["plain"])


def test_other_demonstrations_are_refused(trained):
    root, identities = trained
    own = {**identities["plain"], "data": "demos", "data_fingerprint": "a"}
    write_stress(root / "other", "elsewhere", 3, data="demos", data_fingerprint="b")
    with pytest.raises(OptionError, match="its data fingerprint is 'b'"):
        find_rivals([str(root / "other")], root, own)


def test_what_is_nothing_of_the_kind_is_named(trained, tmp_path):
    root, identities = trained
    (tmp_path / "thesis").mkdir()
    with pytest.raises(OptionError, match="thesis is no policy, run or comparison"):
        find_rivals([str(tmp_path / "thesis")], root, identities["plain"])
    (root / "stress-robust" / "plan.json").write_text("{}")
    with pytest.raises(DataError, match=r"plan\.json"):
        find_rivals([str(root / "stress-robust")], root, identities["plain"])


def run_result(**changes):
    cost = Cost(
        num_parameters=1,
        flops_per_action_chunk=1,
        latency_ms_median=1.0,
        latency_ms_p99=1.0,
        train_seconds=1.0,
        train_samples_per_second=1.0,
    )
    made = RunResult(
        arm="film",
        fusion="film",
        control=None,
        seed=0,
        cost=cost,
        curve=(),
        episodes=(),
        holdout_episodes=(),
        validation_action_error=0.1,
        diagnostics=(),
        machine=MACHINE,
    )
    return replace(made, **changes)


def test_of_a_comparison_all_its_policies_are_taken_but_controls_and_retrieval(trained):
    root, identities = trained
    runs = {
        "runs/robust": run_result(robust=True),
        "runs/blind": run_result(control="images_masked"),
        "runs/retrieval": run_result(fusion="retrieval"),
    }
    for folder, result in runs.items():
        save_result(root / folder / "result.json", result)
    dataset = DatasetSummary(
        path="demos",
        fingerprint="f",
        num_episodes=1,
        num_steps=1,
        cameras=("base",),
        tasks=("touch",),
        is_recorded_here=False,
    )
    comparison = Comparison(
        title="t",
        command="c",
        env="tabletop/touch",
        preset="default",
        is_meaningful=True,
        dataset=dataset,
        arms=(),
        comparisons=(),
        runs=tuple(runs),
        settings={},
        total_seconds=1.0,
        machine=MACHINE,
    )
    save_result(root / "results.json", comparison)
    for name in (str(root), str(root / "runs" / "robust"), str(root / "runs/robust/policy")):
        (rival,) = find_rivals([name], root / "out", identities["plain"])
        assert rival.policy == str(root / "runs/robust/policy")
        assert rival.identity is None
        assert rival.folder.parent == root / "out" / "against"


def make_deaf():
    return ReadingPolicy(reads=("vision", "proprio"))


PLAY = ("--open-loop", "--severities", "5", "--corruptions", "gaussian_noise", "--workers", "1")


def test_the_command_plays_the_others_once_and_compares(tmp_path, capsys):
    data = write_demonstrations(tmp_path / "demos", tuple(COMMANDS) * 50)
    command = ["stress", "test_stress_against:make_deaf", "--data", str(data), *PLAY]
    command += ["--against", "stress_fakes:ReadingPolicy", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    (found,) = load_result(tmp_path / "out" / "results.json", StressResult).options
    assert (found.loop, found.corruptions) == ("open", ("gaussian_noise",))
    own, other = ({e.name: e for e in option.measures} for option in found.options)
    # The one that listens makes no error at all.
    assert other["undisturbed"].value == pytest.approx(1.0)
    assert own["undisturbed"].value < 0.9
    assert other["undisturbed"].low > 0
    assert any("How stress_fakes:ReadingPolicy was trained is not known" in n for n in found.notes)
    said = " ".join(capsys.readouterr().err.split())
    assert "“stress_fakes:ReadingPolicy”, helps over 1 corruption (severity 5)" in said
    cells = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("cells/**/*.json")}
    assert any("against" in path.parts for path in cells)
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in cells} == cells


def test_a_name_that_is_nothing_is_refused_before_anything_is_played(tmp_path, capsys):
    data = write_demonstrations(tmp_path / "demos", tuple(COMMANDS) * 10)
    command = ["stress", "stress_fakes:ReadingPolicy", "--data", str(data), *PLAY]
    out = tmp_path / "out"
    assert main([*command, "--against", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "none is no policy, run or comparison" in " ".join(capsys.readouterr().err.split())
    assert not out.exists()
