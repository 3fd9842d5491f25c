"""Early fusion: one transformer over the stems of everything."""

import torch

from plait.fusion.early import EarlyFusion
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import MODALITIES


def test_early_reads_the_stems_and_returns_the_whole_sequence():
    assert EarlyFusion.level == dict.fromkeys(MODALITIES, "stem")
    torch.manual_seed(0)
    fusion, tokens = EarlyFusion(FAKE_SPECS, 24, hidden_dim=13, num_layers=2), fake_tokens()
    group = fusion(tokens).groups[0]
    assert torch.equal(group.mask, torch.cat([part.mask for part in tokens.values()], dim=1))
    projected = fusion.project(tokens)
    values = torch.cat([part.values for part in projected.values()], dim=1)
    for block in fusion.blocks:
        normed = block.attention_norm(values)
        values = values + block.attention(normed, normed, group.mask)
        values = values + block.mlp(block.mlp_norm(values))
    torch.testing.assert_close(group.values, values)


def test_every_token_hears_of_every_modality_in_the_first_layer():
    torch.manual_seed(0)
    fusion, tokens = EarlyFusion(FAKE_SPECS, 24, num_layers=1), fake_tokens()
    base = fusion(tokens).groups[0]
    for name, part in tokens.items():
        changed = {**tokens, name: part.with_values(part.values.flip(-1))}
        difference = (fusion(changed).groups[0].values - base.values).abs().amax(dim=-1)
        assert difference[base.mask].min() > 1e-6
