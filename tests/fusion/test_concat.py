"""Concatenation, and why it cannot bind a colour to a place."""

import torch

from plait.fusion.concat import ConcatFusion
from plait.fusion.cross_attention import CrossAttentionFusion
from plait.fusion.film import FiLMFusion
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import VISION


def shuffle_patches(tokens):
    """Put the patches of every view into another order; what is in them stays the same."""
    order = torch.randperm(35, generator=torch.Generator().manual_seed(0))
    order = torch.cat([order, 35 + order])
    part = tokens[VISION]
    shuffled = type(part)(part.values[:, order], part.mask[:, order])
    return {**tokens, VISION: shuffled}


def test_concat_cannot_tell_where_anything_is():
    torch.manual_seed(0)
    fusion, tokens = ConcatFusion(FAKE_SPECS, 24, hidden_dim=13), fake_tokens()
    expected = fusion(tokens).groups[0].values
    actual = fusion(shuffle_patches(tokens)).groups[0].values
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def test_strategies_that_keep_the_tokens_can():
    tokens = fake_tokens()
    for kind in (FiLMFusion, CrossAttentionFusion):
        torch.manual_seed(0)
        fusion = kind(FAKE_SPECS, 24)
        first, second = (fusion(t).groups[0].values for t in (tokens, shuffle_patches(tokens)))
        assert (first - second).abs().max() > 0.1


def test_concat_is_an_mlp_of_the_masked_means():
    torch.manual_seed(0)
    fusion, tokens = ConcatFusion(FAKE_SPECS, 24, hidden_dim=13), fake_tokens()
    parts = fusion.project(tokens)
    for row in range(3):
        means = [p.values[row][p.mask[row]].mean(dim=0) for p in parts.values()]
        expected = fusion.mlp(torch.cat(means))
        torch.testing.assert_close(fusion(tokens).groups[0].values[row, 0], expected)
