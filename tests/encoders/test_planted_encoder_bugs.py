"""Encoders with one planted bug each: the check named for it catches it."""

import re

import pytest
import torch
from torch import nn

from plait.encoders.base import Encoder
from plait.encoders.conv import ConvEncoder
from plait.encoders.state import StateEncoder
from plait.encoders.words import WordEncoder
from plait.testing import check_encoder
from plait.testing.encoder import ENCODER_CHECKS
from plait.types import LANGUAGE, PROPRIO, Tokens, TokenSpec


class MaskAlwaysTrue(StateEncoder):
    def forward(self, observation):
        tokens = super().forward(observation)
        return Tokens(tokens.values, torch.ones_like(tokens.mask))


class MaskedAfterTheLayer(StateEncoder):
    """NaN in an absent state reaches the gradient of the first layer."""

    def forward(self, observation):
        present = observation.modality_mask[PROPRIO][:, None].expand(-1, 3)
        values = self.embed(observation.proprio) + self.step_embedding
        if self.trunk is not None:
            values = values + self.trunk(values)
        return Tokens(values, present)


class LastStepOnly(StateEncoder):
    def forward(self, observation):
        tokens = super().forward(observation)
        return Tokens(tokens.values[:, -1:], tokens.mask[:, -1:])


class CameraMaskIgnored(ConvEncoder):
    def _mask(self, observation):
        present = observation.modality_mask[self.modality]
        rows, columns = self.token_spec.grid
        return present.unsqueeze(1).expand(-1, self.token_spec.num_views * rows * columns)


class FirstCameraTwice(ConvEncoder):
    def __init__(self, data, width, level):
        super().__init__(data, width, level)
        self.cameras = (data.cameras[0],) * 2


class StatisticsOverTheBatch(StateEncoder):
    def forward(self, observation):
        tokens = super().forward(observation)
        return tokens.with_values(tokens.values - tokens.values.mean(dim=0))


class ReadsTheState(WordEncoder):
    def forward(self, observation):
        tokens = super().forward(observation)
        return tokens.with_values(tokens.values + observation.proprio.mean())


class RefusesAbsentWords(WordEncoder):
    def forward(self, observation):
        self.tokenize(observation.instruction)
        return super().forward(observation)


class LyingSpec(StateEncoder):
    def __init__(self, data, width, level):
        super().__init__(data, width, level)
        self.token_spec = TokenSpec(width + 1)


class TrunkAtBothLevels(StateEncoder):
    """Builds more than its level needs."""

    def __init__(self, data, width, level):
        super().__init__(data, width, level)
        self.later = nn.Linear(width, width)


class LayersInAList(StateEncoder):
    def __init__(self, data, width, level):
        super().__init__(data, width, level)
        self.layers = [nn.Linear(width, width)]

    def forward(self, observation):
        tokens = super().forward(observation)
        return tokens.with_values(self.layers[0](tokens.values))


CAUGHT_BY = {
    MaskAlwaysTrue: "absence_is_masked_and_not_read",
    MaskedAfterTheLayer: "absence_is_masked_and_not_read",
    LastStepOnly: "its_input_matters",
    CameraMaskIgnored: "an_absent_camera_is_masked",
    FirstCameraTwice: "its_input_matters",
    StatisticsOverTheBatch: "samples_are_independent",
    ReadsTheState: "it_reads_only_its_modality",
    RefusesAbsentWords: "absence_is_masked_and_not_read",
    LyingSpec: "tokens_fit_their_spec",
    TrunkAtBothLevels: "every_parameter_receives_gradient",
    LayersInAList: "nothing_learned_is_hidden",
}


def failed_checks(kind):
    with pytest.raises(AssertionError, match="breaks its contract") as caught:
        check_encoder(kind)
    return set(re.findall(r"^- (\w+): ", str(caught.value), re.MULTILINE))


@pytest.mark.parametrize("kind", CAUGHT_BY, ids=lambda kind: kind.__name__)
def test_bug_is_caught_by_its_check(kind):
    assert issubclass(kind, Encoder)
    assert CAUGHT_BY[kind] in failed_checks(kind)


def test_every_check_catches_a_bug():
    caught = set().union(*(failed_checks(kind) for kind in CAUGHT_BY))
    assert caught == {check.__name__ for check in ENCODER_CHECKS}


def test_message_names_level_and_cause():
    match = (
        "MaskAlwaysTrue at level 'stem' breaks its contract(.|\n)*Likely modality_mask is not read"
    )
    with pytest.raises(AssertionError, match=match):
        check_encoder(MaskAlwaysTrue)
    with pytest.raises(AssertionError, match="Likely camera_mask is not read"):
        check_encoder(CameraMaskIgnored)


def test_options_and_data_reach_the_encoder():
    with pytest.raises(AssertionError, match="has 2 words, more than the 1 this policy reads"):
        check_encoder(WordEncoder, max_words=1)
    assert WordEncoder.modality == LANGUAGE
