"""The conformance kit of an encoder of action chunks: `check_chunk_encoder(MyEncoder)`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from plait.config import DataSpec
from plait.encoders.chunks.base import ChunkEncoder
from plait.testing.checks import (
    NOTICEABLE,
    build_seeded,
    real_values,
    require,
    require_registered,
    require_round_trip,
    require_same,
    require_token_gradients,
    run_checks,
)
from plait.testing.fake import ACTION_HORIZON, BATCH_SIZE, FAKE_DATA, WIDTH, fake_batch
from plait.types import ActionChunk, Tokens


@dataclass(frozen=True)
class ChunkCase:
    """An encoder of action chunks to check.

    Attributes:
        kind: The class.
        data: What it is built for.
        options: Keyword options it is built with.
    """

    kind: type[ChunkEncoder]
    data: DataSpec
    options: Mapping[str, Any]

    def build(self, seed: int = 0) -> ChunkEncoder:
        """Build the encoder, its parameters drawn from `seed`."""
        return build_seeded(
            lambda: self.kind(self.data, ACTION_HORIZON, WIDTH, **self.options), seed
        )

    def chunk(self, seed: int = 0) -> ActionChunk:
        """Return chunks, the middle one of which ends within an episode's last steps."""
        return fake_batch(self.data, seed=seed).action_chunk


def tokens_fit_their_spec(case: ChunkCase) -> None:
    """What reads the tokens is built from `token_spec`."""
    encoder, chunk = case.build(), case.chunk()
    tokens = encoder(chunk)
    found = (tokens.values.shape[0], tokens.values.shape[-1])
    require(
        found == (BATCH_SIZE, encoder.token_spec.width),
        f"batch and width are {found}, but {(BATCH_SIZE, encoder.token_spec.width)} was promised",
    )
    require(bool(tokens.mask.any(dim=1).all()), "a real chunk has no real token: mask inverted?")
    require(bool(torch.isfinite(tokens.values[tokens.mask]).all()), "real tokens are not finite")


def padding_actions_do_not_matter(case: ChunkCase) -> None:
    """Steps past the end of an episode were never recorded, whatever stands there."""
    encoder, chunk = case.build(), case.chunk()
    expected = real_values(encoder(chunk))
    for padding in (50.0, math.nan):
        filled = torch.where(chunk.mask.unsqueeze(-1), chunk.actions, torch.tensor(padding))
        actual = real_values(encoder(ActionChunk(filled, chunk.mask)))
        require_same(actual, expected, f"padding of {padding} changes the tokens")
        trained = [p for p in encoder.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(actual.sum(), trained, allow_unused=True)
        finite = all(g is None or bool(torch.isfinite(g).all()) for g in gradients)
        require(finite, f"padding of {padding} gives a gradient of NaN; fill it before any layer")


def every_step_and_their_order_matter(case: ChunkCase) -> None:
    """A movement played backwards is another movement."""
    encoder, chunk = case.build(), case.chunk()
    expected = real_values(encoder(chunk))
    for step in range(ACTION_HORIZON):
        moved = chunk.actions.clone()
        moved[0, step] = -moved[0, step] + 0.5
        change = (real_values(encoder(ActionChunk(moved, chunk.mask))) - expected)[0].abs().max()
        require(bool(change > NOTICEABLE), f"step {step} changes nothing. Likely it is not read")
    backwards = ActionChunk(chunk.actions[:1].flip(1), chunk.mask[:1])
    pooled, other = (real_values(encoder(each)).sum(dim=1) for each in (_first(chunk), backwards))
    require(
        bool((pooled - other).abs().max() > NOTICEABLE),
        "a chunk played backwards gives the same tokens. Likely the steps carry no position",
    )


def _first(chunk: ActionChunk) -> ActionChunk:
    return ActionChunk(chunk.actions[:1], chunk.mask[:1])


def samples_are_independent(case: ChunkCase) -> None:
    """Permuting the batch permutes the tokens, and a sample alone is encoded alike."""
    encoder, chunk = case.build(), case.chunk()
    expected = real_values(encoder(chunk))
    order = [2, 0, 1]
    shuffled = real_values(encoder(ActionChunk(chunk.actions[order], chunk.mask[order])))
    require_same(shuffled, expected[order], "permuting the batch does not permute the tokens")
    alone = real_values(encoder(_first(chunk)))
    message = "alone, a sample is encoded otherwise. Likely statistics over the batch"
    require_same(alone, expected[:1], message)


def every_parameter_receives_gradient(case: ChunkCase) -> None:
    """What is never trained should not be there."""
    encoder = case.build()
    require_token_gradients(encoder, encoder(case.chunk()))


def nothing_learned_is_hidden(case: ChunkCase) -> None:
    """Tensors in plain attributes are never saved."""
    require_registered(case.build())


def state_dict_round_trip_is_exact(case: ChunkCase) -> None:
    """What is saved is all there is."""
    chunk = case.chunk()

    def run(encoder: ChunkEncoder) -> list[Tensor]:
        tokens: Tokens = encoder(chunk)
        return [tokens.values, tokens.mask]

    require_round_trip(case.build(seed=1), case.build(seed=2), run)


CHUNK_ENCODER_CHECKS = (
    tokens_fit_their_spec,
    padding_actions_do_not_matter,
    every_step_and_their_order_matter,
    samples_are_independent,
    every_parameter_receives_gradient,
    nothing_learned_is_hidden,
    state_dict_round_trip_is_exact,
)


def check_chunk_encoder(
    kind: type[ChunkEncoder], *, data: DataSpec = FAKE_DATA, **options: object
) -> None:
    """Check that an encoder keeps the contract of `plait.encoders.chunks.base.ChunkEncoder`.

    Args:
        kind: The class.
        data: What it is built for.
        options: Keyword options to build it with.

    Raises:
        AssertionError: If a check fails; it names every failed check and its likely cause.
    """
    run_checks(kind.__name__, CHUNK_ENCODER_CHECKS, ChunkCase(kind, data, options))
