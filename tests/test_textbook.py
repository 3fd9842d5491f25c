"""What the page on the textbook says can be run, is run."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import plait.fusion
import plait.heads
from plait import discovery
from plait.alignment.losses import info_nce, six_directions
from plait.alignment.metrics.retrieval import diagonal_ceiling, diagonal_score
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
    names = []
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "textbook.md", "exec"), {})
        names.append([line.split(":")[0] for line in capsys.readouterr().out.splitlines()])
    assert names == [
        ["early", "cross_attention", "transformer"],
        ["one pair", "six directions", "score"],
    ]


def test_the_losses_and_the_score_are_the_chapters():
    """The chapter's formulas as it writes them, with a temperature and cross-entropies."""
    torch.manual_seed(0)
    vision, text, action = (F.normalize(torch.randn(9, 5), dim=1) for _ in range(3))
    temperature, labels = 0.07, torch.arange(9)

    def chapter(a, b):
        logits = a @ b.T / temperature
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2

    scale = torch.tensor(1 / temperature)
    torch.testing.assert_close(info_nce(vision, text, scale), chapter(vision, text))
    expected = (chapter(vision, text) + chapter(vision, action) + chapter(text, action)) / 3
    torch.testing.assert_close(six_directions(vision, text, action, scale).total, expected)
    hits = 0
    for i in range(9):
        similarities = [float(vision[i] @ text[j]) for j in range(9)]
        hits += similarities.index(max(similarities)) == i
    assert diagonal_score(vision, text) == pytest.approx(hits / 9)
    repeated = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2])
    assert diagonal_ceiling(repeated) == pytest.approx(3 / 9)
    # And the ceiling is one: perfect text towers, equal for equal instructions.
    perfect = F.one_hot(repeated, 5).float()
    assert diagonal_score(perfect, perfect) == pytest.approx(3 / 9)


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
