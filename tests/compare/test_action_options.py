"""`plait train` with actions represented otherwise: options, spec files, and what they refuse."""

import json
import shutil
from pathlib import Path

import pytest

from plait.cli import main
from plait.policy import Policy

G1 = Path(__file__).parents[1] / "data" / "fixtures" / "g1_two_episodes"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return shutil.copytree(G1, tmp_path_factory.mktemp("g1") / "data")


def train(data, out, *options):
    small = ["--steps", "2", "--batch-size", "4", "--image-size", "16", "--width", "16", "--json"]
    return main(["train", "--data", str(data), "--out", str(out), *small, *map(str, options)])


def write_spec(folder, spec):
    path = folder / "actions.json"
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec))
    return path


def test_relative_actions_are_trained_and_saved(data, tmp_path, capsys):
    options = ("--actions", "relative", "--normalization", "quantile")
    assert train(data, tmp_path / "out", *options) == 0
    summary = json.loads(capsys.readouterr().out)
    assert len(summary["by action dimension"]) == 26
    mean = sum(summary["by action dimension"]) / 26
    assert summary["validation action error"] == pytest.approx(mean, abs=1e-5)
    policy = Policy.load(summary["policy"])
    assert (policy.config.actions.mode, policy.config.actions.normalization) == options[1::2]
    assert policy.action_transform.needs_state
    # The same folder is not gone on with in another representation.
    assert train(data, tmp_path / "out") == 2
    assert "actions.mode was 'relative', is 'absolute'" in capsys.readouterr().err


def test_a_file_says_it_dimension_by_dimension(data, tmp_path, capsys):
    groups = [
        {"dims": [7, 8, 9], "kind": "rpy", "mode": "delta"},
        {"dims": [25], "kind": "gripper_binary"},
    ]
    spec = {"mode": "relative", "normalization": "quantile", "clip": True, "groups": groups}
    path = write_spec(tmp_path, spec)
    assert train(data, tmp_path / "out", "--action-spec", path) == 0
    policy = Policy.load(json.loads(capsys.readouterr().out)["policy"])
    made = policy.action_transform.groups
    assert [(g.kind, g.mode, g.normalization, g.clip, len(g.dims)) for g in made] == [
        ("joint", "relative", "quantile", True, 22),
        ("rpy", "delta", "none", False, 3),
        ("gripper_binary", "absolute", "minmax", False, 1),
    ]
    assert policy.action_transform.represented_dim == 22 + 6 + 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "a list; expected an object such as"),
        ({"mode": "relativ"}, "unknown ActionSpec.mode 'relativ'; did you mean 'relative'"),
        ({"clips": True}, "unknown field of ActionSpec 'clips'; did you mean 'clip'"),
        ({"groups": {}}, "ActionSpec.groups must be a list"),
        ({"groups": [{"dims": [0]}, {"dims": ["a"]}]}, "group 2: ActionGroup.dims must be int"),
        ({"groups": [{"dims": [0], "kind": "rot"}]}, "group 1: unknown ActionGroup.kind 'rot'"),
        ({"groups": [{"dims": [26]}]}, "action dimension 26; there are 0 to 25"),
        ({"groups": [{"names": ["x"]}]}, "do not name them; give their numbers instead"),
        ({"normalization": "zscore"}, "the regression head predicts nothing beyond"),
    ],
)
def test_a_wrong_file_gives_one_clear_sentence(data, tmp_path, capsys, spec, message):
    path = write_spec(tmp_path, spec)
    assert train(data, tmp_path / "out", "--action-spec", path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_file_and_an_option_that_say_the_same_thing_are_refused(data, tmp_path, capsys):
    path = write_spec(tmp_path, {})
    options = ("--action-spec", path, "--actions", "delta")
    assert train(data, tmp_path / "out", *options) == 2
    assert "leave out --actions and --normalization" in capsys.readouterr().err
    assert train(data, tmp_path / "out", "--action-spec", tmp_path / "none.json") == 2
    assert "none.json: cannot be read (No such file" in capsys.readouterr().err
