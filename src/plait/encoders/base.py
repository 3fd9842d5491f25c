"""The contract of an encoder: one raw modality in, tokens out.

An encoder has two levels. Its *stem* is a cheap embedding of the raw input (patches, words); its
*features* come after the unimodal trunk. A fusion says which level it reads, and only that much of
the encoder is built.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import nn

from plait.config import DataSpec
from plait.types import Observation, Tokens, TokenSpec

Level = Literal["stem", "features"]


class Encoder(nn.Module, ABC):
    """Base of every encoder.

    A subclass takes `(data: DataSpec, width: int, level: Level, *, ...options)`; its options are
    keyword-only with defaults. Where the modality is absent all its token masks are False.

    Attributes:
        modality: The one modality it reads.
        token_spec: What it produces at the level it was built for.
    """

    modality: ClassVar[str]
    token_spec: TokenSpec

    @abstractmethod
    def __init__(self, data: DataSpec, width: int, level: Level) -> None:
        """Build the encoder up to `level`, for inputs as `data` describes them."""
        super().__init__()

    @abstractmethod
    def forward(self, observation: Observation) -> Tokens:
        """Encode the modality; masked where it is absent."""
