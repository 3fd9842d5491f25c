"""The towers: unit vectors, no leaks, the same in parts, whole on disk, a start for policies."""

from dataclasses import replace

import pytest
import torch
from alignment_fakes import make_aligner

import plait.fusion
from plait import discovery
from plait.aligner import Aligner, instruction_groups
from plait.alignment.base import ALIGNED
from plait.config import Component, PolicyConfig
from plait.data.normalize import Normalizer
from plait.errors import CheckpointError, OptionError, PlaitError
from plait.policy import build_policy
from plait.testing import fake_batch
from plait.testing.fake import FAKE_DATA
from plait.training.initialise import start_from
from plait.types import LANGUAGE, VISION, ActionChunk

VARIANTS = ({}, {"shares_projection": True}, {"action_sees_proprio": True})


def make_policy(fusion="film", data=FAKE_DATA, width=24, **parts):
    config = PolicyConfig(
        fusion=Component(name=fusion, options={"hidden_dim": 16}), width=width, **parts
    )
    normalizer = Normalizer(proprio_dim=data.proprio_dim, action_dim=data.action_dim)
    return build_policy(config, data, normalizer, seed=7)


def with_observation(batch, observation):
    return replace(batch, observation=observation)


@pytest.mark.parametrize("changes", VARIANTS)
def test_embeddings_have_length_one(changes):
    embeddings = make_aligner(**changes).embed(fake_batch())
    for name in ALIGNED:
        values = embeddings.values[name]
        assert values.shape[1] == 16
        present = embeddings.present[name]
        torch.testing.assert_close(values.norm(dim=1)[present], torch.ones(int(present.sum())))


@pytest.mark.parametrize("modality", [VISION, LANGUAGE])
def test_an_absent_modality_is_zero_and_does_not_leak(modality):
    aligner, batch = make_aligner(), fake_batch()
    hidden = with_observation(batch, batch.observation.without(modality))
    embeddings = aligner.embed(hidden)
    assert not embeddings.present[modality].any()
    assert not embeddings.values[modality].any()
    others = aligner.embed(batch)
    for name in ALIGNED:
        if name != modality:
            torch.testing.assert_close(embeddings.values[name], others.values[name])


def test_actions_beyond_the_end_are_not_read():
    aligner, batch = make_aligner(), fake_batch()
    mask = batch.action_chunk.mask.clone()
    mask[:, 3:] = False
    spoiled = batch.action_chunk.actions.clone()
    spoiled[:, 3:] = float("nan")
    one = aligner.embed(replace(batch, action_chunk=ActionChunk(batch.action_chunk.actions, mask)))
    two = aligner.embed(replace(batch, action_chunk=ActionChunk(spoiled, mask)))
    assert torch.equal(one.values["action"], two.values["action"])


def test_the_action_tower_reads_the_order_of_the_actions():
    aligner, batch = make_aligner(), fake_batch()
    chunk = batch.action_chunk
    turned = ActionChunk(chunk.actions.flip(1), torch.ones_like(chunk.mask))
    straight = ActionChunk(chunk.actions, torch.ones_like(chunk.mask))
    one = aligner.embed_action(straight, batch.observation)
    two = aligner.embed_action(turned, batch.observation)
    assert (one - two).abs().max() > 1e-3


def test_the_action_tower_sees_the_state_only_where_it_is_told_to():
    batch = fake_batch()
    moved = with_observation(
        batch, replace(batch.observation, proprio=batch.observation.proprio + 1)
    )
    for sees in (False, True):
        aligner = make_aligner(action_sees_proprio=sees)
        one, two = aligner.embed(batch).values["action"], aligner.embed(moved).values["action"]
        assert torch.equal(one, two) is not sees


