"""A byte-level language encoder trained from scratch.

Idea: every instruction is readable, in any script and with any typing error, because the alphabet
is the 256 bytes of UTF-8. A strided convolution joins neighbouring bytes to about one token per
syllable, and a transformer block mixes them. When it loses: few demonstrations, since what a word
is has to be learned; `words` knows it from the start.

Reference: Xue et al., 2022 (ByT5); Clark et al., 2022 (CANINE, down-sampled characters).
"""

import torch
import torch.nn.functional as F
from torch import nn

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level, present_instructions
from plait.errors import OptionError
from plait.layers import SelfAttentionBlock
from plait.masks import masked_fill
from plait.types import LANGUAGE, Observation, Tokens, TokenSpec

NUM_BYTES = 256
# Id 0 is padding, so byte b has id b + 1.
PADDING = 0
DEFAULT_MAX_BYTES = 96


def instruction_bytes(instruction: str) -> bytes:
    """Return lower case with single blanks, in UTF-8."""
    return " ".join(instruction.lower().split()).encode()


class ByteEncoder(Encoder):
    """Byte embeddings, joined in groups of `stride`, and a transformer block over them.

    Args:
        data: Says how long its instructions are; bytes need no vocabulary.
        width: Size of the token axis.
        level: `stem` or `features`.
        max_bytes: Longest instruction in bytes of UTF-8; where None 96, or the longest of the data,
            rounded up to a multiple of the stride.
        stride: Bytes per token.

    Raises:
        OptionError: If `stride` is below 1, or does not divide `max_bytes`.
    """

    modality = LANGUAGE

    def __init__(
        self,
        data: DataSpec,
        width: int,
        level: Level,
        *,
        max_bytes: int | None = None,
        stride: int = 3,
    ) -> None:
        nn.Module.__init__(self)
        if max_bytes is None:
            longest = max(DEFAULT_MAX_BYTES, data.most_bytes)
            max_bytes = -(-longest // max(stride, 1)) * stride
        if stride < 1 or max_bytes < 1 or max_bytes % stride:
            raise OptionError(
                f"stride {stride} must be at least 1 and divide max_bytes, which is {max_bytes}"
            )
        self.token_spec = TokenSpec(width)
        self.max_bytes = max_bytes
        self.stride = stride
        self.embedding = nn.Embedding(NUM_BYTES + 1, width, padding_idx=PADDING)
        # A window of two strides sees over the edge of its group, so that words may lie anywhere.
        self.join = nn.Conv1d(width, width, 2 * stride, stride=stride)
        self.norm = nn.LayerNorm(width)
        self.position = nn.Parameter(torch.randn(max_bytes // stride, width) * 0.1)
        trunk = SelfAttentionBlock(width, 2 * width) if level == "features" else nn.Identity()
        self.trunk = trunk

    def forward(self, observation: Observation) -> Tokens:
        """Encode the instructions: `[batch, groups of bytes, width]`."""
        present = observation.modality_mask[LANGUAGE]
        ids = self.tokenize(present_instructions(observation)).to(present.device)
        is_real = ids != PADDING
        mask = is_real.unflatten(1, (-1, self.stride)).any(dim=-1)
        letters = self.embedding(ids)
        letters = masked_fill(letters, is_real.unsqueeze(-1).expand_as(letters))
        joined = self.join(F.pad(letters.transpose(1, 2), (0, self.stride))).transpose(1, 2)
        values = self.norm(joined) + self.position[: joined.shape[1]]
        values = masked_fill(values, mask.unsqueeze(-1).expand_as(values))
        return self.trunk(Tokens(values, mask))

    def tokenize(self, instructions: tuple[str, ...]) -> torch.Tensor:
        """Return byte ids `[batch, bytes]`, padded with 0 to a multiple of the stride.

        Raises:
            OptionError: If an instruction is longer than `max_bytes`.
        """
        encoded = [instruction_bytes(text) for text in instructions]
        for text, letters in zip(instructions, encoded, strict=True):
            if len(letters) > self.max_bytes:
                raise OptionError(
                    f"the instruction {text!r} has {len(letters)} bytes, more than the "
                    f"{self.max_bytes} this policy reads; shorten it or raise max_bytes"
                )
        longest = max((len(letters) for letters in encoded), default=0)
        size = max(1, -(-longest // self.stride)) * self.stride
        ids = torch.zeros(len(encoded), size, dtype=torch.int64)
        for row, letters in enumerate(encoded):
            ids[row, : len(letters)] = torch.tensor(list(letters), dtype=torch.int64) + 1
        return ids
