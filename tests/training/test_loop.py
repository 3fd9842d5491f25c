"""The loop: it learns, refuses nonsense, and ends with the averaged weights."""

import json
from dataclasses import replace

import pytest
import torch
from training_fakes import CONFIG, VALIDATION, batch_at, make_policy

import plait.fusion
from plait import discovery
from plait.errors import OptionError, PlaitError
from plait.testing import fake_batch
from plait.training.ema import ExponentialMovingAverage
from plait.training.loop import METRICS_FILE, Trainer, fit
from plait.training.optim import build_optimizer
from plait.training.schedule import learning_rate


def test_fit_equals_a_slow_obvious_loop(tmp_path):
    config = replace(CONFIG, weight_decay=0.1, gradient_clip=0.01)
    policy = make_policy()
    position = fit(policy, batch_at, config, folder=tmp_path, validation=VALIDATION)

    slow = make_policy()
    optimizer, average = build_optimizer(slow, config), ExponentialMovingAverage(slow, 0.99)
    losses = []
    for step in range(6):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, peak=3e-3, warmup_steps=2, num_steps=6)
        slow.train()
        loss = slow(batch_at(step)).total
        losses.append(loss.item())
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in slow.parameters()]).norm()
        assert norm > 0.01  # clipping is at work
        for parameter in slow.parameters():
            parameter.grad.mul_(0.01 / (norm + 1e-6))
        optimizer.step()
        optimizer.zero_grad()
        average.update(step)
    average.copy_to_module()
    for name, expected in slow.state_dict().items():
        torch.testing.assert_close(policy.state_dict()[name], expected, atol=1e-6, rtol=1e-4)
    assert [p.train_loss for p in position.curve] == pytest.approx(losses[1::2], rel=1e-5)
    # The curve's last validation is of the averaged weights, which fit leaves in the policy.
    with torch.no_grad():
        expected = sum(policy(batch).total.item() for batch in VALIDATION) / 2
    assert position.curve[-1].validation_loss == pytest.approx(expected, rel=1e-5)
    assert policy.training is False


def test_progress_and_metrics_tell_the_same(tmp_path):
    seen = []
    fit(
        make_policy(),
        batch_at,
        CONFIG,
        folder=tmp_path,
        validation=VALIDATION,
        on_progress=seen.append,
    )
    lines = [json.loads(line) for line in (tmp_path / METRICS_FILE).read_text().splitlines()]
    assert [p.step for p in seen] == [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [p.loss for p in seen] == [line["loss"] for line in lines]
    assert [p.validation_loss is None for p in seen] == [True, False] * 3
    assert [line.get("validation_loss") for line in lines] == [p.validation_loss for p in seen]
    assert {p.num_steps for p in seen} == {6}


def test_without_validation_the_curve_says_so(tmp_path):
    position = fit(make_policy(), batch_at, CONFIG, folder=tmp_path)
    assert [(p.step, p.validation_loss) for p in position.curve] == [
        (2, None),
        (4, None),
        (6, None),
    ]
    seconds = [p.seconds for p in position.curve]
    assert seconds == sorted(seconds)
    assert seconds[-1] == position.seconds > 0


def test_validation_leaves_weights_and_average_as_they_are():
    policy = make_policy()
    trainer = Trainer(policy, CONFIG)
    trainer.step(0, batch_at(0))
    weights = {name: p.detach().clone() for name, p in policy.named_parameters()}
    average = {name: p.clone() for name, p in trainer.ema.state().items()}
    trainer.validate(VALIDATION)
    assert all(torch.equal(p, weights[name]) for name, p in policy.named_parameters())
    assert all(torch.equal(p, average[name]) for name, p in trainer.ema.state().items())
    assert any(not torch.equal(weights[name], average[name]) for name in weights)


def test_validation_is_without_dropout_and_training_with_it():
    policy = make_policy()
    trainer, modes = Trainer(policy, CONFIG), []
    policy.fusion.register_forward_hook(lambda module, *_: modes.append(module.training))
    trainer.step(0, batch_at(0))
    trainer.validate(VALIDATION[:1])
    trainer.step(1, batch_at(1))
    assert modes == [True, False, True]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path, value):
    def broken(index):
        batch = batch_at(index)
        if index == 2:
            batch.action_chunk.actions[0, 0, 0] = value
        return batch

    match = r"the loss is (nan|inf) at step 2; lower the learning rate \(now 0.003\) or look"
    with pytest.raises(PlaitError, match=match):
        fit(make_policy(), broken, CONFIG, folder=tmp_path)


