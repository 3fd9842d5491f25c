"""Masked reductions against slow obvious loops, and the promises of `masks.py`."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.masks import (
    attention_mask,
    lengths_to_mask,
    masked_fill,
    masked_max,
    masked_mean,
    masked_mean_all,
    masked_softmax,
    masked_sum,
    pooled_mean,
)

SHAPE = (3, 5, 7)


def random_case(seed=0, shape=SHAPE, share=0.6):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < share
    return values, mask


def slow_reduce(values, mask, reduce, empty=0.0):
    """Reduce the last axis by a loop over the real values, one row at a time."""
    rows = values.reshape(-1, values.shape[-1]).tolist()
    masks = mask.reshape(-1, values.shape[-1]).tolist()
    out = []
    for row, keep in zip(rows, masks, strict=True):
        real = [value for value, is_real in zip(row, keep, strict=True) if is_real]
        out.append(reduce(real) if real else empty)
    return torch.tensor(out, dtype=values.dtype).reshape(values.shape[:-1])


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize(
    ("fast", "reduce"),
    [(masked_sum, math.fsum), (masked_mean, lambda real: math.fsum(real) / len(real))],
)
def test_sum_and_mean_equal_a_loop(fast, reduce, dim):
    values, mask = random_case(share=0.4)
    expected = slow_reduce(values.movedim(dim, -1), mask.movedim(dim, -1), reduce)
    torch.testing.assert_close(fast(values, mask, dim), expected)


def test_mean_of_hand_computed_rows():
    values = torch.tensor([[1.0, 2.0, 6.0], [5.0, 7.0, 9.0], [4.0, 8.0, 1.0]])
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    assert masked_mean(values, mask, 1).tolist() == [3.5, 0.0, pytest.approx(13 / 3)]
    assert masked_sum(values, mask, 1).tolist() == [7.0, 0.0, 13.0]
    assert masked_mean_all(values, mask).item() == 4.0
    assert masked_mean_all(values, torch.zeros_like(mask)).item() == 0.0


def test_pooled_mean_equals_the_mean_of_the_real_tokens():
    values, _ = random_case()
    mask = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], dtype=torch.bool)
    pooled = pooled_mean(values, mask)
    torch.testing.assert_close(pooled[0], (values[0, 0] + values[0, 1] + values[0, 4]) / 3)
    assert torch.equal(pooled[1], torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(pooled[2], values[2, 1])


def test_max_ignores_padding_even_where_all_real_values_are_negative():
    values = torch.tensor([[[-3.0, -1.0], [-2.0, -5.0], [9.0, 9.0]], [[1.0, 2.0]] * 3])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_max(values, mask).tolist() == [[-2.0, -1.0], [0.0, 0.0]]


def test_softmax_equals_a_loop():
    logits, mask = random_case(share=0.5)
    flat_logits, flat_mask = logits.reshape(-1, 7), mask.reshape(-1, 7)
    expected = torch.zeros_like(flat_logits)
    for row in range(len(flat_logits)):
        real = flat_mask[row].nonzero().flatten()
        total = sum(math.exp(flat_logits[row, i]) for i in real)
        for i in real:
            expected[row, i] = math.exp(flat_logits[row, i]) / total
    torch.testing.assert_close(masked_softmax(logits, mask), expected.view(SHAPE))
    turned = masked_softmax(logits.transpose(1, 2), mask.transpose(1, 2), dim=1)
    torch.testing.assert_close(turned.transpose(1, 2), expected.view(SHAPE))


def test_softmax_of_nothing_is_zero_with_zero_gradient():
    logits = torch.tensor([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    weights = masked_softmax(logits, torch.tensor([[False, False], [True, True]]))
    assert weights[0].tolist() == [0.0, 0.0]
    weights.square().sum().backward()
    assert logits.grad[0].tolist() == [0.0, 0.0]
    assert logits.grad[1].abs().min() > 0


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize(
    "reduce",
    [
        lambda v, m: masked_sum(v, m.unsqueeze(-1).expand_as(v), 1),
        lambda v, m: masked_mean(v, m.unsqueeze(-1).expand_as(v), 1),
        lambda v, m: masked_mean_all(v, m.unsqueeze(-1).expand_as(v)),
        lambda v, m: masked_softmax(v, m.unsqueeze(-1).expand_as(v), 1).square(),
        pooled_mean,
        masked_max,
    ],
)
def test_what_is_masked_never_matters_forward_or_backward(reduce, garbage):
    values, _ = random_case()
    mask = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0]], dtype=torch.bool)
    expected = reduce(values, mask)
    spoiled = values.masked_fill(~mask.unsqueeze(-1), garbage).requires_grad_()
    actual = reduce(spoiled, mask)
    assert torch.equal(actual, expected)
    actual.sum().backward()
    assert torch.equal(spoiled.grad[~mask], torch.zeros_like(spoiled.grad[~mask]))
    assert torch.isfinite(spoiled.grad).all()
    assert spoiled.grad[mask].abs().max() > 0


def test_large_negative_values_are_real_too():
    values = torch.tensor([[[-3e6], [-5e6], [0.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_max(values, mask).item() == -3e6
    weights = masked_softmax(values[..., 0], mask)
    assert weights.tolist() == [[1.0, 0.0, 0.0]]


def test_fill_keeps_the_dtype_and_the_real_values():
    values = torch.tensor([1.5, math.nan, -2.0], dtype=torch.bfloat16)
    filled = masked_fill(values, torch.tensor([True, False, True]))
    assert filled.dtype == torch.bfloat16
    assert filled.tolist() == [1.5, 0.0, -2.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_softmax_and_max_work_in_every_precision(dtype):
    values = torch.tensor([[[1.0], [2.0], [50.0]]], dtype=dtype)
    mask = torch.tensor([[True, True, False]])
    assert masked_max(values, mask).tolist() == [[2.0]]
    weights = masked_softmax(values[..., 0], mask)
    assert weights[0, 2] == 0
    torch.testing.assert_close(weights.sum().float(), torch.tensor(1.0), atol=0.01, rtol=0)


def test_lengths_become_leading_trues():
    mask = lengths_to_mask(torch.tensor([0, 3, 2, 9]), 3)
    assert mask.tolist() == [
        [False, False, False],
        [True, True, True],
        [True, True, False],
        [True, True, True],
    ]


def test_attention_mask_is_true_where_both_are_real():
    query = torch.tensor([[True, False]])
    key = torch.tensor([[True, True, False]])
    assert attention_mask(query, key).tolist() == [[[True, True, False], [False, False, False]]]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    padding=st.integers(0, 5),
    seed=st.integers(0, 999),
)
def test_padding_length_never_matters(lengths, padding, seed):
    generator = torch.Generator().manual_seed(seed)
    size = max(*lengths, 1)
    values = torch.randn(len(lengths), size, 3, generator=generator, dtype=torch.float64)
    longer = torch.nn.functional.pad(values, (0, 0, 0, padding), value=math.nan)
    counts = torch.tensor(lengths)
    short_mask, long_mask = (lengths_to_mask(counts, n) for n in (size, size + padding))
    for reduce in (pooled_mean, masked_max):
        torch.testing.assert_close(reduce(longer, long_mask), reduce(values, short_mask))
    weights = masked_softmax(longer[..., 0], long_mask)
    torch.testing.assert_close(weights[:, :size], masked_softmax(values[..., 0], short_mask))
    is_real = (counts > 0).double()
    torch.testing.assert_close(weights.sum(dim=1), is_real)
