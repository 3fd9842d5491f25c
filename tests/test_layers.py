"""Layers against independent references with copied weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from plait.layers import (
    MLP,
    Attention,
    AttentionPool,
    Projection,
    ResidualConv,
    SelfAttentionBlock,
    grid_to_tokens,
    sinusoidal_grid,
    tokens_to_grid,
)
from plait.masks import lengths_to_mask
from plait.types import Tokens, TokenSpec

BATCH, QUERIES, KEYS, WIDTH, HEADS = 3, 5, 7, 12, 2


def attention_case():
    torch.manual_seed(0)
    layer = Attention(WIDTH, HEADS).double()
    queries = torch.randn(BATCH, QUERIES, WIDTH, dtype=torch.float64)
    keys = torch.randn(BATCH, KEYS, WIDTH, dtype=torch.float64)
    return layer, queries, keys, lengths_to_mask(torch.tensor([7, 3, 1]), KEYS)


def torch_attention(layer):
    """Return PyTorch's own attention with the same weights."""
    reference = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key_value.bias]))
        reference.out_proj.weight.copy_(layer.out.weight)
        reference.out_proj.bias.copy_(layer.out.bias)
    return reference


def test_attention_equals_torch_multihead_attention():
    layer, queries, keys, mask = attention_case()
    # Its key_padding_mask has the opposite polarity: True = drop.
    expected, weights = torch_attention(layer)(queries, keys, keys, key_padding_mask=~mask)
    torch.testing.assert_close(layer(queries, keys, mask), expected)
    out, attended = layer.attend(queries, keys, mask)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(attended, weights)


def test_attention_equals_a_loop():
    layer, queries, keys, mask = attention_case()
    head_dim = WIDTH // HEADS
    query = layer.query(queries)
    key, value = layer.key_value(keys).split(WIDTH, dim=-1)
    mixed = torch.zeros_like(query)
    for b in range(BATCH):
        for q in range(QUERIES):
            for h in range(HEADS):
                part = slice(h * head_dim, (h + 1) * head_dim)
                real = [t for t in range(KEYS) if mask[b, t]]
                scores = [query[b, q, part] @ key[b, t, part] / head_dim**0.5 for t in real]
                weights = torch.stack(scores).exp()
                weights = weights / weights.sum()
                mixed[b, q, part] = sum(
                    w * value[b, t, part] for w, t in zip(weights, real, strict=True)
                )
    torch.testing.assert_close(layer(queries, keys, mask), layer.out(mixed))


def test_attention_over_nothing_is_zero_and_has_no_gradient():
    layer, queries, keys, mask = attention_case()
    mask[1] = False
    keys.requires_grad_()
    for out in (layer(queries, keys, mask), layer.attend(queries, keys, mask)[0]):
        assert torch.equal(out[1], torch.zeros_like(out[1]))
        (gradient,) = torch.autograd.grad(out.square().sum(), keys)
        assert torch.equal(gradient[~mask], torch.zeros_like(gradient[~mask]))
        assert torch.isfinite(gradient).all()
        assert gradient[0].abs().sum() > 0


def test_attention_weights_are_shares_of_the_real_keys():
    layer, queries, keys, mask = attention_case()
    weights = layer.attend(queries, keys, mask)[1]
    torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, QUERIES, dtype=torch.float64))
    assert torch.equal(weights[1, :, 3:], torch.zeros(QUERIES, 4, dtype=torch.float64))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width 10 is not a multiple of num_heads 4"):
        Attention(10, 4)


def test_mlp_is_linear_silu_linear():
    torch.manual_seed(0)
    mlp = MLP(3, 7, 5)
    values = torch.randn(2, 11, 3)
    hidden = values @ mlp.expand.weight.T + mlp.expand.bias
    hidden = hidden / (1 + torch.exp(-hidden))
    expected = hidden @ mlp.contract.weight.T + mlp.contract.bias
    torch.testing.assert_close(mlp(values), expected)


def test_self_attention_block_is_pre_norm_and_ignores_padding():
    torch.manual_seed(0)
    block = SelfAttentionBlock(WIDTH, 17, HEADS)
    values = torch.randn(BATCH, KEYS, WIDTH)
    mask = lengths_to_mask(torch.tensor([7, 4, 2]), KEYS)
    out = block(Tokens(values, mask))
    normed = block.attention_norm(values)
    middle = values + block.attention(normed, normed, mask)
    expected = middle + block.mlp(block.mlp_norm(middle))
    torch.testing.assert_close(out.values, expected)
    assert torch.equal(out.mask, mask)
    other = block(Tokens(torch.where(mask.unsqueeze(-1), values, 100.0), mask))
    torch.testing.assert_close(other.values[mask], out.values[mask])


@pytest.mark.parametrize("is_conditioned", [False, True])
def test_residual_conv_is_the_film_formula(is_conditioned):
    torch.manual_seed(0)
    layer = ResidualConv(5)
    grid = torch.randn(2, 5, 3, 7)
    scale, shift = torch.randn(2, 5), torch.randn(2, 5)
    mean = grid.mean(dim=(1, 2, 3), keepdim=True)
    variance = grid.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
    inner = F.conv2d((grid - mean) / (variance + 1e-5).sqrt(), layer.conv.weight, padding=1)
    inner = inner + layer.conv.bias[:, None, None]
    if is_conditioned:
        inner = (1 + scale)[:, :, None, None] * inner + shift[:, :, None, None]
    expected = grid + F.silu(inner)
    actual = layer(grid, scale, shift) if is_conditioned else layer(grid)
    torch.testing.assert_close(actual, expected)


