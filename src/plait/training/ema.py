"""Exponential moving average of the weights: what is validated, evaluated and saved."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """Keeps `average ← d·average + (1 − d)·weights` with a warm-up of the decay.

    The decay of step k is `min(decay, (1 + k) / (10 + k))`, so that the random initial weights
    are soon forgotten (as TensorFlow's moving averages do it).

    Args:
        module: Whose trained parameters are averaged.
        decay: Largest decay; 0 makes the average equal the weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        self._names = [name for name, _ in trained]
        self._parameters: list[Tensor] = [parameter for _, parameter in trained]
        self._average = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, [p.detach() for p in self._parameters], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the module for a while, then the weights back."""
        weights = [parameter.detach().clone() for parameter in self._parameters]
        self.copy_to_module()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._parameters, weights)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Replace the module's weights by the average."""
        torch._foreach_copy_(self._parameters, self._average)

    def state(self) -> dict[str, Tensor]:
        """Return the average by parameter name."""
        return dict(zip(self._names, self._average, strict=True))

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        torch._foreach_copy_(self._average, [state[name] for name in self._names])
