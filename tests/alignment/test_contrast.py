"""The tiled contrast against the plainest reference: whole matrices, cross-entropy, float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from alignment_fakes import unit
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import multiprocessing

from plait.alignment import products
from plait.alignment.contrast import BF16, PRECISIONS, Pair, Tiling, contrast
from plait.errors import OptionError, PlaitError, ShapeError

THREE = (Pair(0, 1), Pair(0, 2), Pair(1, 2))


def reference(embeddings, pairs, scales):
    """Whole matrices; absent samples cut out, same-group negatives at minus infinity."""
    total, weights = 0.0, 0.0
    for pair, scale in zip(pairs, scales, strict=True):
        x, y, groups = embeddings[pair.first], embeddings[pair.second], pair.groups
        if pair.present is not None:
            x, y = x[pair.present], y[pair.present]
            groups = None if groups is None else groups[pair.present]
        if not len(x) or not pair.weight:
            continue
        logits = scale * x @ y.T
        if groups is not None:
            is_masked = (groups[:, None] == groups) & ~torch.eye(len(x), dtype=torch.bool)
            logits = logits.masked_fill(is_masked, float("-inf"))
        own = torch.arange(len(x))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        total, weights = total + pair.weight * loss, weights + pair.weight
    return total / weights


def both(embeddings, pairs, scale, tiling=None):
    """Return loss and gradients of ours and of the reference."""
    outcomes = []
    for function in (
        lambda e, s: contrast(e, pairs, [s] * len(pairs), tiling=tiling).total,
        lambda e, s: reference(e, pairs, [s] * len(pairs)),
    ):
        leaves = [values.clone().requires_grad_() for values in embeddings]
        slope = torch.tensor(float(scale), dtype=embeddings[0].dtype, requires_grad=True)
        loss = function(leaves, slope)
        loss.backward()
        grads = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        outcomes.append((loss.detach(), [*grads, slope.grad]))
    return outcomes


def assert_same(embeddings, pairs, scale, tiling=None, tolerance=1e-9):
    (loss, grads), (expected, expected_grads) = both(embeddings, pairs, scale, tiling)
    torch.testing.assert_close(loss, expected, atol=tolerance, rtol=tolerance)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 23),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    kept=st.sampled_from([0, 300, 2000, 10**6]),
    scale=st.sampled_from([1.0, 14.3, 63.0, 80.0, 100.0]),
    seed=st.integers(0, 5),
)
def test_loss_and_gradients_equal_the_reference(size, rows, columns, kept, scale, seed):
    tiling = Tiling(rows=rows, columns=columns, kept_bytes=kept)
    assert_same(unit(size, seed=seed), THREE, scale, tiling)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 17),
    num_groups=st.integers(1, 5),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    rows=st.integers(1, 6),
    kept=st.sampled_from([0, 10**6]),
    seed=st.integers(0, 9),
)
def test_groups_masks_and_weights_equal_the_reference(size, num_groups, share, rows, kept, seed):
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(num_groups, (size,), generator=generator)
    present = torch.rand(size, generator=generator) >= share
    present[0] = True
    pairs = (
        Pair(0, 1, weight=0.3, groups=groups, present=present),
        Pair(0, 2, weight=2.0, present=present),
        Pair(1, 2, weight=0.0),
        Pair(2, 1, groups=groups),
    )
    assert_same(unit(size, seed=seed), pairs, 14.3, Tiling(rows=rows, columns=4, kept_bytes=kept))


def test_gradcheck():
    x, y, z = (values.requires_grad_() for values in unit(5, width=3))
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    tiling = Tiling(rows=2, columns=3, kept_bytes=0)
    assert torch.autograd.gradcheck(
        lambda *leaves: contrast(leaves[:3], THREE, [leaves[3]] * 3, tiling=tiling).total,
        (x, y, z, scale),
    )


def test_one_pair_with_its_own_scale_each():
    x, y, z = unit(9)
    scales = [torch.tensor(s, dtype=torch.float64) for s in (2.0, 30.0, 100.0)]
    ours = contrast([x, y, z], THREE, scales).total
    torch.testing.assert_close(ours, reference([x, y, z], THREE, scales))


def test_vectors_that_are_not_of_unit_length():
    assert_same([3 * values for values in unit(8)], THREE, 20.0)


def test_logits_too_far_apart_for_one_shift():
    """Partners that point apart at scale 100: exp(-100 - 36) is zero in float32."""
    x = torch.tensor([[1.0, 0.0], [0.999, 0.0447]])
    x = F.normalize(x, dim=1)
    embeddings = [x, -x, x]
    single = [values.float() for values in embeddings]
    (loss, grads), _ = both(single, THREE, 100.0)
    (_, _), (expected, expected_grads) = both([v.double() for v in embeddings], THREE, 100.0)
    assert math.isfinite(loss)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_the_exact_way_with_groups_and_masks(masked):
    x = F.normalize(torch.randn(7, 2, generator=torch.Generator().manual_seed(1)), dim=1)
    groups = torch.tensor([0, 0, 1, 1, 2, 2, 2])
    present = torch.tensor([True, True, True, False, True, True, True]) if masked else None
    pairs = [Pair(0, 1, groups=groups, present=present)]
    single = [x * 20, -x * 20]
    (loss, grads), _ = both(single, pairs, 100.0, Tiling(rows=3, columns=2))
    (_, _), (expected, expected_grads) = both([v.double() for v in single], pairs, 100.0)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-2)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-2)


def cone(size, width):
    """Return partners as a trained model has them: alike, and all of them on one side."""
    generator = torch.Generator().manual_seed(2)
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    shared, side = normal(size, width), normal(1, width)
    return [F.normalize(shared + normal(size, width) + side, dim=1) for _ in range(3)]


def largest_error(embeddings, scale, tiling=None):
    """Return the worst error of the gradients against float64, relative to their length."""
    (_, grads), _ = both(embeddings, THREE, scale, tiling)
    (_, _), (_, expected) = both([v.double() for v in embeddings], THREE, scale)
    pairs = list(zip(grads, expected, strict=True))
    return max(float((ours.double() - theirs).norm() / theirs.norm()) for ours, theirs in pairs)


@pytest.mark.parametrize("scale", [1 / 0.07, 100.0])
@pytest.mark.parametrize("precision", ["auto", "highest"])
def test_single_precision_is_accurate(scale, precision):
    embeddings = unit(300, width=64, dtype=torch.float32)
    assert largest_error(embeddings, scale, Tiling(precision=precision)) < 1e-5


@pytest.mark.parametrize("make", [cone, lambda n, d: unit(n, width=d, dtype=torch.float32)])
@pytest.mark.parametrize("scale", [1 / 0.07, 100.0])
@pytest.mark.parametrize("kept", [0, 20_000, None])
def test_bfloat16_stays_within_its_bound(make, scale, kept):
    tiling = Tiling(rows=70, columns=90, kept_bytes=kept, precision=BF16)
    embeddings = make(300, 64)
    assert largest_error(embeddings, scale, tiling) < 2e-2
    # It must be another way, or nothing was tested.
    assert largest_error(embeddings, scale, tiling) > 1e-4


def test_bfloat16_changes_no_loss():
    embeddings = unit(50, width=16, dtype=torch.float32)
    losses = [both(embeddings, THREE, 100.0, Tiling(precision=p))[0][0] for p in ("auto", BF16)]
    assert losses[0].item() == losses[1].item()


def test_what_bfloat16_keeps_leaves_positives_unrounded():
    """A batch that is nearly solved: its gradient is what the positives lack to one."""
    x = cone(40, 64)[0]
    generator = torch.Generator().manual_seed(3)
    near = [F.normalize(x + 0.03 * torch.randn(x.shape, generator=generator), dim=1) for _ in "abc"]
    kept, made_twice = (
        largest_error(near, 20.0, Tiling(kept_bytes=room, precision=BF16)) for room in (None, 0)
    )
    assert kept < 2 * made_twice


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_users_precision_is_put_back(precision):
    before = torch.get_float32_matmul_precision()
    embeddings = unit(20, width=8, dtype=torch.float32)
    assert largest_error(embeddings, 14.3, Tiling(precision=precision)) < 2e-2
    assert torch.get_float32_matmul_precision() == before


def test_auto_takes_the_faster_way_only_where_it_is_exact(monkeypatch):
    embeddings = unit(64, width=64, dtype=torch.float32)
    outcomes = {}
    for is_exact in (True, False):
        monkeypatch.setattr(products, "medium_is_exact", lambda _, answer=is_exact: answer)
        outcomes[is_exact] = both(embeddings, THREE, 14.3)[0][1]
    for is_exact, precision in ((True, "medium"), (False, "highest")):
        _, grads = both(embeddings, THREE, 14.3, Tiling(precision=precision))[0]
        for ours, theirs in zip(outcomes[is_exact], grads, strict=True):
            assert torch.equal(ours, theirs)


def test_on_a_gpu_auto_is_the_highest():
    assert products.fastest_exact(torch.device("cuda"), 64) == "highest"


def test_the_trial_refuses_bfloat16(monkeypatch):
    """As on a processor of which `medium` multiplies in bfloat16."""
    as_bfloat16 = torch.autocast("cpu", torch.bfloat16)
    monkeypatch.setattr(products, "matmul_precision", lambda _: as_bfloat16)
    assert not products.medium_is_exact.__wrapped__(64)


def test_the_trial_does_not_depend_on_who_asks():
    expected = products.medium_is_exact.__wrapped__(32)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", torch.bfloat16):
            assert products.medium_is_exact.__wrapped__(32) == expected
    finally:
        torch.set_default_dtype(before)


def test_autocast_changes_nothing():
    embeddings = unit(40, width=16, dtype=torch.float32)
    expected = both(embeddings, THREE, 14.3)[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = contrast(embeddings, THREE, [torch.tensor(14.3)] * 3).total
    assert found.item() == expected[0].item()


def test_embeddings_of_half_precision_are_summed_in_float32():
    halves = [values.bfloat16().requires_grad_() for values in unit(300, width=16)]
    scale = torch.tensor(14.3)
    ours = contrast(halves, THREE, [scale] * 3).total
    expected = contrast([values.detach().float() for values in halves], THREE, [scale] * 3).total
    assert ours.item() == expected.item()
    ours.backward()
    assert halves[0].grad.dtype == torch.bfloat16


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["auto", BF16])
def test_a_gpu_gives_what_a_processor_gives(precision):
    embeddings = unit(300, width=64, dtype=torch.float32)
    groups = torch.arange(300) // 2
    present = torch.arange(300) % 7 != 0
    outcomes = []
    for device in ("cpu", "cuda"):
        leaves = [values.to(device).requires_grad_() for values in embeddings]
        pairs = [Pair(0, 1, 1.0, groups.to(device)), Pair(0, 2, present=present.to(device))]
        scale = torch.tensor(14.3, device=device, requires_grad=True)
        result = contrast(leaves, pairs, [scale] * 2, tiling=Tiling(precision=precision))
        result.total.backward()
        outcomes.append([result.total, *(leaf.grad for leaf in leaves), scale.grad])
    tolerance = 1e-5 if precision == "auto" else 2e-2
    for expected, found in zip(*outcomes, strict=True):
        assert (expected - found.cpu()).norm() / expected.norm() < tolerance


def test_the_upstream_gradient_scales_the_gradient():
    x, y = (values.requires_grad_() for values in unit(6, count=2))
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    once = torch.autograd.grad(contrast([x, y], [Pair(0, 1)], [scale]).total, (x, scale))
    twice = torch.autograd.grad(2 * contrast([x, y], [Pair(0, 1)], [scale]).total, (x, scale))
    for a, b in zip(once, twice, strict=True):
        torch.testing.assert_close(2 * a, b)


def test_without_gradient_the_loss_is_the_same():
    embeddings = unit(12)
    scale = torch.tensor(9.0, dtype=torch.float64)
    with torch.no_grad():
        plain = contrast(embeddings, THREE, [scale] * 3)
    assert not plain.total.requires_grad
    torch.testing.assert_close(plain.total, reference(embeddings, THREE, [scale] * 3))
    torch.testing.assert_close(plain.terms.mean(), plain.total)


@pytest.mark.parametrize("case", ["one sample", "one group"])
def test_no_negatives_no_loss(case):
    size = 1 if case == "one sample" else 6
    groups = torch.zeros(size, dtype=torch.int64) if case == "one group" else None
    x, y = (values.requires_grad_() for values in unit(size, count=2))
    scale = torch.tensor(14.0, dtype=torch.float64, requires_grad=True)
    loss = contrast([x, y], [Pair(0, 1, groups=groups)], [scale]).total
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert x.grad.abs().max() < 1e-12
    assert scale.grad.abs() < 1e-12


def test_a_modality_missing_everywhere_drops_its_pairs():
    x, y, z = unit(8)
    nowhere = torch.zeros(8, dtype=torch.bool)
    scale = torch.tensor(10.0, dtype=torch.float64)
    pairs = [Pair(0, 1, present=nowhere), Pair(0, 2), Pair(1, 2, present=nowhere)]
    result = contrast([x, y, z], pairs, [scale] * 3)
    torch.testing.assert_close(result.total, reference([x, z], [Pair(0, 1)], [scale]))
    assert result.counts.tolist() == [0, 8, 0]
    nothing = contrast([x, y], [Pair(0, 1, present=nowhere)], [scale])
    assert nothing.total.item() == 0.0


def test_what_is_absent_may_hold_anything_and_gets_no_gradient():
    x, y = unit(8, count=2)
    present = torch.tensor([True] * 5 + [False] * 3)
    spoiled = x.clone()
    spoiled[5:] = float("nan")
    x.requires_grad_(), spoiled.requires_grad_()
    scale = torch.tensor(10.0, dtype=torch.float64)
    losses = [contrast([v, y], [Pair(0, 1, present=present)], [scale]).total for v in (x, spoiled)]
    assert losses[0].item() == losses[1].item()
    losses[1].backward()
    assert bool((spoiled.grad[5:] == 0).all())
    assert bool(torch.isfinite(spoiled.grad).all())


def test_permuting_the_batch_permutes_the_gradient():
    x, y, z = unit(11)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(3))
    (_, grads), _ = both([x, y, z], THREE, 14.3, Tiling(rows=4, columns=3))
    (_, permuted), _ = both([v[order] for v in (x, y, z)], THREE, 14.3, Tiling(rows=4, columns=3))
    torch.testing.assert_close(permuted[0], grads[0][order])


def test_nan_is_refused_by_name_and_number():
    x, y = unit(6, count=2)
    x[2, 1] = float("nan")
    with pytest.raises(PlaitError, match="embedding 0 is not finite in 1 of 6 samples"):
        contrast([x, y], [Pair(0, 1)], [torch.tensor(1.0)])


def test_a_scale_that_ran_away_is_refused():
    with pytest.raises(PlaitError, match="logit scale is not finite"):
        contrast(unit(4, count=2), [Pair(0, 1)], [torch.tensor(float("inf"))])


def test_widths_that_differ_are_refused():
    x, y = torch.ones(4, 6), torch.ones(4, 5)
    with pytest.raises(ShapeError, match=r"embedding 1.*\(4, 5\).*\(4, 6\)"):
        contrast.__wrapped__([x, y], [Pair(0, 1)], [torch.tensor(1.0)])


def test_nothing_to_align_is_refused():
    with pytest.raises(OptionError, match="no pair has a weight above 0"):
        contrast(unit(4, count=2), [Pair(0, 1, weight=0.0)], [torch.tensor(1.0)])
    with pytest.raises(OptionError, match="2 scales for 1 pairs"):
        contrast(unit(4, count=2), [Pair(0, 1)], [torch.tensor(1.0)] * 2)


def test_tilings_that_hold_nothing_are_refused():
    with pytest.raises(OptionError, match="0×4 holds nothing"):
        Tiling(rows=0, columns=4)
    with pytest.raises(OptionError, match="holds nothing"):
        Tiling(columns=-1)
    with pytest.raises(OptionError, match="precision must be one of"):
        Tiling(precision="low")


def _in_process(rank, world, file, case, results):
    torch.set_num_threads(1)
    group = torch.distributed
    group.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world)
    embeddings, pairs, scale = case
    size = len(embeddings[0]) // world
    own = slice(rank * size, (rank + 1) * size)
    leaves = [values[own].clone().requires_grad_() for values in embeddings]
    slope = torch.tensor(scale, dtype=embeddings[0].dtype, requires_grad=True)
    local = [
        Pair(
            pair.first,
            pair.second,
            pair.weight,
            None if pair.groups is None else pair.groups[own],
            None if pair.present is None else pair.present[own],
        )
        for pair in pairs
    ]
    tiling = Tiling(rows=3, columns=4, kept_bytes=200)
    loss = contrast(leaves, local, [slope] * len(pairs), tiling=tiling, group=group.group.WORLD)
    loss.total.backward()
    results.put(
        (rank, loss.total.item(), [leaf.grad.numpy() for leaf in leaves], slope.grad.item())
    )
    group.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("apart", ["nowhere", "everywhere", "in one process"])
def test_two_processes_give_the_gradients_of_one(tmp_path, apart):
    """The mean of the losses is the loss, and so is the mean of the gradients."""
    world, size = 2, 10
    embeddings = unit(size)
    scale = 14.3
    if apart == "everywhere":
        embeddings = [embeddings[0], -embeddings[0] * 30, embeddings[2]]
    elif apart == "in one process":
        # One row points away from all columns; its process alone sees the sum that lost digits.
        x = F.normalize(embeddings[0] + 9 * embeddings[0][:1], dim=1)
        y = F.normalize(embeddings[1] + 9 * x[:1], dim=1)
        embeddings = [torch.cat([-30 * x[:1], 30 * x[1:]]), y, embeddings[2]]
    groups = torch.tensor([0, 0, 1, 2, 0, 1, 1, 2, 2, 3])
    present = torch.tensor([True, False, True, True, True, True, True, False, False, True])
    pairs = [Pair(0, 1, groups=groups), Pair(0, 2, 0.5, present=present), Pair(1, 2)]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (world, tmp_path / "rendezvous", (embeddings, pairs, scale), results)
    processes = [context.Process(target=_in_process, args=(r, *arguments)) for r in range(world)]
    for process in processes:
        process.start()
    found = {r[0]: r[1:] for r in (results.get(timeout=120) for _ in processes)}
    for process in processes:
        process.join()
    _, (loss, grads) = both(embeddings, pairs, scale)
    assert sum(found[r][0] for r in range(world)) / world == pytest.approx(loss.item(), rel=1e-9)
    for index in range(3):
        ours = torch.cat([torch.from_numpy(found[r][1][index]) for r in range(world)]) / world
        torch.testing.assert_close(ours, grads[index], atol=1e-9, rtol=1e-7)
    slope = sum(found[r][2] for r in range(world)) / world
    assert slope == pytest.approx(grads[3].item(), rel=1e-7)
