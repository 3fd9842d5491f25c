"""Cross-attention: the maps it reports are the attention it used."""

import torch

from plait.fusion.cross_attention import CrossAttentionFusion
from plait.masks import masked_fill
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.testing.fusion_case import absent
from plait.types import LANGUAGE, VISION


def build(num_layers=2):
    torch.manual_seed(0)
    return CrossAttentionFusion(
        FAKE_SPECS, 24, hidden_dim=14, num_layers=num_layers, num_heads=4
    ).eval()


def test_attention_maps_are_shares_of_the_real_patches():
    maps = build()(fake_tokens()).diagnostics["attention"]
    assert maps.shape == (3, 11, 2, 5, 7)
    torch.testing.assert_close(maps.sum(dim=(2, 3, 4)), torch.ones(3, 11))
    # The second sample lacks its second view.
    assert torch.equal(maps[1, :, 1], torch.zeros(11, 5, 7))
    assert maps[0, :, 1].min() > 0
    assert not maps.requires_grad


def test_attention_maps_agree_with_a_recomputation():
    fusion, tokens = build(num_layers=1), fake_tokens()
    maps = fusion(tokens).diagnostics["attention"]
    layer, parts = fusion.layers[0], fusion.project(tokens)
    attention = layer.read_vision
    words = attention.query(layer.command_norm(parts[LANGUAGE].values))
    keys = attention.key_value(layer.vision_norm(parts[VISION].values))[..., :24]
    expected = torch.zeros(3, 11, 70)
    for head in range(4):
        part = slice(6 * head, 6 * (head + 1))
        scores = words[..., part] @ keys[..., part].transpose(1, 2) / 6**0.5
        # Subtraction of a large number rather than our own masked softmax.
        scores = scores - 1e9 * (~tokens[VISION].mask).float().unsqueeze(1)
        expected += torch.softmax(scores, dim=-1).detach() / 4
    torch.testing.assert_close(maps.flatten(2), expected)


def test_without_vision_there_is_no_attention_and_the_command_passes():
    fusion, tokens = build(num_layers=1), fake_tokens()
    fused = fusion(absent(tokens, VISION))
    assert torch.equal(fused.diagnostics["attention"], torch.zeros(3, 11, 2, 5, 7))
    command = fusion.project(tokens)[LANGUAGE]
    layer = fusion.layers[0]
    expected = command.values + layer.command_mlp(layer.command_mlp_norm(command.values))
    keep = command.mask.unsqueeze(-1).expand_as(expected)
    actual = masked_fill(fused.groups[0].values[:, :11], keep)
    torch.testing.assert_close(actual, masked_fill(expected, keep))


def test_training_computes_the_same_without_keeping_the_weights():
    fusion, tokens = build(), fake_tokens()
    expected = fusion(tokens).groups[0]
    trained = fusion.train()(tokens)
    assert not trained.diagnostics
    mask = expected.mask.unsqueeze(-1).expand_as(expected.values)
    torch.testing.assert_close(
        masked_fill(trained.groups[0].values, mask), masked_fill(expected.values, mask)
    )


def test_both_directions_exchange():
    fusion, tokens = build(), fake_tokens()
    words = {
        **tokens,
        LANGUAGE: tokens[LANGUAGE].with_values(tokens[LANGUAGE].values.flip(-1)),
    }
    patches = {**tokens, VISION: tokens[VISION].with_values(tokens[VISION].values.flip(-1))}
    base = fusion(tokens).groups[0].values
    by_words = (fusion(words).groups[0].values - base).abs().amax(dim=-1)
    by_patches = (fusion(patches).groups[0].values - base).abs().amax(dim=-1)
    assert by_words[0, 24:].min() > 1e-5  # every patch heard of the words
    assert by_patches[0, :11].min() > 1e-5  # every word saw the patches
