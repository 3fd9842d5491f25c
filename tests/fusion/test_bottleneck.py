"""Bottleneck fusion: what crosses between modalities crosses through the latents."""

import torch

from plait.fusion.bottleneck import BottleneckFusion
from plait.testing.fake import FAKE_SPECS, fake_tokens
from plait.types import LANGUAGE, PROPRIO, VISION

WIDTH = 16


def build(**options):
    torch.manual_seed(0)
    return BottleneckFusion(FAKE_SPECS, WIDTH, hidden_dim=24, **options).eval()


def stream(fused, tokens, name):
    start = 0
    for key, part in tokens.items():
        stop = start + part.mask.shape[1]
        if key == name:
            return fused.groups[0].values[:, start:stop]
        start = stop
    raise KeyError(name)


def changed(tokens, name):
    return {**tokens, name: tokens[name].with_values(tokens[name].values * -1.5 + 0.3)}


def test_one_layer_exchanges_nothing_between_streams():
    tokens = fake_tokens()
    fusion = build(num_layers=1)
    before, after = fusion(tokens), fusion(changed(tokens, LANGUAGE))
    for name in (VISION, PROPRIO):
        torch.testing.assert_close(stream(before, tokens, name), stream(after, tokens, name))
    latents = [fused.groups[0].values[:, -8:] for fused in (before, after)]
    assert not torch.allclose(*latents)


def test_two_layers_exchange_through_the_latents_alone():
    tokens = fake_tokens()
    fusion = build(num_layers=2)
    before, after = fusion(tokens), fusion(changed(tokens, LANGUAGE))
    assert not torch.allclose(stream(before, tokens, VISION), stream(after, tokens, VISION))
    # Latents that say nothing shut the only way across.
    for block in fusion.layers[1].values():
        block.attention_norm.register_forward_hook(silence_latents)
    shut = [fusion(tokens), fusion(changed(tokens, LANGUAGE))]
    torch.testing.assert_close(*(stream(fused, tokens, VISION) for fused in shut))


def silence_latents(_module, _inputs, output):
    output = output.clone()
    output[:, -8:] = 0
    return output


def test_the_latents_are_the_mean_over_the_modalities_present():
    tokens = fake_tokens()
    absent = tokens[LANGUAGE].mask & False
    masked = {**tokens, LANGUAGE: type(tokens[LANGUAGE])(tokens[LANGUAGE].values, absent)}
    fusion = build(num_layers=1)
    fused = fusion(masked)
    parts = fusion.project(masked)
    copies = []
    for name in (VISION, PROPRIO):
        joined = torch.cat([parts[name].values, fusion.latents.expand(len(absent), -1, -1)], dim=1)
        latent_mask = torch.ones(len(absent), 8, dtype=torch.bool)
        mask = torch.cat([parts[name].mask, latent_mask], dim=1)
        copies.append(fusion.layers[0][name](type(parts[name])(joined, mask)).values[:, -8:])
    is_whole = torch.stack([parts[name].mask.any(1) for name in (VISION, PROPRIO)]).all(0)
    expected = torch.stack(copies).mean(dim=0)
    torch.testing.assert_close(fused.groups[0].values[is_whole, -8:], expected[is_whole])
