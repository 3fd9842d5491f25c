"""Retrieval metrics against whole matrices, enumerated ties and closed forms."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb
from torch.utils._python_dispatch import TorchDispatchMode

from plait.alignment.metrics import retrieval
from plait.alignment.metrics.retrieval import (
    Ranks,
    bootstrap_interval,
    both_directions,
    chance_ranks,
    chance_recall,
    diagonal_ceiling,
    diagonal_score,
    exact_products,
    paired_ranks,
    retrieval_ranks,
    retrieved,
)
from plait.errors import OptionError, PlaitError, ShapeError


def unit(rows, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, width, generator=generator), dim=1)


def with_ties(rows, width=3, seed=0):
    """Directions of a small grid: many are equal, and unequal scores differ by far more."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randint(-1, 2, (rows, width), generator=generator).float()
    return torch.nn.functional.normalize(grid, dim=1)


def groups_of(rows, count, seed=0):
    """Every group at least once, in random order."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.arange(rows) % count)[torch.randperm(rows, generator=generator)]


def slow_ranks(queries, items, query_groups, item_groups):
    """One comparison at a time over a whole float64 matrix."""
    scores = (queries.double() @ items.double().T).tolist()
    out = []
    for row, group in zip(scores, query_groups.tolist(), strict=True):
        is_positive = [other == group for other in item_groups.tolist()]
        best = max(score for score, is_it in zip(row, is_positive, strict=True) if is_it)
        above = tied_negatives = tied_positives = 0
        for score, is_it in zip(row, is_positive, strict=True):
            tied = abs(score - best) <= 1e-6
            above += not is_it and not tied and score > best
            tied_negatives += not is_it and tied
            tied_positives += is_it and tied
        out.append((above, tied_negatives, tied_positives))
    return out


def as_rows(ranks):
    columns = (ranks.above, ranks.tied_negatives, ranks.tied_positives)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def ranks_of(above, tied_negatives, tied_positives):
    return Ranks(*(torch.tensor([value]) for value in (above, tied_negatives, tied_positives)))


def orders_of_ties(above, tied_negatives, tied_positives):
    """Rank of the first positive in every order that the tied items could have."""
    places = range(1, tied_negatives + tied_positives + 1)
    return [above + chosen[0] for chosen in itertools.combinations(places, tied_positives)]


@settings(max_examples=40, deadline=None)
@given(
    num_queries=st.integers(1, 40),
    num_items=st.integers(1, 40),
    num_groups=st.integers(1, 12),
    make=st.sampled_from([unit, with_ties]),
    max_elements=st.sampled_from([1, 2, 7, 64, 2**23]),
    seed=st.integers(0, 9),
)
def test_ranks_equal_a_loop(num_queries, num_items, num_groups, make, max_elements, seed):
    num_groups = min(num_groups, num_queries, num_items)
    first, second = make(num_queries, 3, seed), make(num_items, 3, seed + 1)
    first_groups = groups_of(num_queries, num_groups, seed) * 5 - 7
    second_groups = groups_of(num_items, num_groups, seed + 1) * 5 - 7
    forward, backward = both_directions(first, second, first_groups, second_groups, max_elements)
    assert as_rows(forward) == slow_ranks(first, second, first_groups, second_groups)
    assert as_rows(backward) == slow_ranks(second, first, second_groups, first_groups)
    one_way = retrieval_ranks(first, second, first_groups, second_groups, max_elements)
    assert as_rows(one_way) == as_rows(forward)


@pytest.mark.parametrize("max_elements", [1, 100, 2**23])
def test_paired_ranks_equal_a_loop(max_elements):
    first = unit(60)
    second = torch.nn.functional.normalize(first + 0.3 * unit(60, seed=1), dim=1)
    second[7] = second[3]
    own = torch.arange(60)
    forward, backward = paired_ranks(first, second, max_elements)
    assert as_rows(forward) == slow_ranks(first, second, own, own)
    assert as_rows(backward) == slow_ranks(second, first, own, own)
    assert forward.tied_negatives.sum() > 0


def test_ranks_over_many_cpu_tiles_equal_a_loop(monkeypatch):
    monkeypatch.setattr(retrieval, "CPU_TILE_ELEMENTS", 500)
    first, second, groups = with_ties(150, 4), with_ties(90, 4, seed=1), groups_of(150, 13)
    ranks = retrieval_ranks(first, second, groups, groups[:90])
    assert as_rows(ranks) == slow_ranks(first, second, groups, groups[:90])


def test_items_of_groups_that_nobody_asks_for_are_negatives():
    queries, items = torch.eye(3)[:1], torch.eye(3)
    ranks = retrieval_ranks(queries, items, torch.tensor([4]), torch.tensor([9, 4, 6]))
    assert as_rows(ranks) == [(1, 1, 1)]


def test_the_rounding_of_equal_embeddings_is_a_tie():
    base = unit(1, 512)
    noisy = (base * (1 + 1e-7 * torch.randn(400, 1, generator=torch.manual_seed(0)))).float()
    forward, _ = paired_ranks(noisy, noisy)
    assert forward.tied_negatives.tolist() == [399] * 400


def test_the_tolerance_grows_with_the_length_of_the_vectors():
    same = 30.0 * unit(1, 512).expand(200, -1)
    noisy = same * (1 + 1e-7 * torch.randn(200, 1, generator=torch.manual_seed(0)))
    assert paired_ranks(noisy, noisy)[0].tied_negatives.tolist() == [199] * 200


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_ranked_in_float32_or_better(dtype):
    first, second = unit(40).to(dtype), unit(40, seed=1).to(dtype)
    own = torch.arange(40)
    assert as_rows(paired_ranks(first, second)[0]) == slow_ranks(first, second, own, own)


@pytest.mark.parametrize("case", list(itertools.product((0, 2), range(4), range(1, 4))))
def test_figures_are_the_mean_over_all_orders_of_ties(case):
    orders = orders_of_ties(*case)
    ranks = ranks_of(*case)
    mean = len(orders)
    assert ranks.expected_rank().item() == pytest.approx(sum(orders) / mean)
    expected = sum(1 / rank for rank in orders) / mean
    assert ranks.reciprocal_rank().item() == pytest.approx(expected)
    for k in range(1, 10):
        hits = sum(rank <= k for rank in orders)
        assert ranks.recall(k).item() == pytest.approx(hits / mean, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.integers(0, 3000), st.integers(1, 500), st.integers(1, 4000))
def test_recall_is_hypergeometric(above, tied, positives, k):
    slots = min(max(k - above, 0), tied + positives)
    miss = comb(tied, slots, exact=True) / comb(tied + positives, slots, exact=True)
    recall = ranks_of(above, tied, positives).recall(k).item()
    assert recall == pytest.approx(1 - miss, abs=1e-9)
    assert recall == 1.0 or slots <= tied


def test_without_ties_recall_is_a_plain_hit():
    ranks = Ranks(torch.tensor([0, 1, 9, 10]), torch.zeros(4).long(), torch.ones(4).long())
    assert ranks.recall(1).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert ranks.recall(10).tolist() == [1.0, 1.0, 1.0, 0.0]
    assert ranks.mean_recall(10) == 0.75
    assert ranks.reciprocal_rank().tolist() == pytest.approx([1, 1 / 2, 1 / 10, 1 / 11])
    assert ranks.mean_reciprocal_rank() == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11) / 4)
    assert ranks.median_rank() == 6.0


def test_a_collapsed_model_scores_exactly_chance():
    collapsed = unit(1, 64).expand(300, -1)
    groups = groups_of(300, 7)
    groups[:5] = 99
    for ranks in both_directions(collapsed, collapsed, groups, groups):
        for k in (1, 10, 280, 300):
            chance = sum(
                1 - comb(300 - p, k, exact=True) / comb(300, k, exact=True)
                for p in ((groups == group).sum().item() for group in groups)
            )
            assert ranks.mean_recall(k) == pytest.approx(chance / 300, rel=1e-9)
            assert chance_recall(groups, groups, k) == ranks.mean_recall(k)
    forward, _ = paired_ranks(collapsed, collapsed)
    assert forward.mean_recall(3) == pytest.approx(3 / 300)
    assert forward.median_rank() == pytest.approx(301 / 2)
    harmonic = sum(1 / rank for rank in range(1, 301))
    assert forward.mean_reciprocal_rank() == pytest.approx(harmonic / 300)


def test_chance_is_what_a_random_order_gets():
    query_groups, item_groups = torch.tensor([1, 3]), torch.tensor([3, 1, 3, 3, 8])
    expected = ((1 - comb(4, 2) / comb(5, 2)) + (1 - comb(2, 2) / comb(5, 2))) / 2
    assert chance_recall(query_groups, item_groups, 2) == pytest.approx(expected)
    assert chance_recall(query_groups, item_groups, 50) == 1.0
    assert as_rows(chance_ranks(query_groups, item_groups)) == [(0, 4, 1), (0, 2, 3)]


def test_perfect_models_are_always_right():
    forward, backward = paired_ranks(torch.eye(50), torch.eye(50))
    assert forward.mean_recall(1) == backward.mean_recall(1) == 1.0
    groups = groups_of(50, 5)
    perfect = torch.eye(5)[groups]
    ranks = retrieval_ranks(perfect, perfect, groups, groups)
    assert ranks.mean_recall(1) == ranks.mean_reciprocal_rank() == ranks.median_rank() == 1.0


def test_order_does_not_matter():
    first, second, groups = unit(80), unit(80, seed=1), groups_of(80, 9)
    order = torch.randperm(80, generator=torch.manual_seed(3))
    plain = retrieval_ranks(first, second, groups, groups)
    turned = retrieval_ranks(first[order], second, groups[order], groups)
    assert torch.equal(turned.above, plain.above[order])
    shuffled = retrieval_ranks(first, second[order], groups, groups[order])
    assert torch.equal(shuffled.above, plain.above)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple) else (out,):
            if isinstance(value, torch.Tensor):
                self.numel = max(self.numel, value.numel())
        return out


def test_memory_does_not_grow_with_the_square():
    first, second, groups = unit(400, 4), unit(400, 4, seed=1), groups_of(400, 20)
    paired_ranks(first[:2], second[:2])
    with Largest() as largest:
        paired_ranks(first, second, 1000)
        both_directions(first, second, groups, groups, 1000)
        retrieved(first, second, (groups, groups), 1000)
    assert largest.numel <= max(1000, first.numel())


def test_nothing_is_differentiated_and_no_input_is_changed():
    first, second = unit(20).requires_grad_(), unit(20, seed=1)
    before = first.detach().clone()
    forward, _ = paired_ranks(first, second)
    retrieved(first, second)
    assert not forward.recall(3).requires_grad
    assert torch.equal(first, before)


def test_a_coarser_setting_of_products_changes_no_rank():
    first = unit(300, 256)
    second = torch.nn.functional.normalize(first + 0.5 * unit(300, 256, seed=1), dim=1)
    expected = as_rows(paired_ranks(first, second)[0])
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert as_rows(paired_ranks(first, second)[0]) == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("width", [8, 512])
def test_products_have_the_accuracy_of_float32(width):
    rows, columns = unit(300, width), unit(400, width, seed=1)
    before = torch.get_float32_matmul_precision()
    with exact_products(rows):
        error = (rows @ columns.T).double() - rows.double() @ columns.double().T
    assert error.abs().max() < 5e-7
    with pytest.raises(ZeroDivisionError), exact_products(rows):
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("max_elements", [1, 90, 2**23])
def test_retrieved_is_the_argmax_of_the_whole_matrix(max_elements):
    queries, library = unit(70), unit(110, seed=1)
    expected = (queries @ library.T).argmax(dim=1)
    assert torch.equal(retrieved(queries, library, max_elements=max_elements), expected)


@pytest.mark.parametrize("max_elements", [1, 90, 2**23])
def test_nothing_of_the_own_episode_is_retrieved(max_elements):
    values, episodes = unit(60), groups_of(60, 6)
    found = retrieved(values, values, (episodes, episodes), max_elements)
    scores = values @ values.T
    for query, item in enumerate(found.tolist()):
        others = [j for j in range(60) if episodes[j] != episodes[query]]
        assert item == max(others, key=lambda j: scores[query, j].item())
    assert torch.equal(retrieved(values, values), torch.arange(60))


def test_a_query_without_anything_to_retrieve_is_an_error():
    values, episodes = unit(6), torch.tensor([0, 0, 0, 0, 1, 2])
    with pytest.raises(PlaitError, match="4 of 6 queries have nothing to retrieve"):
        retrieved(values, values[:4], (episodes, episodes[:4]))


def test_diagonal_score_is_a_plain_argmax():
    first = unit(90)
    second = torch.nn.functional.normalize(first + unit(90, seed=1), dim=1)
    expected = sum((first @ second.T)[i].argmax().item() == i for i in range(90)) / 90
    assert diagonal_score(first, second) == diagonal_score(first, second, 50) == expected
    assert 0.1 < expected < 0.9


def test_no_model_of_shared_instructions_beats_the_ceiling():
    groups = groups_of(60, 6)
    perfect = torch.eye(6)[groups]
    assert diagonal_score(perfect, perfect) == diagonal_ceiling(groups) == 0.1
    assert retrieval_ranks(perfect, perfect, groups, groups).mean_recall(1) == 1.0


def test_the_interval_resamples_whole_episodes():
    generator = torch.Generator().manual_seed(0)
    per_episode = torch.randn(400, generator=generator)
    low, high = bootstrap_interval(per_episode, torch.arange(400), seed=1)
    centre, half = per_episode.mean().item(), 1.96 * per_episode.std().item() / math.sqrt(400)
    assert low == pytest.approx(centre - half, abs=0.15 * half)
    assert high == pytest.approx(centre + half, abs=0.15 * half)
    # 50 frames that say the same as one make nothing more certain.
    repeated, episodes = per_episode.repeat_interleave(50), torch.arange(400).repeat_interleave(50)
    assert bootstrap_interval(repeated, episodes * 3 - 9, seed=1) == pytest.approx((low, high))


def test_the_interval_weighs_frames_not_episodes():
    # Twenty long episodes of ones, twenty of a single zero: 0.9 of the frames, half the episodes.
    values = torch.tensor([1.0] * 9 + [0.0]).repeat(20)
    episodes = torch.tensor([0] * 9 + [1]).repeat(20) + 2 * torch.arange(20).repeat_interleave(10)
    low, high = bootstrap_interval(values, episodes, seed=0)
    assert 0.75 < low < 0.9 < high < 1.0


def test_the_interval_follows_from_its_seed(monkeypatch):
    values, episodes = torch.rand(60, generator=torch.manual_seed(0)), groups_of(60, 20)
    first = bootstrap_interval(values, episodes, seed=4)
    assert bootstrap_interval(values, episodes, seed=4) == first
    assert bootstrap_interval(values, episodes, seed=5) != first
    monkeypatch.setattr(retrieval, "BOOTSTRAP_ELEMENTS", 50)
    assert bootstrap_interval(values, episodes, seed=4) == pytest.approx(first, abs=0.02)


def test_one_episode_has_no_interval():
    with pytest.raises(PlaitError, match="at least 2 episodes, but found 1"):
        bootstrap_interval(torch.rand(9), torch.zeros(9, dtype=torch.int64), seed=0)
    with pytest.raises(OptionError, match="seed"):
        bootstrap_interval(torch.rand(9), torch.arange(9), seed=-1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(bad):
    values, broken = unit(9), unit(9, seed=1)
    broken[2:5, 1] = bad
    own = torch.arange(9)
    with pytest.raises(PlaitError, match="3 of 9 rows of second are not finite"):
        paired_ranks(values, broken)
    with pytest.raises(PlaitError, match="3 of 9 rows of queries are not finite"):
        retrieval_ranks(broken, values, own, own)
    with pytest.raises(PlaitError, match="3 of 9 rows of library are not finite"):
        retrieved(values, broken)


def test_queries_without_a_positive_are_an_error():
    values, groups = unit(6), torch.tensor([0, 1, 2, 3, 7, 7])
    with pytest.raises(PlaitError, match="2 of 6 queries have no positive"):
        retrieval_ranks(values, values[:4], groups, groups[:4])
    with pytest.raises(PlaitError, match="2 of 6 rows of second have no positive"):
        both_directions(values[:4], values, groups[:4], groups)
    with pytest.raises(PlaitError, match="2 of 6 queries have no positive"):
        chance_recall(groups, groups[:4], 1)


def test_shapes_that_do_not_fit_are_refused():
    # Unwrapped: the tests check shapes at every call, which users need not.
    values, own = unit(9), torch.arange(9)
    with pytest.raises(ShapeError, match=r"items has shape \(9, 5\).*\(any, 8\)"):
        retrieval_ranks.__wrapped__(values, unit(9, 5), own, own)
    with pytest.raises(ShapeError, match=r"second has shape \(7, 8\)"):
        paired_ranks.__wrapped__(values, values[:7])
    with pytest.raises(ShapeError, match=r"items has shape \(7, 8\)"):
        diagonal_score.__wrapped__(values, values[:7])
    with pytest.raises(ShapeError, match=r"groups of the second input has shape \(7,\)"):
        retrieval_ranks.__wrapped__(values, values, own, own[:7])
    with pytest.raises(ShapeError, match=r"library's episodes has shape \(7,\)"):
        retrieved.__wrapped__(values, values, (own, own[:7]))


def test_empty_inputs_and_options_out_of_range_are_refused():
    values = unit(4)
    with pytest.raises(PlaitError, match="queries: found no rows"):
        retrieved(values[:0], values)
    with pytest.raises(OptionError, match="max_elements is 0"):
        paired_ranks(values, values, 0)
    with pytest.raises(OptionError, match="k of recall@k is 0"):
        paired_ranks(values, values)[0].recall(0)
