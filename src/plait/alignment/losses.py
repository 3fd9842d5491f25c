"""Alignment losses as pure functions of unit vectors.

x, y, z are the embeddings of three modalities, s > 0 is a logit scale (inverse temperature), i and
j run over the B samples of a batch, and a sample's own partners are its positives.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from plait.alignment.contrast import Contrast, Pair, Tiling, contrast
from plait.errors import ShapeError

# Rows of a tile where a loss is no softmax and needs nothing of the other tiles.
ROWS = 512
# Keeps the gradient of a square root finite where three vectors are aligned exactly.
SMALLEST_DETERMINANT = 1e-6


def info_nce(
    x: Float[Tensor, "batch width"],
    y: Float[Tensor, "batch width"],
    scale: Float[Tensor, ""],
    *,
    groups: Int[Tensor, " batch"] | None = None,
    present: Bool[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return symmetric InfoNCE of one pair (van den Oord et al., 2018; CLIP, Radford et al., 2021).

    ½ Σ over both directions of mean_i [ log Σ_j exp(s·x_i·y_j) − s·x_i·y_i ], j ≠ i only where the
    groups differ.
    """
    pair = Pair(0, 1, groups=groups, present=present)
    return contrast([x, y], [pair], [scale]).total


def six_directions(
    vision: Float[Tensor, "batch width"],
    language: Float[Tensor, "batch width"],
    action: Float[Tensor, "batch width"],
    scale: Float[Tensor, ""],
    *,
    tiling: Tiling | None = None,
) -> Contrast:
    """Return the textbook's loss: the mean of InfoNCE over v→t, t→v, v→a, a→v, t→a and a→t."""
    pairs = [Pair(0, 1), Pair(0, 2), Pair(1, 2)]
    return contrast([vision, language, action], pairs, [scale] * 3, tiling=tiling)


def fused_query(
    x: Float[Tensor, "batch width"], y: Float[Tensor, "batch width"]
) -> Float[Tensor, "batch width"]:
    """Return (x + y) / ‖x + y‖: one query from two modalities, to be contrasted with a third."""
    return F.normalize(x + y, dim=1)


def sigmoid_loss(
    x: Float[Tensor, "batch width"],
    y: Float[Tensor, "batch width"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
    *,
    groups: Int[Tensor, " batch"] | None = None,
    present: Bool[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return SigLIP's loss (Zhai et al., 2023): every pair of samples is a yes-or-no question.

    −1/B Σ_ij log σ(z_ij (s·x_i·y_j + b)), z_ij = 1 for i = j and −1 otherwise. Samples of the same
    group are left out, but for i = j; so is what is not present.
    """
    if present is not None:
        x, y = x[present], y[present]
        groups = None if groups is None else groups[present]
    total = x.new_zeros(())
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        # Made again in the backward pass: a stripe at a time, never B×B. Nothing in it is random.
        total = total + torch.utils.checkpoint.checkpoint(
            _sigmoid_stripe,
            *(x[rows], y, scale, bias, groups, start),
            use_reentrant=False,
            preserve_rng_state=False,
        )
    return total / max(len(x), 1)


def _sigmoid_stripe(
    x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, groups: Tensor | None, start: int
) -> Tensor:
    logits = x @ y.T * scale + bias
    own = logits.diagonal(start)
    costs = F.softplus(logits)
    if groups is not None:
        costs = costs.masked_fill(groups[start : start + len(x), None] == groups[None], 0.0)
        return costs.sum() + F.softplus(-own).sum()
    return costs.sum() - F.softplus(own).sum() + F.softplus(-own).sum()


def volume(
    anchor: Float[Tensor, "rows width"],
    y: Float[Tensor, "columns width"],
    z: Float[Tensor, "columns width"],
) -> Float[Tensor, "rows columns"]:
    """Return the volume spanned by every anchor with every pair (y_j, z_j) of unit vectors.

    √det G with G the Gram matrix of the three; for unit vectors det G = 1 + 2abc − a² − b² − c²
    with a = x·y, b = x·z, c = y·z (Cicchetti et al., 2025, GRAM, in closed form).
    """
    a, b = anchor @ y.T, anchor @ z.T
    c = (y * z).sum(dim=1)
    determinant = 1 + 2 * a * b * c - a**2 - b**2 - c**2
    return determinant.clamp(min=SMALLEST_DETERMINANT).sqrt()


def gram(
    anchor: Float[Tensor, "batch width"],
    y: Float[Tensor, "batch width"],
    z: Float[Tensor, "batch width"],
    scale: Float[Tensor, ""],
    *,
    groups: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, ""]:
    """Return GRAM's loss (Cicchetti et al., 2025): cross-entropy over −s·volume, both ways.

    Small volumes are alike. The volume is zero as soon as two of the three coincide, whatever the
    third does, and does not change with a sign: it ranks triples, not pairs.
    """
    return _symmetric_cross_entropy(-scale * volume(anchor, y, z), groups)


def symile(
    x: Float[Tensor, "batch width"],
    y: Float[Tensor, "batch width"],
    z: Float[Tensor, "batch width"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """Return Symile's loss (Saporta et al., 2024) with shuffled negatives.

    Each modality in turn is the anchor. With the multilinear product ⟨x, y, z⟩ = Σ_d x_d y_d z_d,
    the loss of anchor x is mean_i [ log Σ_j exp(s·⟨x_i, y_π(j), z_ρ(j)⟩) − s·⟨x_i, y_i, z_i⟩ ],
    where the sum also has the positive and π, ρ are random orders. Its products are √D times
    smaller than cosines, so its scale must be as much larger.

    Raises:
        ShapeError: If the three differ in shape.
    """
    for name, part in (("second modality", y), ("third modality", z)):
        if part.shape != x.shape:
            raise ShapeError(f"embedding of the {name}", tuple(part.shape), tuple(x.shape))
    losses = [_symile_anchor(*parts, scale) for parts in ((x, y, z), (y, x, z), (z, x, y))]
    return torch.stack(losses).mean()


def _symile_anchor(anchor: Tensor, y: Tensor, z: Tensor, scale: Tensor) -> Tensor:
    size = len(anchor)
    orders = [torch.randperm(size).to(anchor.device) for _ in range(2)]
    logits = scale * anchor @ (y[orders[0]] * z[orders[1]]).T
    positives = scale * (anchor * y * z).sum(dim=1)
    is_own = torch.eye(size, dtype=torch.bool, device=anchor.device)
    logits = torch.where(is_own, positives[:, None], logits)
    return F.cross_entropy(logits, torch.arange(size, device=anchor.device))


def _symmetric_cross_entropy(logits: Tensor, groups: Tensor | None) -> Tensor:
    if groups is not None:
        is_own = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
        logits = logits.masked_fill((groups[:, None] == groups) & ~is_own, float("-inf"))
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
