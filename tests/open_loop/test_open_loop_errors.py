"""Errors of held-out chunks against a slow reference, the baselines, and the summaries of arms."""

import math

import numpy as np
import pytest
import torch

from plait.data.dataset import Demonstrations
from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError
from plait.evaluation.open_loop.baselines import baseline_chunks
from plait.evaluation.open_loop.errors import Recorded, episode_errors, predict_chunks
from plait.evaluation.open_loop.summary import estimate, summarise_open_loop
from plait.results import Cost, Machine
from plait.results.open_loop import (
    COPY_STATE,
    LINEAR_STATE,
    MEAN_ACTION,
    EpisodeError,
    OpenLoopRun,
)
from plait.types import ActionChunk

HORIZON = 4
LENGTHS = (9, 3, 7, 8, 6, 10)


def write(root, action_of, state_dim=3, lengths=LENGTHS):
    rng = np.random.default_rng(5)
    with LeRobotWriter(root, fps=10) as writer:
        for length in lengths:
            proprio = np.cumsum(rng.normal(size=(length, state_dim)), axis=0).astype(np.float32)
            images = {"base": rng.integers(0, 256, (length, 8, 8, 3), dtype=np.uint8)}
            action = action_of(proprio, rng).astype(np.float32)
            writer.add(EpisodeData(images, proprio, action, "go"))
    return Demonstrations.open(root, action_horizon=HORIZON)


def noisy(proprio, rng):
    return rng.normal(size=(len(proprio), 3)) * [1, 10, 0] + [0, 0, 7]


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "set", noisy)


def held_out(data, episodes=(1, 3)):
    scale = data.norm_stats(np.array([0, 2, 4, 5])).action.std
    return Recorded.of(data, data.steps_of(np.array(episodes)), scale)


def test_errors_are_those_of_a_slow_count(data):
    recorded = held_out(data)
    predicted = torch.randn(recorded.actions.shape, generator=torch.Generator().manual_seed(0))
    found = episode_errors(predicted.double(), recorded)
    actions = np.concatenate(
        [data.chunks(np.array([k])).actions[:, 0] for k in range(data.num_steps)]
    )
    for result in found:
        first, end = data.episode_bounds[result.episode]
        everything, by_step = [], [[] for _ in range(HORIZON)]
        for place, step in enumerate(recorded.steps):
            if not first <= step < end:
                continue
            for ahead in range(HORIZON):
                if step + ahead >= end:
                    continue
                # The third dimension never varies, so it is left out.
                distance = [
                    abs(float(predicted[place, ahead, dim] - actions[step + ahead, dim]))
                    / float(recorded.scale[dim])
                    for dim in (0, 1)
                ]
                everything.append(sum(distance) / 2)
                by_step[ahead].append(sum(distance) / 2)
        assert result.error == pytest.approx(np.mean(everything))
        assert len(everything) < HORIZON * (end - first)
        for ahead in range(HORIZON):
            if by_step[ahead]:
                assert result.per_step[ahead] == pytest.approx(np.mean(by_step[ahead]))
            else:
                assert result.per_step[ahead] is None
    short = next(result for result in found if result.episode == 1)
    assert short.per_step[3] is None


def test_what_was_recorded_has_no_error_whatever_stands_past_the_end(data):
    recorded = held_out(data)
    predicted = torch.where(recorded.mask[:, :, None], recorded.actions, torch.tensor(1e6).double())
    assert all(result.error == 0 for result in episode_errors(predicted, recorded))


def test_actions_that_never_vary_are_refused(tmp_path):
    data = write(tmp_path / "set", lambda proprio, _: np.ones((len(proprio), 2)))
    with pytest.raises(DataError, match="never vary"):
        held_out(data)


def test_the_state_copied_is_right_where_the_action_is_the_state(tmp_path):
    data = write(tmp_path / "set", lambda proprio, _: proprio)
    recorded = held_out(data)
    chunks = baseline_chunks(recorded, data.steps_of(np.array([0, 2, 4, 5])), seed=0)
    copied = episode_errors(chunks[COPY_STATE], recorded)
    assert all(result.per_step[0] == 0 < result.per_step[1] for result in copied)
    mean = episode_errors(chunks[MEAN_ACTION], recorded)
    assert all(result.error > 0 for result in mean)


