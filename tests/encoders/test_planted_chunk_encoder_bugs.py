"""Encoders of action chunks with one planted bug each: the check named for it catches it."""

import pytest
import torch

from plait.encoders.chunks.transformer import TransformerChunkEncoder
from plait.testing import check_chunk_encoder
from plait.testing.chunk_encoder import CHUNK_ENCODER_CHECKS
from plait.types import ActionChunk, Tokens


class ReadsPadding(TransformerChunkEncoder):
    def forward(self, chunk):
        everything = ActionChunk(chunk.actions, torch.ones_like(chunk.mask))
        return Tokens(super().forward(everything).values, chunk.mask)


class MaskInverted(TransformerChunkEncoder):
    def forward(self, chunk):
        return super().forward(ActionChunk(chunk.actions, ~chunk.mask))


class NoPositions(TransformerChunkEncoder):
    def forward(self, chunk):
        values = self.embed(torch.where(chunk.mask.unsqueeze(-1), chunk.actions, 0.0))
        return self.blocks(Tokens(values + 0 * self.position, chunk.mask))


class FirstStepOnly(TransformerChunkEncoder):
    def forward(self, chunk):
        repeated = chunk.actions[:, :1].expand_as(chunk.actions)
        return super().forward(ActionChunk(repeated, chunk.mask))


class StatisticsOverTheBatch(TransformerChunkEncoder):
    def forward(self, chunk):
        tokens = super().forward(chunk)
        return tokens.with_values(tokens.values - tokens.values.mean(dim=0))


class WrongWidth(TransformerChunkEncoder):
    def forward(self, chunk):
        tokens = super().forward(chunk)
        return tokens.with_values(tokens.values[..., :-1])


class DeadBranch(TransformerChunkEncoder):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.unused = torch.nn.Linear(3, 3)


class HiddenTable(TransformerChunkEncoder):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.table = [torch.ones(3)]


class Forgetful(TransformerChunkEncoder):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.register_buffer("sign", torch.randn(1), persistent=False)

    def forward(self, chunk):
        tokens = super().forward(chunk)
        return tokens.with_values(tokens.values * self.sign)


BUGS = [
    (WrongWidth, "tokens_fit_their_spec"),
    (MaskInverted, "tokens_fit_their_spec"),
    (ReadsPadding, "padding_actions_do_not_matter"),
    (NoPositions, "every_step_and_their_order_matter"),
    (FirstStepOnly, "every_step_and_their_order_matter"),
    (StatisticsOverTheBatch, "samples_are_independent"),
    (DeadBranch, "every_parameter_receives_gradient"),
    (HiddenTable, "nothing_learned_is_hidden"),
    (Forgetful, "state_dict_round_trip_is_exact"),
]


@pytest.mark.parametrize(("kind", "rule"), BUGS)
def test_a_planted_bug_is_caught(kind, rule):
    with pytest.raises(AssertionError, match=rule):
        check_chunk_encoder(kind)


def test_every_check_catches_a_bug():
    assert {rule for _, rule in BUGS} == {check.__name__ for check in CHUNK_ENCODER_CHECKS}
