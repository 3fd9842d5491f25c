"""SigLIP's sigmoid loss on all pairs, each pair with a scale and a bias of its own.

Idea: every two samples are a yes-or-no question of their own, so a batch needs no normaliser. The
pairs differ in how much their members have in common, and one bias cannot fit all. When it loses:
retrieval of actions, and whenever the answer is a ranking rather than a match.

Reference: Zhai et al., 2023 (SigLIP).
"""

from collections.abc import Mapping

import torch
from torch import nn

from plait.alignment.base import PAIRS, Embeddings, pair_name
from plait.alignment.losses import sigmoid_loss
from plait.alignment.objectives.base import (
    MAX_LOGIT_SCALE,
    LogitScale,
    Objective,
    ObjectiveLoss,
    check_repeats,
    check_weights,
    groups_of,
    mean_of_parts,
)


class SigmoidObjective(Objective):
    """The mean of the pairs' sigmoid losses.

    Args:
        weights: Of the pairs, by names such as `vision-language`; 1 where not given.
        repeats: `mask` or `keep`; see `info_nce`.
        initial_scale: Logit scale at the start.
        initial_bias: Bias at the start; strongly negative, since nearly all answers are no.
        largest_scale: Bound of the scale.
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        repeats: str = "mask",
        initial_scale: float = 10.0,
        initial_bias: float = -10.0,
        largest_scale: float = MAX_LOGIT_SCALE,
    ) -> None:
        super().__init__()
        self.weights = check_weights(weights)
        self.has_masked_repeats = check_repeats(repeats)
        names = [pair_name(*pair) for pair in PAIRS]
        self.scale = nn.ModuleDict(
            {name: LogitScale(initial_scale, largest_scale) for name in names}
        )
        self.bias = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(float(initial_bias))) for name in names}
        )

    def forward(self, embeddings: Embeddings) -> ObjectiveLoss:
        """Return the weighted mean over the pairs that are there."""
        self.refuse_several_processes()
        parts = {}
        for pair in PAIRS:
            name = pair_name(*pair)
            present = self.present(embeddings, pair)
            if present is not None and not bool(present.any()):
                continue
            parts[name] = sigmoid_loss(
                embeddings.values[pair[0]],
                embeddings.values[pair[1]],
                self.scale[name](),
                self.bias[name],
                groups=groups_of(embeddings, pair, has_masked_repeats=self.has_masked_repeats),
                present=present,
            )
        return mean_of_parts(parts, self.weights, embeddings)
