"""The word encoder: tokenisation, refusals, the cache and the two ways with unknown words."""

from dataclasses import replace

import pytest
import torch

from plait.config import DataSpec
from plait.encoders.words import WordEncoder, build_vocabulary, split_words
from plait.errors import OptionError, UnknownNameError
from plait.testing import fake_observation
from plait.testing.fake import FAKE_DATA
from plait.types import LANGUAGE

# Word ids are places in the vocabulary, from 1: blue=1 bowl=2 cube=3 lift=4 near=5 push=6 red=7 ...


def build(level="stem", **options):
    torch.manual_seed(0)
    return WordEncoder(FAKE_DATA, 24, level, **options)


def say(*instructions):
    observation = fake_observation(batch_size=len(instructions))
    return replace(observation, instruction=instructions)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Push the red cube.", ["push", "the", "red", "cube"]),
        ("  PUSH,the;red\ncube! ", ["push", "the", "red", "cube"]),
        ("place 2 cubes left-most", ["place", "2", "cubes", "left-most"]),
        ("don't drop_it", ["don't", "drop", "it"]),
        ("pose l'œuf à côté", ["pose", "l'œuf", "à", "côté"]),
        ("把 红色 方块", ["把", "红色", "方块"]),
        ("...", []),
        ("", []),
    ],
)
def test_instructions_split_into_words(text, words):
    assert split_words(text) == words


def test_vocabulary_is_sorted_and_distinct():
    assert build_vocabulary(("Push the cube", "lift the CUBE")) == ("cube", "lift", "push", "the")
    assert build_vocabulary(()) == ()


def test_ids_are_places_in_the_vocabulary_padded_to_the_longest():
    ids = build().tokenize(("push the red cube", "lift", "push to blue"))
    assert ids.tolist() == [[6, 8, 7, 3], [4, 0, 0, 0], [6, 9, 1, 0]]
    assert ids.dtype == torch.int64


def test_an_instruction_is_tokenised_once():
    encoder = build()
    encoder.tokenize(("lift", "push", "lift"))
    calls = []
    original = encoder._word_ids
    encoder._word_ids = lambda text: calls.append(text) or original(text)
    ids = encoder.tokenize(("push", "red cube", "lift", "red cube"))
    assert calls == ["red cube"]
    assert ids.tolist() == [[6, 0], [7, 3], [4, 0], [7, 3]]


def test_tokens_are_embeddings_with_positions():
    encoder = build()
    tokens = encoder(say("push the cube", "lift"))
    assert tokens.mask.tolist() == [[True, True, True], [True, False, False]]
    expected = encoder.embedding.weight[torch.tensor([6, 8, 3])] + encoder.position[:3]
    assert torch.equal(tokens.values[0], expected)
    assert torch.equal(tokens.values[1, 0], encoder.embedding.weight[4] + encoder.position[0])


def test_word_order_matters():
    encoder = build("features")
    first, second = encoder(say("push red", "red push")).values
    assert (first.sum(0) - second.sum(0)).abs().max() > 1e-3


def test_unknown_word_is_refused_with_the_close_match():
    with pytest.raises(
        UnknownNameError, match="unknown word 'bowel'; did you mean 'bowl'"
    ) as caught:
        build()(say("push the bowel"))
    assert "in the instruction 'push the bowel'" in str(caught.value)
    assert "blue, bowl, cube" in str(caught.value)


def test_a_refused_instruction_leaves_the_cache_as_it_was():
    encoder = build()
    with pytest.raises(UnknownNameError, match="unknown word 'jump'"):
        encoder.tokenize(("push", "jump"))
    assert encoder.tokenize(("push",)).tolist() == [[6]]


def test_unknown_words_are_left_out_in_mask_mode():
    encoder = build(unknown="mask")
    tokens = encoder(say("push the shiny cube", "jump"))
    assert encoder.tokenize(("push the shiny cube",)).tolist() == [[6, 8, 3]]
    assert tokens.mask.tolist() == [[True] * 3, [False] * 3]


def test_absent_instructions_are_not_read():
    encoder = build()
    observation = say("push", "jump over the moon", "")
    present = torch.tensor([True, False, False])
    mask = {**observation.modality_mask, LANGUAGE: present}
    tokens = encoder(replace(observation, modality_mask=mask))
    assert tokens.mask.tolist() == [[True], [False], [False]]


def test_too_long_an_instruction_is_refused_with_both_numbers():
    with pytest.raises(OptionError, match="has 5 words, more than the 3 this policy reads"):
        build(max_words=3)(say("push the red cube near"))
    assert build(max_words=3)(say("push the red")).mask.tolist() == [[True] * 3]


def test_the_longest_instruction_of_the_data_is_read_whole():
    data = replace(FAKE_DATA, most_words=19)
    assert WordEncoder(data, 24, "stem").tokenize(("push " * 19,)).shape == (1, 19)
    with pytest.raises(OptionError, match="has 20 words, more than the 19"):
        WordEncoder(data, 24, "stem").tokenize(("push " * 20,))
    # Asked for in so many words, it is as long as that.
    with pytest.raises(OptionError, match="more than the 5"):
        WordEncoder(data, 24, "stem", max_words=5).tokenize(("push " * 19,))


def test_padding_has_no_embedding_gradient():
    encoder = build("features")
    tokens = encoder(say("push the red cube", "lift"))
    tokens.values[tokens.mask].square().sum().backward()
    gradient = encoder.embedding.weight.grad.abs().amax(dim=1) > 0
    assert gradient.nonzero().flatten().tolist() == [3, 4, 6, 7, 8]


def test_the_trunk_is_built_for_features_only():
    stem, features = build("stem"), build("features")
    names = {name for name, _ in features.named_parameters()}
    assert {name for name, _ in stem.named_parameters()} == {"embedding.weight", "position"}
    assert any(name.startswith("trunk.") for name in names)


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        (FAKE_DATA, {"unknown": "ignore"}, "unknown must be 'refuse' or 'mask', but is 'ignore'"),
        (replace(FAKE_DATA, vocabulary=()), {}, "no instructions: there is no word to learn"),
    ],
)
def test_options_are_checked(data, options, match):
    assert isinstance(data, DataSpec)
    with pytest.raises(OptionError, match=match):
        WordEncoder(data, 24, "stem", **options)
