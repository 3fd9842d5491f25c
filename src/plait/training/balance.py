"""On-the-fly gradient modulation: hold back the encoder of the modality that learns fastest.

    ρ_u = s_u / mean over the other modalities v of s_v,   s_u = 1 / loss of u's own head
    k_u = 1 - tanh(α ρ_u) where ρ_u > 1, else 1
    g   ← k_u g + ε,  ε ~ N(0, std(g)²)      for every weight of an encoder with k_u < 1

The scores of the original are the probabilities of the right class. Actions have none, so the
inverse of the loss takes their place: it says by how many times a modality alone is better, in
whatever units. With two modalities the ratio is that of the original; with more, the others' mean.
The noise is what the method calls generalisation enhancement: it is drawn for each step anew.

Reference: Peng et al., 2022 (OGM-GE).
When it loses: AdamW divides by the size of recent gradients, so a factor that stays as it is
cancels out; what is left is the noise, and the changes of the factor.
"""

import math
from collections.abc import Mapping

import torch
from torch import nn

# Smallest loss that counts: below it a modality knows all there is to know.
SMALLEST_LOSS = 1e-8


def modulation(losses: Mapping[str, float], alpha: float) -> dict[str, float]:
    """Return the factor k of every modality that has a loss; 1 for those that do not dominate.

    Args:
        losses: Of each modality's own head, 0 or more.
        alpha: Strength, above 0.
    """
    scores = {name: 1 / max(loss, SMALLEST_LOSS) for name, loss in losses.items()}
    factors = {}
    for name, score in scores.items():
        others = [other for key, other in scores.items() if key != name]
        ratio = score / (sum(others) / len(others)) if others else 1.0
        factors[name] = 1 - math.tanh(alpha * ratio) if ratio > 1 else 1.0
    return factors


@torch.no_grad()
def modulate(
    encoders: nn.ModuleDict, factors: Mapping[str, float], generator: torch.Generator
) -> None:
    """Scale the gradients of dominating encoders, and add noise of the gradients' own spread.

    Args:
        encoders: By modality, after the backward pass; their gradients are changed in place.
        factors: From `modulation`.
        generator: Of the noise, on the CPU.
    """
    for name, factor in factors.items():
        if factor == 1:
            continue
        for parameter in encoders[name].parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            noise = torch.randn(gradient.shape, generator=generator).to(gradient)
            spread = gradient.std(correction=0)
            gradient.mul_(factor).add_(noise * spread)