def test_residual_conv_with_zero_condition_is_unconditioned():
    torch.manual_seed(0)
    layer, grid, zero = ResidualConv(5), torch.randn(2, 5, 3, 7), torch.zeros(2, 5)
    assert torch.equal(layer(grid, zero, zero), layer(grid))


def pool_case(num_queries=2, query_dim=3, width=4):
    torch.manual_seed(0)
    pool = AttentionPool(width, num_queries, query_dim)
    values = torch.randn(BATCH, KEYS, width)
    return pool, values, lengths_to_mask(torch.tensor([7, 3, 0]), KEYS)


def test_attention_pool_equals_a_loop():
    pool, values, mask = pool_case()
    expected = torch.zeros(BATCH, 2, 3)
    for b in range(BATCH):
        for q in range(2):
            real = [t for t in range(KEYS) if mask[b, t]]
            scores = [(pool.queries[q] @ pool.key(values[b, t])).item() / 3**0.5 for t in real]
            total = sum(math.exp(score) for score in scores)
            for score, t in zip(scores, real, strict=True):
                expected[b, q] += math.exp(score) / total * pool.value(values[b, t]).detach()
    torch.testing.assert_close(pool(Tokens(values, mask)), expected.flatten(1))
    assert pool.out_dim == 6


def test_attention_pool_with_a_sharp_query_reads_one_token():
    pool, values, _ = pool_case(num_queries=1, query_dim=11, width=13)
    with torch.no_grad():
        keys = pool.key(values)[0]
        # A query far along the direction that tells token 4 from every other one.
        others = torch.cat([keys[:4], keys[5:]])
        direction = torch.linalg.lstsq(keys, (torch.arange(KEYS) == 4).float()[:, None]).solution
        gap = keys[4] @ direction - (others @ direction).max()
        assert gap > 0
        pool.queries.copy_(direction.T / gap * 100)
        out = pool(Tokens(values[:1], torch.ones(1, KEYS, dtype=torch.bool)))
        torch.testing.assert_close(out[0], pool.value(values)[0, 4])


def test_attention_pool_of_nothing_is_zero_and_nan_in_padding_does_not_matter():
    pool, values, mask = pool_case()
    out = pool(Tokens(values, mask))
    assert torch.equal(out[2], torch.zeros(6))
    spoiled = values.masked_fill(~mask.unsqueeze(-1), math.nan).requires_grad_()
    actual = pool(Tokens(spoiled, mask))
    assert torch.equal(actual, out)
    actual.sum().backward()
    assert torch.equal(spoiled.grad[~mask], torch.zeros_like(spoiled.grad[~mask]))


def test_projection_stops_whatever_stands_in_padding():
    torch.manual_seed(0)
    projection = Projection(TokenSpec(5), 7)
    values = torch.randn(2, 3, 5)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    expected = projection.linear(values) + projection.modality_embedding
    out = projection(Tokens(values.masked_fill(~mask.unsqueeze(-1), math.nan), mask))
    torch.testing.assert_close(out.values[mask], expected[mask])
    # What stood in the padding is gone: all of it has become the projection of zero.
    of_zero = projection.linear.bias + projection.modality_embedding
    torch.testing.assert_close(out.values[~mask], of_zero.expand(3, 7))


@pytest.mark.parametrize(
    ("rows", "columns", "width"), [(1, 1, 4), (5, 3, 4), (8, 8, 24), (2, 17, 8)]
)
def test_grid_positions_are_distinct_and_bounded(rows, columns, width):
    position = sinusoidal_grid(rows, columns, width)
    assert position.shape == (rows * columns, width)
    assert position.abs().max() <= 1
    distance = torch.cdist(position, position) + 9 * torch.eye(rows * columns)
    assert distance.min() > 0.01


def test_grid_positions_put_rows_in_the_first_half_and_columns_in_the_second():
    position = sinusoidal_grid(3, 5, 8).unflatten(0, (3, 5))
    assert torch.equal(position[:, 0, :4], position[:, 4, :4])
    assert torch.equal(position[0, :, 4:], position[2, :, 4:])
    # First frequency: half a period over the axis, cos(π (i + ½) / rows).
    expected = [math.cos(math.pi * (i + 0.5) / 3) for i in range(3)]
    assert position[:, 0, 2].tolist() == pytest.approx(expected, abs=1e-6)


def test_position_width_must_be_a_multiple_of_four():
    with pytest.raises(ValueError, match="width 6 is not a multiple of 4"):
        sinusoidal_grid(2, 2, 6)


def test_tokens_are_laid_out_view_by_view_row_by_row():
    spec = TokenSpec(2, grid=(3, 5), num_views=2)
    values = torch.arange(2 * 30 * 2.0).view(2, 30, 2)
    grid = tokens_to_grid(values, spec)
    assert grid.shape == (4, 2, 3, 5)
    for sample in range(2):
        for view in range(2):
            for row in range(3):
                for column in range(5):
                    token = values[sample, view * 15 + row * 5 + column]
                    assert torch.equal(grid[sample * 2 + view, :, row, column], token)
    assert torch.equal(grid_to_tokens(grid, 2), values)


def test_tokens_without_a_grid_are_refused():
    with pytest.raises(ValueError, match="without a grid cannot be laid out as an image"):
        tokens_to_grid(torch.zeros(1, 2, 3), TokenSpec(3))
