"""The policy that looks action chunks up: the nearest, whole on disk, refusing what is broken."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from plait.aligner import build_aligner
from plait.config import AlignerConfig
from plait.data.normalize import Normalizer
from plait.errors import CheckpointError, PlaitError, ShapeError
from plait.execution import ChunkExecutor, PredictsChunks
from plait.retrieval import LIBRARY_FILE, RetrievalPolicy
from plait.testing import fake_batch
from plait.testing.fake import FAKE_DATA
from plait.types import LANGUAGE, VISION

HORIZON = 5


def make_aligner(seed=0):
    config = AlignerConfig(width=24, embedding_dim=16, action_horizon=HORIZON)
    normalizer = Normalizer(proprio_dim=FAKE_DATA.proprio_dim, action_dim=FAKE_DATA.action_dim)
    return build_aligner(config, FAKE_DATA, normalizer, seed).eval()


def make_policy(num_items=23, seed=0):
    generator = torch.Generator().manual_seed(seed)
    keys = F.normalize(torch.randn(num_items, 16, generator=generator), dim=1)
    actions = torch.randn(num_items, HORIZON, FAKE_DATA.action_dim, generator=generator)
    mask = torch.ones(num_items, HORIZON, dtype=torch.bool)
    return RetrievalPolicy(make_aligner(), keys, actions, mask)


@torch.no_grad()
def test_it_returns_the_chunk_nearest_to_vision_and_text_together():
    policy, observation = make_policy(), fake_batch().observation
    vision = policy.aligner.embed_vision(observation)
    text = policy.aligner.embed_language(observation)
    found = policy.predict(observation)
    for i in range(observation.batch_size):
        similarities = [
            float((vision[i] + text[i]) @ key / (vision[i] + text[i]).norm()) for key in policy.keys
        ]
        nearest = max(range(len(similarities)), key=similarities.__getitem__)
        assert torch.equal(found.actions[i], policy.actions[nearest])
    assert found.mask.all()


@pytest.mark.parametrize(("missing", "left"), [(VISION, "language"), (LANGUAGE, "vision")])
@torch.no_grad()
def test_where_one_is_missing_the_other_asks_alone(missing, left):
    policy, observation = make_policy(), fake_batch().observation
    embed = {"vision": policy.aligner.embed_vision, "language": policy.aligner.embed_language}
    alone = embed[left](observation)
    nearest = (alone @ policy.keys.T).argmax(dim=1)
    found = policy.predict(observation.without(missing))
    assert torch.equal(found.actions, policy.actions[nearest])


def test_what_is_hidden_does_not_matter():
    policy, observation = make_policy(), fake_batch().observation.without(VISION)
    other = {camera: 255 - image for camera, image in observation.images.items()}
    changed = replace(observation, images=other)
    assert torch.equal(policy.predict(observation).actions, policy.predict(changed).actions)


def test_an_executor_plays_it():
    policy = make_policy()
    assert isinstance(policy, PredictsChunks)
    assert ChunkExecutor(policy, HORIZON).execution_horizon == HORIZON
    towers = sum(p.numel() for p in policy.aligner.parameters())
    assert policy.num_parameters() == towers


def test_what_is_saved_is_what_is_loaded(tmp_path):
    policy, observation = make_policy(), fake_batch().observation
    policy.save(tmp_path / "policy")
    loaded = RetrievalPolicy.load(tmp_path / "policy")
    assert torch.equal(loaded.predict(observation).actions, policy.predict(observation).actions)


def test_a_folder_without_its_library_is_named(tmp_path):
    make_policy().save(tmp_path / "policy")
    (tmp_path / "policy" / LIBRARY_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"library\.safetensors: no such file"):
        RetrievalPolicy.load(tmp_path / "policy")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "not a whole library"),
        (lambda path: save_file({"keys": torch.zeros(2, 16)}, path), "not a whole library"),
        (
            lambda path: save_file(
                {
                    "keys": torch.zeros(2, 3),
                    "actions": torch.zeros(2, HORIZON, FAKE_DATA.action_dim),
                    "mask": torch.ones(2, HORIZON, dtype=torch.bool),
                },
                path,
            ),
            "keys of the library",
        ),
    ],
)
def test_a_damaged_library_is_named(tmp_path, write, message):
    make_policy().save(tmp_path / "policy")
    write(tmp_path / "policy" / LIBRARY_FILE)
    with pytest.raises(CheckpointError, match=message):
        RetrievalPolicy.load(tmp_path / "policy")


def test_an_empty_library_and_one_of_other_chunks_are_refused():
    aligner = make_aligner()
    keys, mask = torch.zeros(2, 16), torch.ones(2, HORIZON, dtype=torch.bool)
    with pytest.raises(PlaitError, match="the library is empty"):
        RetrievalPolicy(aligner, keys[:0], torch.zeros(0, HORIZON, 7), mask[:0])
    longer = torch.ones(2, HORIZON + 1, dtype=torch.bool)
    with pytest.raises(ShapeError, match="actions of the library"):
        RetrievalPolicy(aligner, keys, torch.zeros(*longer.shape, FAKE_DATA.action_dim), longer)
