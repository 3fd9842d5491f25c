"""One fusion under test: its class and options, and what a head would see of its result."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from plait.fusion.base import Fusion
from plait.masks import masked_fill
from plait.testing.checks import build_seeded
from plait.testing.fake import FAKE_SPECS, WIDTH, fake_tokens
from plait.types import Fused, Tokens, TokenSpec

NUM_READINGS = 29
# Small enough for finite differences; still no two sizes alike.
TINY_SPECS: Mapping[str, TokenSpec] = {
    name: TokenSpec(width, grid, num_views)
    for (name, (width, grid, num_views)) in zip(
        FAKE_SPECS, ((3, (1, 2), 1), (5, None, 1), (7, None, 1)), strict=True
    )
}


@dataclass(frozen=True)
class FusionCase:
    """A strategy to check.

    Attributes:
        kind: The class.
        options: Keyword options it is built with.
    """

    kind: type[Fusion]
    options: Mapping[str, Any]

    def build(
        self, specs: Mapping[str, TokenSpec] = FAKE_SPECS, *, seed: int = 0, **overrides: object
    ) -> Fusion:
        """Build the fusion, its parameters drawn from `seed`."""
        options: dict[str, Any] = {**self.options, **overrides}
        return build_seeded(lambda: self.kind(specs, WIDTH, **options), seed)


def absent(tokens: Mapping[str, Tokens], *names: str) -> dict[str, Tokens]:
    """Mark modalities as absent in every sample, their values kept."""
    return {
        name: Tokens(part.values, torch.zeros_like(part.mask)) if name in names else part
        for name, part in tokens.items()
    }


def with_padding(tokens: Mapping[str, Tokens], padding: float) -> dict[str, Tokens]:
    """Put one value into every masked position."""
    filled = {}
    for name, part in tokens.items():
        keep = part.mask.unsqueeze(-1).expand_as(part.values)
        filler = torch.full_like(part.values, padding)
        filled[name] = part.with_values(torch.where(keep, part.values, filler))
    return filled


def tracked(tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
    """Return copies whose values collect gradients."""
    return {
        name: replace(part, values=part.values.clone().requires_grad_())
        for name, part in tokens.items()
    }


def read(fused: Fused) -> Tensor:
    """Return what a head may see: readings of every group's real tokens, weighted and added.

    Each reading is a sine along a fixed random direction, summed over the real tokens: blind to
    padding and to the tokens' order, and to nothing else.

    Returns:
        Readings `[batch, 29]`.
    """
    values = [masked_fill(g.values, g.mask.unsqueeze(-1).expand_as(g.values)) for g in fused.groups]
    generator = torch.Generator().manual_seed(7)
    readings = []
    for group, real in zip(fused.groups, values, strict=True):
        width = real.shape[-1]
        direction = torch.randn(width, NUM_READINGS, generator=generator) / width**0.5
        phase = torch.rand(NUM_READINGS, generator=generator) * 3
        seen = torch.sin(real @ direction.to(real) + phase.to(real))
        readings.append(masked_fill(seen, group.mask.unsqueeze(-1).expand_as(seen)).sum(1))
    return torch.einsum("bgr,bg->br", torch.stack(readings, dim=1), fused.weights)


def objective(fused: Fused) -> Tensor:
    """Return a scalar to differentiate: the readings and the fusion's own losses."""
    return read(fused).square().mean() + sum(fused.losses.values(), torch.zeros(()))


def fused_tokens(case: FusionCase) -> tuple[Fusion, dict[str, Tokens]]:
    """Build the fusion and tokens for it."""
    return case.build(), fake_tokens()
