"""The contract of a fusion: tokens by modality in, token groups out.

    Fusion(specs, width, *, hidden_dim, ...options)({modality: Tokens}) -> Fused

A strategy declares which level of each encoder it reads and leaves everything it wants to add to
the loss or the report in the `Fused` it returns. `plait.testing.check_fusion` tests the contract.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from plait.layers import Projection
from plait.types import MODALITIES, Fused, Tokens, TokenSpec


class Fusion(nn.Module, ABC):
    """Base of every fusion strategy.

    A subclass takes `(specs, width, *, hidden_dim, ...options)`: keyword-only options with
    defaults. `hidden_dim` is the one that a comparison tunes so that every strategy has the same
    number of parameters; it must change the size and nothing else.

    Attributes:
        level: Per modality, whether the strategy reads the encoder's `stem` or its `features`.
        num_groups: How many token groups the returned `Fused` has.
    """

    level: ClassVar[Mapping[str, str]] = dict.fromkeys(MODALITIES, "features")
    num_groups: int = 1

    @abstractmethod
    def __init__(self, specs: Mapping[str, TokenSpec], width: int, *, hidden_dim: int) -> None:
        """Build the strategy for tokens as `specs` describes them."""
        super().__init__()

    @abstractmethod
    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Weave the modalities; every group in the result has tokens of size `width`.

        Args:
            tokens: One entry a modality, always all of them; absence is in the masks.
        """


class Projections(nn.ModuleDict):
    """One `Projection` a modality: to the shared width, with the modality's embedding."""

    def __init__(self, specs: Mapping[str, TokenSpec], width: int) -> None:
        super().__init__({name: Projection(spec, width) for name, spec in specs.items()})

    def forward(self, tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """Project every modality, in the order the fusion was built with."""
        return {name: projection(tokens[name]) for name, projection in self.items()}
