"""Every metric against loops, closed forms and invariants."""

import math

import pytest
import torch
import torch.nn.functional as F
from alignment_fakes import unit

from plait.alignment.metrics import geometry
from plait.alignment.metrics.geometry import (
    alignment,
    centre,
    centroid_distance,
    effective_rank,
    linear_cka,
    mutual_neighbours,
    relative_gap,
    separability,
    uniformity,
)
from plait.errors import PlaitError, ShapeError

X, Y = unit(30, width=5, count=2)
PAIRED = (centroid_distance, relative_gap, alignment, linear_cka, mutual_neighbours)


def test_centroids_that_are_opposite_are_two_apart():
    x = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    assert centroid_distance(x, -x) == pytest.approx(2.0)
    assert centroid_distance(x, x) == 0.0


def test_relative_gap_by_loops():
    def cosine(a, b):
        return (1 - float(a @ b)) / 2

    m = sum(cosine(a, b) for a, b in zip(X, Y, strict=True)) / 30
    within = [
        sum(cosine(v[i], v[j]) for i in range(30) for j in range(30) if i != j) / (30 * 29)
        for v in (X, Y)
    ]
    assert relative_gap(X, Y) == pytest.approx(m / (m + sum(within) / 2))


def test_strangers_have_a_relative_gap_of_a_half():
    x, y = unit(4000, width=16, count=2)
    assert relative_gap(x, y) == pytest.approx(0.5, abs=0.01)


def test_alignment_by_loops():
    expected = sum(float(((a - b) ** 2).sum()) for a, b in zip(X, Y, strict=True)) / 30
    assert alignment(X, Y) == pytest.approx(expected)


@pytest.mark.parametrize("stripe", [1, 7, 1024])
def test_uniformity_by_loops(monkeypatch, stripe):
    monkeypatch.setattr(geometry, "STRIPE", stripe)
    pairs = [
        math.exp(-2 * float(((X[i] - X[j]) ** 2).sum()))
        for i in range(30)
        for j in range(30)
        if i != j
    ]
    assert uniformity(X) == pytest.approx(math.log(sum(pairs) / len(pairs)))


def test_an_orthonormal_set_has_its_closed_forms():
    basis = torch.eye(6, dtype=torch.float64)
    assert uniformity(basis) == pytest.approx(-4.0)
    # Centred, it has five equal singular values.
    assert effective_rank(basis) == pytest.approx(5.0)


def test_effective_rank_of_a_line_is_one():
    line = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None] * torch.ones(1, 4)
    assert effective_rank(line) == pytest.approx(1.0)


def test_effective_rank_by_the_definition():
    sizes = torch.linalg.svdvals(X - X.mean(0))
    shares = [float(s / sizes.sum()) for s in sizes]
    expected = math.exp(-sum(p * math.log(p) for p in shares))
    assert effective_rank(X) == pytest.approx(expected)


def test_cka_equals_the_kernel_form():
    """⟨KH, LH⟩ / (‖KH‖‖LH‖) with the N×N kernels of the definition."""
    h = torch.eye(30, dtype=torch.float64) - 1 / 30
    k, m = h @ X @ X.T @ h, h @ Y @ Y.T @ h
    expected = float((k * m).sum() / (k.norm() * m.norm()))
    assert linear_cka(X, Y) == pytest.approx(expected)


def test_cka_does_not_see_rotation_scale_or_offset():
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0]
    assert linear_cka(X, 3 * X @ rotation + 0.7) == pytest.approx(1.0)
    assert linear_cka(X, Y + 5) == pytest.approx(linear_cka(X, Y))
    assert centroid_distance(X, Y + 5) > centroid_distance(X, Y) + 1


@pytest.mark.parametrize("stripe", [1, 8, 1024])
def test_mutual_neighbours_by_loops(monkeypatch, stripe):
    monkeypatch.setattr(geometry, "STRIPE", stripe)
    total = 0.0
    for i in range(30):
        near = []
        for v in (X, Y):
            order = sorted((j for j in range(30) if j != i), key=lambda j: -float(v[i] @ v[j]))
            near.append(set(order[:4]))
        total += len(near[0] & near[1]) / 4
    assert mutual_neighbours(X, Y, k=4) == pytest.approx(total / 30)
    assert mutual_neighbours(X, X, k=4) == 1.0


def test_separability_finds_an_offset_and_nothing_else():
    x, y = unit(2000, width=8, count=2)
    assert separability(x, y, seed=0) == pytest.approx(0.5, abs=0.04)
    shifted = F.normalize(y + torch.tensor([3.0] + [0.0] * 7), dim=1)
    assert separability(x, shifted, seed=0) > 0.9
    assert separability(x, shifted, seed=1) == separability(x, shifted, seed=1)


def test_separability_of_the_same_is_chance():
    assert separability(X, X, seed=0) == pytest.approx(0.5)


def test_centring_closes_the_gap_of_an_offset():
    offset = torch.tensor([2.0, 0, 0, 0, 0])
    y = F.normalize(Y + offset, dim=1)
    assert centroid_distance(X, y) > 0.5
    closed = centroid_distance(centre(X, X.mean(0)), centre(y, y.mean(0)))
    assert closed < 0.2
    torch.testing.assert_close(
        centre(y, y.mean(0)).norm(dim=1), torch.ones(30, dtype=torch.float64)
    )


@pytest.mark.parametrize("metric", PAIRED)
def test_the_order_of_the_samples_does_not_matter(metric):
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert metric(X[order], Y[order]) == pytest.approx(metric(X, Y))


def test_collapsed_embeddings_give_numbers():
    same = F.normalize(torch.ones(12, 5), dim=1)
    assert effective_rank(same) == pytest.approx(1.0)
    rounded = F.normalize(torch.ones(300, 64) + 1e-7 * torch.randn(300, 64), dim=1)
    assert effective_rank(rounded) == pytest.approx(1.0)
    assert uniformity(same) == pytest.approx(0.0, abs=1e-6)
    assert linear_cka(same, X[:12].float()) == 0.0
    assert relative_gap(same, same) == 0.0
    assert separability(same, same, seed=0) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", [*PAIRED, lambda x, y: separability(x, y, seed=0)])
def test_bad_input_is_refused(metric):
    spoiled = X.clone()
    spoiled[3, 0] = float("nan")
    with pytest.raises(PlaitError, match="first embeddings"):
        metric(spoiled, Y)


def test_too_few_samples_are_refused():
    with pytest.raises(PlaitError, match="10 first embeddings, but at least 11 are needed"):
        mutual_neighbours(X[:10], Y[:10])
    with pytest.raises(PlaitError, match="at least 2"):
        uniformity(X[:1])


def test_different_sizes_are_refused():
    with pytest.raises(ShapeError, match="second embeddings"):
        geometry._pair(X, Y[:4])