def test_a_shared_projection_has_one_last_layer():
    apart, shared = make_aligner(), make_aligner(shares_projection=True)
    assert len(apart.last) == 3
    assert len(shared.last) == 1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_encoding_in_parts_gives_the_same_gradient(size):
    """Nothing in the towers mixes samples, so parts change rounding alone."""
    batch = fake_batch(batch_size=5)
    gradients = []
    for micro_batch_size in (0, size):
        aligner = make_aligner(micro_batch_size=micro_batch_size)
        aligner(batch).total.backward()
        gradients.append({n: p.grad for n, p in aligner.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-3, atol=1e-6)


def test_encoding_in_parts_keeps_only_embeddings_for_the_backward_pass():
    """What autograd saves must not grow with what the encoders compute."""

    def saved_bytes(micro_batch_size):
        kept = []

        def note(tensor):
            kept.append(tensor.numel() * tensor.element_size())
            return tensor

        aligner = make_aligner(micro_batch_size=micro_batch_size)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            aligner(fake_batch(batch_size=16))
        return sum(kept)

    assert saved_bytes(2) < 0.2 * saved_bytes(0)


def test_permuting_the_batch_permutes_the_embeddings():
    aligner, batch = make_aligner(), fake_batch(batch_size=4)
    first = aligner.embed(batch).values
    second = aligner.embed(batch.select(slice(1, 3))).values
    for name in ALIGNED:
        torch.testing.assert_close(first[name][1:3], second[name])


def test_groups_are_those_of_equal_texts_and_the_same_everywhere():
    groups = instruction_groups(("pick red", "touch", "pick red", ""))
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3
    assert torch.equal(groups[:1], instruction_groups(("pick red",)))


@pytest.mark.parametrize("changes", VARIANTS)
def test_what_is_saved_is_what_is_loaded(tmp_path, changes):
    aligner = make_aligner(objective="sigmoid", **changes).eval()
    aligner.save(tmp_path / "towers")
    again = Aligner.load(tmp_path / "towers")
    assert again.config == aligner.config
    for name, value in aligner.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    batch = fake_batch()
    for name in ALIGNED:
        assert torch.equal(again.embed(batch).values[name], aligner.embed(batch).values[name])


def test_a_policy_is_no_aligner(tmp_path):
    make_policy().save(tmp_path / "policy")
    with pytest.raises(CheckpointError, match=r"aligner.json: no such file; .* saved aligner"):
        Aligner.load(tmp_path / "policy")


def test_nan_in_the_data_is_named():
    aligner, batch = make_aligner(), fake_batch()
    actions = batch.action_chunk.actions.clone()
    actions[0, 0] = float("nan")
    mask = torch.ones_like(batch.action_chunk.mask)
    with pytest.raises(PlaitError, match="action embeddings are not finite"):
        aligner(replace(batch, action_chunk=ActionChunk(actions, mask)))


def test_an_empty_embedding_is_refused():
    from plait.aligner import build_aligner

    config = replace(make_aligner().config, embedding_dim=0)
    normalizer = Normalizer(proprio_dim=FAKE_DATA.proprio_dim, action_dim=FAKE_DATA.action_dim)
    with pytest.raises(OptionError, match="0 dimensions"):
        build_aligner(config, FAKE_DATA, normalizer, 0)


# Into a policy


@pytest.mark.parametrize("fusion", discovery.available(plait.fusion))
def test_every_strategy_takes_the_towers(tmp_path, fusion):
    aligner, policy = make_aligner(seed=3), make_policy(fusion)
    aligner.save(tmp_path / "aligner")
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    assert start_from(policy, tmp_path) == (VISION, LANGUAGE)
    for modality in (VISION, LANGUAGE):
        theirs = aligner.encoders[modality].state_dict()
        for name, value in policy.encoders[modality].state_dict().items():
            assert torch.equal(value, theirs[name])
    for name, value in policy.state_dict().items():
        if not name.startswith(("encoders.vision", "encoders.language")):
            assert torch.equal(value, before[name])


def test_words_move_by_their_text(tmp_path):
    aligner = make_aligner(seed=3)
    aligner.save(tmp_path / "aligner")
    kept = FAKE_DATA.vocabulary[1:]
    data = replace(FAKE_DATA, vocabulary=("aardvark", *kept))
    policy = make_policy(data=data)
    fresh = policy.encoders[LANGUAGE].embedding.weight.detach().clone()
    start_from(policy, tmp_path / "aligner")
    ours, theirs = policy.encoders[LANGUAGE], aligner.encoders[LANGUAGE]
    for word in kept:
        row = ours.embedding.weight[ours.word_index[word]]
        assert torch.equal(row, theirs.embedding.weight[theirs.word_index[word]])
    unknown = ours.word_index["aardvark"]
    assert torch.equal(ours.embedding.weight[unknown], fresh[unknown])


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"width": 32}, "vision tower is .*width 24, but the policy's encoder is .*width 32"),
        ({"vision": Component(name="vit")}, "vision tower is .*conv.*vit"),
        ({"data": replace(FAKE_DATA, image_size=32)}, "image_size"),
        ({"data": replace(FAKE_DATA, cameras=FAKE_DATA.cameras[:1])}, "cameras"),
    ],
)
def test_towers_of_another_kind_are_refused(tmp_path, policy, message):
    make_aligner().save(tmp_path / "aligner")
    with pytest.raises(OptionError, match=message):
        start_from(make_policy(**policy), tmp_path)
