"""A learned token in place of a modality that is absent. Not an encoder, hence the underscore."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from plait.types import Tokens, TokenSpec


class MissingTokens(nn.Module):
    """Lets absence be a value that a fusion can read, instead of a gap.

    In a sample in which a modality has no real token, be it absent or its last camera gone, the
    first of its positions gets the learned token, marked as real. The other positions stay masked:
    how many there are may depend on the rest of the batch, and must not matter.

    Args:
        specs: What each modality's tokens look like.

    Reference: Neverova et al., 2016 (ModDrop) drops modalities; a learned token in their place, as
    masked models have it (Devlin et al., 2019), here one a modality.
    """

    def __init__(self, specs: Mapping[str, TokenSpec]) -> None:
        super().__init__()
        self.tokens = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(spec.width) * 0.02) for name, spec in specs.items()}
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> dict[str, Tokens]:
        """Stand in for what is absent; what is there stays as it is."""
        return {name: _stand_in(part, self.tokens[name]) for name, part in tokens.items()}


def _stand_in(tokens: Tokens, token: Tensor) -> Tokens:
    """Put a token `[width]` at the first position of the samples that have none."""
    is_absent = ~tokens.mask.any(dim=1, keepdim=True)
    is_first = torch.arange(tokens.mask.shape[1], device=tokens.mask.device) == 0
    is_replaced = is_absent & is_first
    # `where` rather than a product: what stands at masked positions may be NaN.
    values = torch.where(is_replaced.unsqueeze(-1), token.to(tokens.values.dtype), tokens.values)
    return Tokens(values, tokens.mask | is_replaced)
