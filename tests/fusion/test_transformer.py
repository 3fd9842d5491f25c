"""Joint transformer: readouts read everything and are read by nothing."""

import torch

from plait.fusion.transformer import TransformerFusion
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.testing.fusion_case import absent


def build(**options):
    torch.manual_seed(0)
    return TransformerFusion(FAKE_SPECS, 24, hidden_dim=13, **options)


def sequence_after_blocks(fusion, tokens):
    """Record what the last block over the sequence returns."""
    seen = []
    handle = fusion.blocks[-1].register_forward_hook(lambda *args: seen.append(args[-1]))
    fused = fusion(tokens)
    handle.remove()
    return fused, seen[0]


def test_readouts_are_read_by_nothing():
    fusion, tokens = build(), fake_tokens()
    before, sequence = sequence_after_blocks(fusion, tokens)
    with torch.no_grad():
        fusion.readouts[:, 0].add_(torch.linspace(-3, 3, 24))
    after, same_sequence = sequence_after_blocks(fusion, tokens)
    # Neither the sequence nor the other readouts notice that one of them changed.
    assert torch.equal(same_sequence.values, sequence.values)
    assert torch.equal(after.groups[0].values[:, 1:], before.groups[0].values[:, 1:])
    assert (after.groups[0].values[:, 0] - before.groups[0].values[:, 0]).abs().max() > 0.1


def test_readouts_read_every_real_token_and_no_other():
    fusion, tokens = build(num_layers=1), fake_tokens()
    leaves = {name: part.values.clone().requires_grad_() for name, part in tokens.items()}
    inputs = {name: part.with_values(leaves[name]) for name, part in tokens.items()}
    fusion(inputs).groups[0].values.square().sum().backward()
    for name, part in tokens.items():
        reached = leaves[name].grad.abs().amax(dim=-1) > 0
        assert torch.equal(reached, part.mask)


def test_readouts_are_real_where_any_token_is():
    fusion, tokens = build(num_readouts=5), fake_tokens()
    assert fusion(tokens).groups[0].mask.tolist() == [[True] * 5] * 3
    assert fusion(absent(tokens, *tokens)).groups[0].mask.tolist() == [[False] * 5] * 3


def test_the_sequence_has_no_order_of_its_own():
    # Positions come from the encoders; without them the words are a bag.
    fusion, tokens = build(), fake_tokens()
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    part = tokens["language"]
    shuffled = type(part)(part.values[:, order], part.mask[:, order])
    actual = fusion({**tokens, "language": shuffled}).groups[0].values
    torch.testing.assert_close(actual, fusion(tokens).groups[0].values, atol=1e-5, rtol=1e-4)
