"""The best weights are kept, the training ends when nothing gets better, and a resume agrees."""

from dataclasses import replace

import pytest
import torch
from training_fakes import CONFIG, batch_at, make_policy

from plait.errors import CheckpointError, OptionError
from plait.training.early_stopping import BEST_FILE, Watch, best_step
from plait.training.loop import METRICS_FILE, fit

LONG = replace(CONFIG, num_steps=12, validation_interval=1, checkpoint_interval=2)


class Scores:
    """Hands out planted scores, and notes the weights that each was given for."""

    def __init__(self, policy, scores, start=0):
        self.policy, self.scores, self.calls = policy, scores, start
        self.weights = []

    def __call__(self):
        self.weights.append({k: v.clone() for k, v in self.policy.state_dict().items()})
        self.calls += 1
        return self.scores[self.calls - 1]


def test_the_best_weights_are_kept_and_patience_ends_the_training(tmp_path):
    policy = make_policy()
    scores = Scores(policy, [0.1, 0.5, 0.3, 0.5, 0.4, 0.9])
    position = fit(policy, batch_at, LONG, folder=tmp_path, watch=Watch(scores, patience=3))
    # 0.5 at step 2 is not beaten in steps 3 to 5: the sixth score is never asked for.
    assert position.step == 5
    assert [point.score for point in position.curve] == [0.1, 0.5, 0.3, 0.5, 0.4]
    assert best_step(position.curve) == 2
    for name, value in policy.state_dict().items():
        assert torch.equal(value, scores.weights[1][name])
    assert '"score": 0.5' in (tmp_path / METRICS_FILE).read_text()


def test_without_patience_it_runs_to_the_end(tmp_path):
    policy = make_policy()
    scores = Scores(policy, [1.0] + [0.0] * 11)
    position = fit(policy, batch_at, LONG, folder=tmp_path, watch=Watch(scores))
    assert position.step == 12
    for name, value in policy.state_dict().items():
        assert torch.equal(value, scores.weights[0][name])


def test_a_resumed_training_decides_the_same(tmp_path):
    planted = [0.1, 0.5, 0.3, 0.45, 0.2, 0.1, 0.9]
    whole = make_policy()
    watch = Watch(Scores(whole, planted), patience=4)
    expected = fit(whole, batch_at, LONG, folder=tmp_path / "whole", watch=watch)

    def crash(progress):
        if progress.step == 5:
            raise RuntimeError("plug pulled")

    first = make_policy()
    with pytest.raises(RuntimeError):
        fit(
            first,
            batch_at,
            LONG,
            folder=tmp_path / "broken",
            watch=Watch(Scores(first, planted), patience=4),
            on_progress=crash,
        )
    second = make_policy(seed=9)
    watch = Watch(Scores(second, planted, start=4), patience=4)
    resumed = fit(second, batch_at, LONG, folder=tmp_path / "broken", watch=watch)
    assert resumed.step == expected.step == 6
    for name, value in second.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name])


def test_a_finished_training_is_not_gone_on_with(tmp_path):
    policy = make_policy()
    fit(policy, batch_at, LONG, folder=tmp_path, watch=Watch(Scores(policy, [1.0, 0.0, 0.0]), 2))
    again = make_policy(seed=9)
    unused = Scores(again, [])
    position = fit(again, batch_at, LONG, folder=tmp_path, watch=Watch(unused, 2))
    assert (position.step, unused.calls) == (3, 0)
    for name, value in again.state_dict().items():
        assert torch.equal(value, policy.state_dict()[name])


def test_lost_best_weights_are_named(tmp_path):
    policy = make_policy()
    fit(policy, batch_at, LONG, folder=tmp_path, watch=Watch(Scores(policy, [1.0, 0.0, 0.0]), 2))
    (tmp_path / BEST_FILE).unlink()
    with pytest.raises(CheckpointError, match=rf"{BEST_FILE}.*delete the folder"):
        fit(policy, batch_at, LONG, folder=tmp_path, watch=Watch(Scores(policy, []), 2))


def test_a_negative_patience_is_refused():
    with pytest.raises(OptionError, match="patience"):
        Watch(lambda: 0.0, patience=-1)
