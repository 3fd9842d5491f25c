"""What the page on the textbook says can be run, is run."""

import re
import shlex
from pathlib import Path

import pytest
import torch

import plait.fusion
import plait.heads
from plait import discovery
from plait.cli import main
from plait.layers import Attention

PAGE = (Path(__file__).parents[1] / "docs" / "textbook.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", re.findall(r"`plait (\w+ [^`]+)`", PAGE))
def test_its_commands_run(command, capsys):
    try:
        code = main(shlex.split(command))
    except SystemExit as stop:
        code = stop.code
    assert code == 0
    assert "Traceback" not in capsys.readouterr().err


def test_its_code_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "textbook.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["early", "cross_attention", "transformer"]


def test_it_names_every_strategy_and_head():
    for package in (plait.fusion, plait.heads):
        for name in discovery.available(package):
            assert f"`{name}`" in PAGE


def test_attention_over_one_pooled_vector_attends_to_nothing():
    torch.manual_seed(0)
    attention = Attention(24)
    key, mask = torch.randn(3, 1, 24), torch.ones(3, 1, dtype=torch.bool)
    first, second = (attention(torch.randn(3, 5, 24), key, mask) for _ in range(2))
    torch.testing.assert_close(first, second)
