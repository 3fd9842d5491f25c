"""The page on adding a fusion is run: its class keeps the contract and loads by its name."""

import re
from pathlib import Path

import pytest
import torch

import plait.fusion
from plait import discovery
from plait.cli import main
from plait.fusion.base import Fusion
from plait.masks import pooled_mean
from plait.testing import check_fusion
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.testing.fusion_case import absent

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_fusion.md"


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """The page's class, loaded from a file of one's own as the page says."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "gated_sum.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (name,) = re.findall(r"--fusion [\w,]*,(\w+:\w+)", PAGE.read_text(encoding="utf-8"))
    return discovery.load(plait.fusion, name, Fusion)


def test_the_page_keeps_its_own_contract(kind):
    assert kind.__name__ == "GatedSumFusion"
    check_fusion(kind)
    check_fusion(kind, hidden_dim=40)


def test_the_command_of_the_page_passes(kind, capsys):
    (command,) = re.findall(r"`plait (check \S+)`", PAGE.read_text(encoding="utf-8"))
    assert main(command.split()) == 0
    assert "this fusion passes all 20 checks" in capsys.readouterr().err


def test_the_page_computes_its_formula(kind):
    torch.manual_seed(0)
    fusion, tokens = kind(FAKE_SPECS, 24, hidden_dim=13), absent(fake_tokens(), "vision")
    fused = fusion(tokens)
    parts = fusion.project(tokens)
    means = {name: pooled_mean(part.values, part.mask) for name, part in parts.items()}
    logits = torch.cat([fusion.gate(means[name]) for name in ("language", "proprio")], dim=1)
    shares = torch.softmax(logits, dim=1)
    expected = fusion.mlp(shares[:, :1] * means["language"] + shares[:, 1:] * means["proprio"])
    torch.testing.assert_close(fused.groups[0].values[:, 0], expected)
    usage = fused.diagnostics["modality_usage"]
    assert usage[:, 0].tolist() == [0.0] * 3
    torch.testing.assert_close(usage[:, 1:], shares)


def test_the_page_stays_short():
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 60
