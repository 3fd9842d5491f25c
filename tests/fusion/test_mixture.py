"""Mixture of transformers: equal experts are a plain transformer; unequal ones keep apart."""

import torch

from plait.fusion.mixture import MixtureFusion
from plait.layers import SelfAttentionBlock
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import LANGUAGE, PROPRIO, VISION, Tokens

WIDTH = 24


def build(**options):
    torch.manual_seed(0)
    return MixtureFusion(FAKE_SPECS, WIDTH, hidden_dim=26, **options).eval()


def test_with_equal_experts_a_block_is_a_transformer_block():
    fusion, tokens = build(num_layers=1), fake_tokens()
    mixture = fusion.blocks[0]
    plain = SelfAttentionBlock(WIDTH, 13, num_heads=2)
    plain.attention.load_state_dict(mixture.attention.state_dict())
    with torch.no_grad():
        for parameter in plain.attention_norm.parameters():
            parameter.normal_()
        for parameter in plain.mlp_norm.parameters():
            parameter.normal_()
    for name in FAKE_SPECS:
        mixture.attention_norms[name].load_state_dict(plain.attention_norm.state_dict())
        mixture.mlp_norms[name].load_state_dict(plain.mlp_norm.state_dict())
        if name == VISION:  # twice as thick: the second half is silent
            source = plain.mlp.state_dict()
            wide = mixture.mlps[name].state_dict()
            for value in wide.values():
                value.zero_()
            wide["expand.weight"][:13] = source["expand.weight"]
            wide["expand.bias"][:13] = source["expand.bias"]
            wide["contract.weight"][:, :13] = source["contract.weight"]
            wide["contract.bias"][:] = source["contract.bias"]
            mixture.mlps[name].load_state_dict(wide)
        else:
            mixture.mlps[name].load_state_dict(plain.mlp.state_dict())
    sequence = Tokens.concatenate(list(fusion.project(tokens).values()))
    expected = plain(sequence).values
    torch.testing.assert_close(fusion(tokens).groups[0].values, expected)


def test_an_expert_changes_its_own_modality_alone():
    fusion, tokens = build(num_layers=1), fake_tokens()
    before = fusion(tokens).groups[0].values
    with torch.no_grad():
        fusion.blocks[0].mlps[LANGUAGE].contract.weight.mul_(3)
    after = fusion(tokens).groups[0].values
    num_patches = tokens[VISION].mask.shape[1]
    num_states = tokens[PROPRIO].mask.shape[1]
    assert torch.equal(before[:, :num_patches], after[:, :num_patches])
    assert torch.equal(before[:, -num_states:], after[:, -num_states:])
    words = slice(num_patches, -num_states)
    assert not torch.allclose(before[:, words], after[:, words])