def test_padding_with_nan_trains_the_same(tmp_path):
    def spoiled(index):
        batch = batch_at(index)
        batch.action_chunk.actions[~batch.action_chunk.mask] = float("nan")
        return batch

    first, second = make_policy(), make_policy()
    fit(first, batch_at, CONFIG, folder=tmp_path / "a")
    fit(second, spoiled, CONFIG, folder=tmp_path / "b")
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_seed_of_the_data_does_not_touch_the_callers_order(tmp_path):
    batches = []

    def noted(index):
        batches.append(index)
        return batch_at(index)

    fit(make_policy(), noted, CONFIG, folder=tmp_path)
    assert batches == [0, 1, 2, 3, 4, 5]


@pytest.fixture
def has_bfloat16(monkeypatch):
    """A processor with instructions for bfloat16, or one that is taken for such."""
    monkeypatch.setattr("plait.training.precision._has_bfloat16_instructions", lambda: True)


def test_without_instructions_for_bfloat16_it_is_float32(tmp_path, monkeypatch):
    monkeypatch.setattr("plait.training.precision._has_bfloat16_instructions", lambda: False)
    losses = {}
    for precision in ("fp32", "bf16"):
        config = replace(CONFIG, precision=precision)
        position = fit(make_policy(), batch_at, config, folder=tmp_path / precision)
        losses[precision] = [p.train_loss for p in position.curve]
    assert losses["bf16"] == losses["fp32"]


@pytest.mark.usefixtures("has_bfloat16")
def test_bfloat16_trains_close_to_float32(tmp_path):
    losses = {}
    for precision in ("fp32", "bf16"):
        config = replace(CONFIG, precision=precision)
        position = fit(make_policy(), batch_at, config, folder=tmp_path / precision)
        losses[precision] = [p.train_loss for p in position.curve]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]


@pytest.mark.usefixtures("has_bfloat16")
def test_the_loss_keeps_its_precision_in_bfloat16():
    trainer = Trainer(make_policy(), replace(CONFIG, precision="bf16"))
    with trainer.autocast():
        assert trainer.policy(batch_at(0)).total.dtype == torch.float32


@pytest.mark.usefixtures("has_bfloat16")
def test_the_policy_is_its_own_again_after_a_bfloat16_training(tmp_path):
    policy = make_policy()
    fit(policy, batch_at, replace(CONFIG, precision="bf16"), folder=tmp_path)
    copy = make_policy()
    copy.load_state_dict(policy.state_dict())
    with torch.no_grad():
        assert torch.equal(policy(batch_at(0)).total, copy.eval()(batch_at(0)).total)


def test_another_precision_is_refused(tmp_path):
    with pytest.raises(OptionError, match="precision must be 'fp32' or 'bf16', but is 'fp16'"):
        fit(make_policy(), batch_at, replace(CONFIG, precision="fp16"), folder=tmp_path)


@pytest.mark.parametrize("fusion", discovery.available(plait.fusion))
def test_every_fusion_can_learn_eight_samples_by_heart(tmp_path, fusion):
    batch = fake_batch(batch_size=8, seed=3)
    config = replace(
        CONFIG,
        num_steps=80,
        learning_rate=1e-2,
        warmup_steps=5,
        ema_decay=0.0,
        validation_interval=80,
        checkpoint_interval=1000,
    )
    policy, losses = make_policy(fusion), []
    fit(
        policy,
        lambda _index: batch,
        config,
        folder=tmp_path,
        on_progress=lambda progress: losses.append(progress.loss),
    )
    assert losses[-1] < 0.15 * losses[0]
    error = (policy.predict(batch.observation).actions - batch.action_chunk.actions).abs()
    assert error[batch.action_chunk.mask].mean() < 0.1
