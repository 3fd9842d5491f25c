"""Processes that train together end where one process does, and stop together."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from plait.config import (
    Component,
    DataConfig,
    PolicyConfig,
    RobustConfig,
    RunConfig,
    TrainingConfig,
)
from plait.data.episode import EncodedEpisode, EpisodeData
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import OptionError, PlaitError
from plait.policy import Policy
from plait.training.parallel import Workers, train_together
from plait.training.run import POLICY_FOLDER, train

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Job:
    run: RunConfig
    folder: Path

    def __call__(self):
        train(self.run, self.folder)


def write_demonstrations(root):
    rng = np.random.default_rng(0)
    with LeRobotWriter(root, fps=10) as writer:
        for number in range(4):
            images = {"base": rng.integers(0, 256, (12, 16, 16, 3), np.uint8)}
            numbers = rng.standard_normal((2, 12, 3)).astype(np.float32)
            episode = EpisodeData(images, numbers[0], numbers[1], f"touch {number}")
            writer.append(EncodedEpisode.of(episode, with_images=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "demonstrations"
    write_demonstrations(root)
    return RunConfig(
        data=DataConfig(path=str(root), image_size=16, frame_storage="raw"),
        # One step a chunk: none is padded, so the mean of means is the mean.
        policy=PolicyConfig(fusion=Component(name="film"), width=16, action_horizon=1),
        training=TrainingConfig(num_steps=5, batch_size=8, warmup_steps=1, checkpoint_interval=2),
    )


def test_two_processes_train_what_one_trains(run, tmp_path):
    train_together(Job(run, tmp_path / "one"), 1)
    train_together(Job(run, tmp_path / "two"), 2)
    one, two = (Policy.load(tmp_path / name / POLICY_FOLDER) for name in ("one", "two"))
    expected = dict(one.named_parameters())
    # Weights move by 1e-2 here; where a gradient is near zero, Adam blows up its last bits.
    for name, parameter in two.named_parameters():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-3, atol=5e-4)


def test_all_processes_keep_the_same_weights(run, tmp_path):
    train_together(Job(run, tmp_path / "run"), 2)
    first = load_file(tmp_path / "run" / CHECKPOINT)
    second = load_file(tmp_path / "run" / "rank-1" / CHECKPOINT)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_go_on_from_where_both_stopped(run, tmp_path):
    job = Job(run, tmp_path / "run")
    train_together(job, 2)
    before = load_file(tmp_path / "run" / CHECKPOINT)
    train_together(job, 2)
    after = load_file(tmp_path / "run" / CHECKPOINT)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_processes_that_stand_at_different_steps_do_not_go_on(run, tmp_path):
    train_together(Job(run, tmp_path / "run"), 1)
    with pytest.raises(PlaitError, match="checkpoints of different steps, 0 to 5"):
        train_together(Job(run, tmp_path / "run"), 2)
    assert not (tmp_path / "run" / "rank-1" / POLICY_FOLDER).exists()


def test_gradients_are_not_modulated_by_each_process_for_itself(run, tmp_path):
    robust = RobustConfig(auxiliary_weight=0.3, ogm_ge=0.5)
    weighed = replace(run, training=replace(run.training, robust=robust))
    with pytest.raises(PlaitError, match="ogm_ge"):
        train_together(Job(weighed, tmp_path / "run"), 2)


def test_a_batch_that_cannot_be_divided_is_refused(run, tmp_path):
    odd = replace(run, training=replace(run.training, batch_size=7))
    with pytest.raises(PlaitError, match="7 cannot be divided evenly among 2"):
        train_together(Job(odd, tmp_path / "run"), 2)


def test_a_process_alone_is_the_first_of_one():
    workers = Workers.current()
    assert (workers.rank, workers.size) == (0, 1)
    assert workers.share(7) == 7
    assert workers.any(True)
    assert not workers.any(False)


def test_no_process_is_refused():
    with pytest.raises(OptionError, match="at least 1"):
        train_together(print, 0)


def test_turns_of_all_processes_differ():
    turns = [Workers(rank, 3).turn(index) for index in range(4) for rank in range(3)]
    assert len(set(turns)) == 12
