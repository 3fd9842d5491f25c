"""Ridge regression on blocks of features, and features of images that need no training.

    ŷ(x) = ȳ + k(x)ᵀ (K + λI)⁻¹ (Y - ȳ),    k(x, x') = Σ over blocks of φ(x)ᵀφ(x')

Solved over samples rather than features, for there are more features than samples. Each block is
centred and scaled so that its mean squared length is 1: a state of 8 numbers then weighs as much
as 4,096 numbers of an image. λ is the one that does best on a fifth of the training episodes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
INNER_SHARE = 0.2
PATCH_SIZE, PATCH_STRIDE, NUM_PATCHES, POOLED = 6, 2, 64, 8
MAX_DRAWN_IMAGES = 512
CANDIDATES = 4096


def inner_split(
    episodes: Int64[ndarray, " samples"], seed: int
) -> tuple[Int64[ndarray, " fit"], Int64[ndarray, " chosen"]]:
    """Set a fifth of the episodes apart to choose by; both sides are all of a single episode."""
    distinct = np.random.default_rng([seed, 1]).permutation(np.unique(episodes))
    if len(distinct) < 2:
        return np.arange(len(episodes)), np.arange(len(episodes))
    chosen = np.isin(episodes, distinct[: max(round(INNER_SHARE * len(distinct)), 1)])
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


@dataclass(frozen=True)
class Kernel:
    """How alike samples are in one block of features, or in several together.

    Attributes:
        train: Training samples with one another.
        test: The other samples with the training samples.
    """

    train: Float[Tensor, "train train"]
    test: Float[Tensor, "test train"]

    def __add__(self, other: "Kernel") -> "Kernel":
        return Kernel(self.train + other.train, self.test + other.test)


def unit_kernel(
    train: Float[Tensor, "train dims"], test: Float[Tensor, "test dims"], *, each: bool = False
) -> Kernel:
    """Centre a block by its training mean and scale it to a mean squared length of 1.

    Args:
        train: Features of the training samples.
        test: Features of the others.
        each: Whether every dimension is first brought to the same spread, as for states of
            metres and radians; one that hardly changes is not blown up.
    """
    train, test = train.double(), test.double()
    mean = train.mean(dim=0)
    train, test = train - mean, test - mean
    if each:
        spread = train.pow(2).mean(dim=0).sqrt().clamp(min=1e-3)
        train, test = train / spread, test / spread
    size = train.pow(2).sum(dim=1).mean().sqrt().clamp(min=1e-12)
    train, test = train / size, test / size
    return Kernel(train @ train.T, test @ train.T)


def ridge_predict(
    kernel: Kernel,
    targets: Float[Tensor, "train outputs"],
    episodes: Int64[ndarray, " train"],
    seed: int,
) -> Float[Tensor, "test outputs"]:
    """Fit on the training samples, choose the penalty by episodes among them, and predict.

    Args:
        kernel: Of one block of features, or the sum of several; see `unit_kernel`.
        targets: Of the training samples.
        episodes: Episode of each training sample.
        seed: Of the inner split.
    """
    targets, alike = targets.double(), kernel.train
    fit, chosen = (torch.from_numpy(side) for side in inner_split(episodes, seed))
    errors = []
    for penalty in PENALTIES:
        predicted = _solve(alike[fit][:, fit], targets[fit], alike[chosen][:, fit], penalty)
        errors.append(float((predicted - targets[chosen]).pow(2).sum()))
    best = PENALTIES[int(np.argmin(errors))]
    return _solve(alike, targets, kernel.test, best)


def _solve(
    kernel: Float[Tensor, "train train"],
    targets: Float[Tensor, "train outputs"],
    queries: Float[Tensor, "test train"],
    penalty: float,
) -> Float[Tensor, "test outputs"]:
    mean = targets.mean(dim=0)
    lower = torch.linalg.cholesky(kernel + penalty * torch.eye(len(kernel), dtype=kernel.dtype))
    return queries @ torch.cholesky_solve(targets - mean, lower) + mean


@dataclass(frozen=True)
class PatchFeatures:
    """How much each part of an image resembles patches drawn from the training images.

    Reference: Coates and Ng, 2011, without whitening.

    Attributes:
        mean: Mean training image.
        spread: Standard deviation of all training pixels about it.
        patches: Drawn patches, of length 1.
    """

    mean: Float[Tensor, "channels height width_px"]
    spread: float
    patches: Float[Tensor, "patches channels size size"]

    @classmethod
    def draw(
        cls, images: UInt8[Tensor, "images channels height width_px"], seed: int
    ) -> "PatchFeatures":
        """Draw patches, those that differ more from the mean image more often."""
        generator = torch.Generator().manual_seed(seed)
        few = images[torch.randperm(len(images), generator=generator)[:MAX_DRAWN_IMAGES]].float()
        mean = few.mean(dim=0)
        few = few - mean
        spread = max(float(few.pow(2).mean().sqrt()), 1e-6)
        size = min(PATCH_SIZE, *few.shape[2:])
        limits = (len(few), few.shape[2] - size + 1, few.shape[3] - size + 1)
        places = zip(
            *(torch.randint(n, (CANDIDATES,), generator=generator).tolist() for n in limits),
            strict=True,
        )
        drawn = torch.stack([few[i, :, r : r + size, c : c + size] for i, r, c in places])
        lengths = drawn.flatten(1).norm(dim=1)
        kept = torch.multinomial(lengths.double() + 1e-6, NUM_PATCHES, generator=generator)
        return cls(mean, spread, drawn[kept] / lengths[kept].clamp(min=1e-6).view(-1, 1, 1, 1))

    def __call__(
        self, images: UInt8[Tensor, "images channels height width_px"]
    ) -> Float[Tensor, "images features"]:
        """Describe images by the mean resemblance in each cell of a coarse grid."""
        return torch.cat([self._describe(part) for part in images.split(128)])

    def _describe(
        self, images: UInt8[Tensor, "images channels height width_px"]
    ) -> Float[Tensor, "images features"]:
        scaled = (images.float() - self.mean) / self.spread
        resemblance = F.relu(F.conv2d(scaled, self.patches, stride=PATCH_STRIDE) - 1)
        return F.adaptive_avg_pool2d(resemblance, POOLED).flatten(1)


def masked_mean_by(
    keys: Int64[Tensor, " train"],
    targets: Float[Tensor, "train horizon action_dim"],
    mask: Bool[Tensor, "train horizon"],
    asked: Int64[Tensor, " test"],
) -> Float[Tensor, "test horizon action_dim"]:
    """Predict the mean of the training chunks with the same key; of all, for a key never seen."""
    weights = mask.unsqueeze(-1).double()
    values = targets.double() * weights
    overall = values.sum(dim=0) / weights.sum(dim=0).clamp(min=1)
    number = int(max(keys.max(), asked.max())) + 1
    sums = values.new_zeros(number, *values.shape[1:]).index_add_(0, keys, values)
    counts = weights.new_zeros(number, *weights.shape[1:]).index_add_(0, keys, weights)
    return torch.where(counts > 0, sums / counts.clamp(min=1), overall)[asked]
