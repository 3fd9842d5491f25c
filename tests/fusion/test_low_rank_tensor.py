"""Low-rank tensor fusion against the full outer product it stands for."""

import torch

from plait.fusion.low_rank_tensor import LowRankTensorFusion
from plait.masks import masked_sum
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION, Tokens

RANK = 6


def build():
    torch.manual_seed(0)
    return LowRankTensorFusion(FAKE_SPECS, 12, hidden_dim=RANK).double().eval()


def double(tokens):
    return {name: part.with_values(part.values.double()) for name, part in tokens.items()}


def full_tensor(fusion):
    """Build the tensor [width out, 1 + width, 1 + width, 1 + width] that the factors stand for."""
    factors = [
        torch.cat([fusion.factors[name].bias[:, None], fusion.factors[name].weight], dim=1)
        for name in MODALITIES
    ]
    return fusion.scale * torch.einsum("or,rv,rl,rs->ovls", fusion.readout.weight, *factors)


def with_one(values):
    return torch.cat([torch.ones_like(values[..., :1]), values], dim=-1)


def test_every_patch_is_contracted_with_the_outer_product_of_command_and_state():
    fusion, tokens = build(), double(fake_tokens())
    parts = fusion.project(tokens)
    normed = {name: fusion.norms[name](parts[name].values) for name in MODALITIES}
    pooled = {}
    for name in (LANGUAGE, PROPRIO):
        mask = parts[name].mask
        summed = masked_sum(normed[name], mask.unsqueeze(-1).expand_as(normed[name]), dim=1)
        pooled[name] = with_one(summed / mask.sum(1, keepdim=True).clamp(min=1).sqrt())
    product = torch.einsum(
        "ovls,bpv,bl,bs->bpo",
        full_tensor(fusion),
        with_one(normed[VISION]),
        pooled[LANGUAGE],
        pooled[PROPRIO],
    )
    expected = parts[VISION].values + product + fusion.readout.bias
    found = fusion(tokens).groups[0].values[:, : expected.shape[1]]
    mask = parts[VISION].mask
    torch.testing.assert_close(found[mask], expected[mask])


def test_without_an_instruction_its_factor_is_its_bias():
    fusion, tokens = build(), double(fake_tokens())
    language = tokens[LANGUAGE]
    absent = {**tokens, LANGUAGE: Tokens(language.values, torch.zeros_like(language.mask))}
    parts = fusion.project(absent)
    bias = fusion.factors[LANGUAGE].bias.expand(len(language.mask), -1)
    torch.testing.assert_close(fusion._pooled(LANGUAGE, parts), bias)
    assert torch.equal(fusion.factors[LANGUAGE].bias, torch.ones_like(bias[0]))
