"""Late fusion: opinions, and weights that renormalise over what is present."""

import torch

from plait.fusion.late import LateFusion
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.testing.fusion_case import absent
from plait.types import LANGUAGE, VISION


def build():
    torch.manual_seed(0)
    fusion = LateFusion(FAKE_SPECS, 24, hidden_dim=7)
    for gate in fusion.gates.values():
        torch.nn.init.normal_(gate.weight)
    return fusion


def test_weights_renormalise_over_the_modalities_present():
    fusion, tokens = build(), fake_tokens()
    full = fusion(tokens).weights
    partial = fusion(absent(tokens, VISION)).weights
    assert torch.equal(partial[:, 0], torch.zeros(3))
    expected = full[:, 1:] / full[:, 1:].sum(dim=1, keepdim=True)
    torch.testing.assert_close(partial[:, 1:], expected)
    alone = fusion(absent(tokens, VISION, LANGUAGE)).weights
    assert alone.tolist() == [[0.0, 0.0, 1.0]] * 3
    assert fusion(absent(tokens, *tokens)).weights.tolist() == [[0.0] * 3] * 3


def test_a_group_reads_its_own_modality_only():
    fusion, tokens = build(), fake_tokens()
    other = {**tokens, VISION: tokens[VISION].with_values(tokens[VISION].values * 2 - 1)}
    first, second = fusion(tokens), fusion(other)
    for index, name in enumerate(tokens):
        same = torch.equal(first.groups[index].values, second.groups[index].values)
        assert same == (name != VISION)
        assert torch.equal(first.groups[index].mask, tokens[name].mask)


def test_the_gates_decide_and_are_reported():
    fusion, tokens = build(), fake_tokens()
    with torch.no_grad():
        fusion.gates[LANGUAGE].bias.add_(30)
    fused = fusion(tokens)
    torch.testing.assert_close(fused.weights, torch.tensor([[0.0, 1.0, 0.0]] * 3))
    assert torch.equal(fused.diagnostics["modality_usage"], fused.weights)
    assert not fused.diagnostics["modality_usage"].requires_grad
