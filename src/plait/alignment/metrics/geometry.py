"""How modalities lie in the shared space: gaps between them, spread within, and common structure.

All take unit vectors, one a sample, and in what compares two modalities row i of both is the same
sample. Nothing of size N×N is kept. Sums are of float64, so that small gaps are not rounding.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plait.alignment.metrics.retrieval import require_finite
from plait.errors import PlaitError, ShapeError

# Rows of the stripes in which all pairs of samples are visited.
STRIPE = 1024
# Ridge of the linear classifier, relative to the mean variance.
RIDGE = 1e-3
TINY = 1e-12
# Mean cosine distances below this are the rounding of float32.
COINCIDE = 1e-6


def centroid_distance(
    x: Float[Tensor, "samples width"], y: Float[Tensor, "samples width"]
) -> float:
    """Return ‖mean x − mean y‖, the modality gap of Liang et al. (2022)."""
    first, second = _pair(x, y)
    return float((first.mean(dim=0) - second.mean(dim=0)).norm())


def relative_gap(x: Float[Tensor, "samples width"], y: Float[Tensor, "samples width"]) -> float:
    """Return m / (m + ½(d_x + d_y)): distance of partners relative to the spread within each.

    m is the mean cosine distance of partners, d the mean cosine distance of any two samples of one
    modality (Schrodi et al., 2025). ½ means that partners are as far apart as strangers of one
    modality. The mean over all pairs follows from the sum: Σ_{i≠j} x_i·x_j = ‖Σ x_i‖² − N.
    Zero where everything coincides.
    """
    first, second = _pair(x, y, at_least=2)
    partners = float((1 - (first * second).sum(dim=1)).mean()) / 2
    spread = (_mean_distance(first) + _mean_distance(second)) / 2
    return partners / (partners + spread) if partners + spread > COINCIDE else 0.0


def _mean_distance(x: Tensor) -> float:
    count = len(x)
    total = float(x.sum(dim=0).square().sum() - x.square().sum())
    return max((1 - total / (count * (count - 1))) / 2, 0.0)


def separability(
    x: Float[Tensor, "samples width"], y: Float[Tensor, "samples width"], seed: int
) -> float:
    """Return how often a linear classifier tells which modality a vector is of; ½ is chance.

    Ridge least squares on half of the samples, tested on the other half; both vectors of a sample
    are on the same side. It says that there is a direction that gives the modality away, not how
    far apart the two are: a small gap is enough for 1.
    """
    first, second = _pair(x, y, at_least=4)
    order = torch.randperm(len(first), generator=torch.Generator().manual_seed(seed))
    half = len(first) // 2
    train, test = order[:half], order[half:]
    inputs = torch.cat([first[train], second[train]])
    labels = torch.cat([torch.ones(half), -torch.ones(half)]).double()
    mean = inputs.mean(dim=0)
    centred = inputs - mean
    covariance = centred.T @ centred
    ridge = RIDGE * covariance.diagonal().mean() + TINY
    eye = torch.eye(len(mean), dtype=torch.float64)
    weights = torch.linalg.solve(covariance + ridge * eye, centred.T @ labels)
    scores = torch.cat([(first[test] - mean) @ weights, -((second[test] - mean) @ weights)])
    # A score of zero is a guess.
    return float((scores > 0).double().mean() + (scores == 0).double().mean() / 2)


def alignment(x: Float[Tensor, "samples width"], y: Float[Tensor, "samples width"]) -> float:
    """Return E ‖x − y‖² over partners (Wang & Isola, 2020): 0 for the same, 2 for strangers."""
    first, second = _pair(x, y)
    return float((first - second).square().sum(dim=1).mean())


def uniformity(x: Float[Tensor, "samples width"]) -> float:
    """Return log E exp(−2‖x − x'‖²) over all two different samples (Wang & Isola, 2020).

    0 where all coincide; −4 and below for an even spread over the sphere.
    """
    values = _one(x, at_least=2)
    squares = values.square().sum(dim=1)
    total = -float(len(values))
    for start in range(0, len(values), STRIPE):
        rows = slice(start, start + STRIPE)
        distances = squares[rows, None] + squares - 2 * values[rows] @ values.T
        total += float(distances.clamp(min=0).mul(-2).exp().sum())
    return math.log(max(total, TINY) / (len(values) * (len(values) - 1)))


def linear_cka(x: Float[Tensor, "samples width"], y: Float[Tensor, "samples width"]) -> float:
    """Return ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of the centred embeddings (Kornblith et al., 2019).

    1 for the same up to rotation, scale and offset. Zero where one of them does not vary.
    """
    first, second = _pair(x, y, at_least=2)
    first, second = first - first.mean(dim=0), second - second.mean(dim=0)
    norms = float((first.T @ first).norm() * (second.T @ second).norm())
    return float((second.T @ first).square().sum()) / norms if norms > TINY else 0.0


def mutual_neighbours(
    x: Float[Tensor, "samples width"], y: Float[Tensor, "samples width"], k: int = 10
) -> float:
    """Return the share of its k nearest neighbours that a sample has in both (Huh et al., 2024).

    It asks whether samples are neighbours in both spaces, not whether the spaces lie together.
    """
    first, second = _pair(x, y, at_least=k + 1)
    shared = 0
    for start in range(0, len(first), STRIPE):
        rows = slice(start, start + STRIPE)
        near = [_neighbours(values, rows, k) for values in (first, second)]
        shared += int((near[0][:, :, None] == near[1][:, None, :]).sum())
    return shared / (k * len(first))


def _neighbours(values: Tensor, rows: slice, k: int) -> Tensor:
    scores = values[rows] @ values.T
    scores.diagonal(rows.start).fill_(float("-inf"))
    return scores.topk(k, dim=1).indices


def effective_rank(x: Float[Tensor, "samples width"]) -> float:
    """Return exp of the entropy of the singular values of the centred embeddings, as shares.

    The number of directions that are really used (Roy & Vetterli, 2007). 1 for a line, and also
    where nothing varies.
    """
    values = _one(x, at_least=2)
    centred = values - values.mean(dim=0)
    if float(centred.square().sum()) <= TINY * float(values.square().sum()):
        # What is left is the rounding of float32, which would look well spread.
        return 1.0
    sizes = torch.linalg.svdvals(centred)
    shares = sizes / sizes.sum().clamp(min=TINY)
    shares = shares[shares > TINY]
    return float((-(shares * shares.log()).sum()).exp())


def centre(
    x: Float[Tensor, "samples width"], mean: Float[Tensor, " width"]
) -> Float[Tensor, "samples width"]:
    """Subtract a mean and bring the vectors back to length 1."""
    return F.normalize(x - mean, dim=1)


def _one(x: Tensor, at_least: int = 1, name: str = "embeddings") -> Tensor:
    if len(x) < at_least:
        raise PlaitError(f"{len(x)} {name}, but at least {at_least} are needed to measure this")
    require_finite(name, x)
    return x.double()


def _pair(x: Tensor, y: Tensor, at_least: int = 1) -> tuple[Tensor, Tensor]:
    if x.shape != y.shape:
        raise ShapeError("second embeddings", tuple(y.shape), tuple(x.shape))
    return _one(x, at_least, "first embeddings"), _one(y, at_least, "second embeddings")