def test_the_linear_map_finds_what_is_linear_in_a_state_of_another_size(tmp_path):
    matrix = np.random.default_rng(1).normal(size=(5, 2))
    data = write(tmp_path / "set", lambda p, _: p @ matrix + 3, state_dim=5, lengths=(40,) * 8)
    training, others = data.split(0.3, seed=0)
    scale = data.norm_stats(training).action.std
    recorded = Recorded.of(data, data.steps_of(others), scale)
    chunks = baseline_chunks(recorded, data.steps_of(training), seed=0)
    assert COPY_STATE not in chunks
    errors = {
        name: np.mean([result.per_step[0] for result in episode_errors(chunk, recorded)])
        for name, chunk in chunks.items()
    }
    assert errors[LINEAR_STATE] < 0.02 < 0.3 < errors[MEAN_ACTION]


class Echo:
    """Predicts from the state alone, and remembers what it was shown."""

    cameras, image_size, action_horizon, observation_window = ("base",), 8, HORIZON, 1

    def __init__(self):
        self.present = []

    def predict(self, observation):
        self.present.append(bool(observation.modality_mask["vision"].any()))
        actions = observation.proprio[:, -1:].expand(-1, HORIZON + 2, -1)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def test_a_policy_is_asked_in_order_about_every_step_and_cut_to_the_horizon(data):
    recorded, policy = held_out(data), Echo()
    shares = []
    chunks = predict_chunks(policy, recorded, on_progress=shares.append)
    expected = torch.from_numpy(data.states(recorded.steps)).double()
    assert torch.equal(chunks, expected[:, None].expand(-1, HORIZON, -1))
    assert shares[-1] == 1
    assert all(policy.present)
    predict_chunks(policy, recorded, ("vision",))
    assert not policy.present[-1]


def run_of(arm, seed, errors, control=None, fraction=1.0):
    return OpenLoopRun(
        arm=arm,
        fusion=arm.split(",")[0],
        control=control,
        seed=seed,
        cost=Cost(
            num_parameters=10,
            flops_per_action_chunk=100,
            latency_ms_median=1.0,
            latency_ms_p99=2.0,
            train_seconds=3.0,
            train_samples_per_second=4.0,
        ),
        curve=(),
        episodes=tuple(
            EpisodeError(episode=index, error=error, per_step=(error, None if index else error))
            for index, error in enumerate(errors)
        ),
        machine=Machine(
            platform="p", processor="c", num_cores=2, python="3", packages={}, git_commit=None
        ),
        train_fraction=fraction,
    )


def test_seeds_are_averaged_and_pairs_are_paired_by_episode():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.2, 1.0, size=40)
    runs = [
        run_of("film", 0, hard),
        run_of("film", 1, hard + 0.02),
        run_of("late", 0, hard + 0.05 + 0.001 * rng.normal(size=40)),
        run_of("film, images masked", 0, hard + 0.3, control="images_masked"),
        run_of("late, 10%", 0, hard + 0.4, fraction=0.1),
    ]
    baselines = {MEAN_ACTION: run_of("x", 0, hard + 0.5).episodes}
    arms, pairs = summarise_open_loop(runs, baselines)
    assert [arm.arm for arm in arms] == [
        "film",
        "late",
        "film, images masked",
        "late, 10%",
        MEAN_ACTION,
    ]
    assert arms[0].error.value == pytest.approx(hard.mean() + 0.01)
    assert arms[0].seed_errors == pytest.approx((hard.mean(), hard.mean() + 0.02))
    found = {(pair.first, pair.second): pair for pair in pairs}
    assert set(found) == {
        ("film", "late"),
        ("film", "film, images masked"),
        ("film", MEAN_ACTION),
        ("late", MEAN_ACTION),
        ("late, 10%", MEAN_ACTION),
    }
    close = found["film", "late"]
    # The episodes vary far more than the arms: only the paired interval tells them apart.
    assert close.difference.value == pytest.approx(0.04, abs=1e-3)
    assert close.differs
    assert arms[0].error.high > arms[1].error.low
    assert close.difference.high - close.difference.low < 0.01


def test_the_interval_is_that_of_drawing_episodes_again():
    values = np.random.default_rng(3).exponential(size=30)
    found = estimate(values)
    rng = np.random.default_rng(99)
    means = [np.mean(rng.choice(values, 30)) for _ in range(20_000)]
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.02)
    with_gap = np.append(values, math.nan)
    assert estimate(with_gap) == found


def test_a_step_that_only_some_episodes_reach_is_estimated_from_those():
    arms, _ = summarise_open_loop([run_of("film", 0, [0.5, 0.1, 0.3])], {})
    assert [step.value for step in arms[0].per_step] == pytest.approx([0.3, 0.5])
