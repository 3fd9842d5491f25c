"""Instructions of any length are learned from, by encoders that are told how long they are."""

from dataclasses import replace

import numpy as np
import pytest

from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter
from plait.policy import Policy
from plait.testing import fake_observation
from plait.training.run import POLICY_FOLDER, train

MANY_WORDS = "pick up " + "the bowl " * 9 + "now"
MANY_BYTES = "push" + "e" * 120


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory):
    root = tmp_path_factory.mktemp("long") / "data"
    rng = np.random.default_rng(0)
    with LeRobotWriter(root, fps=10) as writer:
        for instruction in (MANY_WORDS, MANY_BYTES, "lift"):
            images = {"base": rng.integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)}
            state = rng.normal(size=(7, 3)).astype(np.float32)
            writer.add(EpisodeData(images, state, state, instruction))
    return root


@pytest.mark.parametrize(
    ("language", "most"), [("words", ("max_words", 21)), ("bytes", ("max_bytes", 126))]
)
def test_a_policy_reads_the_longest_instruction_of_its_data(
    demonstrations, tmp_path, language, most
):
    run = RunConfig(
        data=DataConfig(path=str(demonstrations), image_size=16),
        policy=PolicyConfig(
            fusion=Component(name="concat"), language=Component(name=language), width=8
        ),
        training=TrainingConfig(num_steps=2, batch_size=4, warmup_steps=1),
    )
    train(run, tmp_path / "run")
    policy = Policy.load(tmp_path / "run" / POLICY_FOLDER)
    name, size = most
    assert getattr(policy.encoders["language"], name) == size
    observation = replace(
        fake_observation(policy.data, batch_size=2), instruction=(MANY_WORDS,) * 2
    )
    assert policy.predict(observation).actions.isfinite().all()
