"""`plait check`: names of Plait's own, classes of the user's, and what it says of broken ones."""

import json

import pytest

from plait.cli import main
from plait.errors import PlaitError
from plait.testing.by_name import check_by_name

LEAKY = """
from torch import nn
from plait.fusion.base import Fusion, Projections
from plait.layers import MLP
from plait.types import Fused, Tokens


class Leaky(Fusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.mlp = MLP(width, hidden_dim, width)

    def forward(self, tokens):
        parts = list(self.project(tokens).values())
        mean = sum(part.values.mean(dim=1, keepdim=True) for part in parts)  # padding included
        return Fused.single(Tokens(self.mlp(mean), parts[0].mask[:, :1]))


class NoContract(nn.Module):
    pass
"""


@pytest.mark.parametrize(
    ("name", "kind"), [("low_rank_tensor", "fusion"), ("state", "encoder"), ("flow", "head")]
)
def test_own_parts_pass(name, kind, capsys):
    assert main(["check", name, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["name"], printed["kind"]) == (name, kind)
    assert printed["num_checks"] >= 9


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "leaky_module.py").write_text(LEAKY)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("own_module")
def test_a_broken_class_is_told_which_rule_and_why(capsys):
    assert main(["check", "leaky_module:Leaky"]) == 2
    said = capsys.readouterr().err
    assert "Leaky breaks its contract in" in said
    assert "padding_length_does_not_matter" in said
    assert "Likely" in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("own_module")
def test_a_class_without_a_contract_is_told_what_to_derive_from(capsys):
    assert main(["check", "leaky_module:NoContract"]) == 2
    assert "plait.fusion.base.Fusion" in capsys.readouterr().err


def test_unknown_names_suggest_close_ones(capsys):
    assert main(["check", "botleneck"]) == 2
    assert "did you mean 'bottleneck'?" in capsys.readouterr().err


def test_a_pretrained_model_is_checked_as_every_encoder_it_can_be(tiny):
    assert check_by_name(f"hf:{tiny('clip')}").num_checks == 18  # images and text
    assert check_by_name(f"hf:{tiny('dinov2')}").num_checks == 9
    with pytest.raises(
        PlaitError, match=r"hf_vision is checked with a model: plait check hf:FOLDER"
    ):
        check_by_name("hf_vision")
    with pytest.raises(PlaitError, match="there is no folder /no/such/folder"):
        check_by_name("hf:/no/such/folder")
