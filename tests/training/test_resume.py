"""A run that was interrupted and resumed ends with the same bits as one that was not."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from training_fakes import CONFIG, VALIDATION, batch_at, make_policy

from plait import model_folder
from plait.errors import CheckpointError, OutputError
from plait.training.interrupt import GracefulStop
from plait.training.loop import CHECKPOINT_FILE, METRICS_FILE, TrainingInterruptedError, fit
from plait.training.metrics import MetricsLog


class PulledPlugError(Exception):
    """Stands for a crash, which saves nothing."""


def unbroken(folder, config=CONFIG):
    policy = make_policy()
    return policy, fit(policy, batch_at, config, folder=folder, validation=VALIDATION)


def fit_and_crash(folder, after, config=CONFIG):
    def crash(progress):
        if progress.step == after:
            raise PulledPlugError

    policy = make_policy()
    with pytest.raises(PulledPlugError):
        fit(policy, batch_at, config, folder=folder, validation=VALIDATION, on_progress=crash)


def assert_same_outcome(policy, position, expected_policy, expected):
    state, expected_state = policy.state_dict(), expected_policy.state_dict()
    assert set(state) == set(expected_state)
    assert all(torch.equal(state[key], expected_state[key]) for key in state)
    assert position.step == expected.step
    points = [(p.step, p.train_loss, p.validation_loss) for p in position.curve]
    assert points == [(p.step, p.train_loss, p.validation_loss) for p in expected.curve]


def test_resumed_run_is_bit_equal_to_the_unbroken_one(tmp_path):
    expected_policy, expected = unbroken(tmp_path / "a")
    # The crash after step 5 comes after the checkpoint of step 3: steps 4 and 5 are redone.
    fit_and_crash(tmp_path / "b", after=5)
    steps = []
    policy = make_policy(seed=9)  # other initial weights: all of them come from the checkpoint
    position = fit(
        policy,
        batch_at,
        CONFIG,
        folder=tmp_path / "b",
        validation=VALIDATION,
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps == [4, 5, 6]
    assert_same_outcome(policy, position, expected_policy, expected)
    assert [p.step for p in position.curve] == [2, 4, 6]


def test_metrics_of_a_resumed_run_have_every_step_once(tmp_path):
    unbroken(tmp_path / "a")
    fit_and_crash(tmp_path / "b", after=5)
    fit(make_policy(), batch_at, CONFIG, folder=tmp_path / "b", validation=VALIDATION)
    logs = [
        [json.loads(line) for line in (tmp_path / name / METRICS_FILE).read_text().splitlines()]
        for name in ("a", "b")
    ]
    whole, resumed = ([{**line, "seconds": 0} for line in log] for log in logs)
    assert resumed == whole
    assert [line["step"] for line in resumed] == [1, 2, 3, 4, 5, 6]


def test_dropout_does_not_depend_on_how_often_a_run_was_resumed(tmp_path):
    def with_dropout():
        policy = make_policy()
        policy.encoders["proprio"].trunk.contract = torch.nn.Sequential(
            policy.encoders["proprio"].trunk.contract, torch.nn.Dropout(0.5)
        )
        return policy

    outcomes = []
    for name, first_steps in (("a", None), ("b", 3)):
        if first_steps:

            def crash(progress, last=first_steps):
                if progress.step == last:
                    torch.rand(17)  # whatever else the process drew
                    raise PulledPlugError

            config = replace(CONFIG, checkpoint_interval=1)
            with pytest.raises(PulledPlugError):
                fit(with_dropout(), batch_at, config, folder=tmp_path / name, on_progress=crash)
        policy = with_dropout()
        fit(policy, batch_at, replace(CONFIG, checkpoint_interval=1), folder=tmp_path / name)
        outcomes.append(policy.state_dict())
    assert all(torch.equal(outcomes[0][key], outcomes[1][key]) for key in outcomes[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_the_next_call_goes_on(tmp_path, number):
    expected_policy, expected = unbroken(tmp_path / "a")
    folder = tmp_path / "b"
    before = signal.getsignal(number)

    def interrupt(progress):
        if progress.step == 4:
            os.kill(os.getpid(), number)

    match = "stopped at step 4 of 6; run the same command again to go on"
    with pytest.raises(TrainingInterruptedError, match=match):
        fit(
            make_policy(),
            batch_at,
            CONFIG,
            folder=folder,
            validation=VALIDATION,
            on_progress=interrupt,
        )
    assert signal.getsignal(number) is before
    policy, steps = make_policy(), []
    position = fit(
        policy,
        batch_at,
        CONFIG,
        folder=folder,
        validation=VALIDATION,
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps == [5, 6]
    assert_same_outcome(policy, position, expected_policy, expected)


def test_a_signal_at_the_last_step_is_no_interruption(tmp_path):
    def interrupt(progress):
        if progress.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    position = fit(make_policy(), batch_at, CONFIG, folder=tmp_path, on_progress=interrupt)
    assert position.step == 6


def test_a_second_signal_stops_at_once():
    with GracefulStop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_finished_run_is_not_trained_again(tmp_path):
    expected_policy, expected = unbroken(tmp_path)
    policy, steps = make_policy(seed=9), []
    position = fit(policy, batch_at, CONFIG, folder=tmp_path, on_progress=steps.append)
    assert steps == []
    assert_same_outcome(policy, position, expected_policy, expected)
    assert position.seconds == expected.seconds


def test_changed_settings_are_refused_with_both_values(tmp_path):
    unbroken(tmp_path)
    changed = replace(CONFIG, learning_rate=1e-3, num_steps=8)
    match = (
        r"made with other settings \(num_steps was 6, is 8, learning_rate was 0.003, is 0.001\); "
        "use another output folder, or delete"
    )
    with pytest.raises(CheckpointError, match=match):
        fit(make_policy(), batch_at, changed, folder=tmp_path)


@pytest.mark.parametrize(
    ("fusion", "options"),
    [("film", {"hidden_dim": 24}), ("concat", {}), ("film", {"num_blocks": 3})],
)
def test_a_checkpoint_of_another_policy_is_refused(tmp_path, fusion, options):
    unbroken(tmp_path)
    with pytest.raises(CheckpointError, match="made by a policy of other parts or sizes"):
        fit(make_policy(fusion, **options), batch_at, CONFIG, folder=tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    unbroken(tmp_path)
    path = tmp_path / CHECKPOINT_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"not a whole checkpoint .* delete it to train from"):
        fit(make_policy(), batch_at, CONFIG, folder=tmp_path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / CHECKPOINT_FILE, metadata={"format_version": "7"})
    with pytest.raises(CheckpointError, match="checkpoint of version 7, but this Plait reads 1"):
        fit(make_policy(), batch_at, CONFIG, folder=tmp_path)
    save_file({"x": torch.zeros(2)}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(CheckpointError, match="checkpoint of version None"):
        fit(make_policy(), batch_at, CONFIG, folder=tmp_path)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    fit_and_crash(tmp_path, after=4)
    path = tmp_path / CHECKPOINT_FILE
    before = path.read_bytes()

    def fail(_tensors, file, **_kwargs):
        file.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder, "save_file", fail)
    with pytest.raises(OutputError, match=r"cannot write the checkpoint .*No space left on device"):
        fit(make_policy(), batch_at, CONFIG, folder=tmp_path)
    assert path.read_bytes() == before
    assert {item.name for item in tmp_path.iterdir()} == {CHECKPOINT_FILE, METRICS_FILE}


def test_a_checkpoint_holds_moments_for_every_trained_parameter(tmp_path):
    policy, _ = unbroken(tmp_path)
    with safe_open(tmp_path / CHECKPOINT_FILE, framework="pt") as file:
        names = set(file.keys())
        assert float(file.get_tensor("step.fusion.position")) == 6
    parameters = {name for name, _ in policy.named_parameters()}
    for prefix in ("module", "ema", "exp_avg", "exp_avg_sq", "step"):
        assert {f"{prefix}.{name}" for name in parameters} <= names


def test_lines_past_the_checkpoint_and_a_torn_last_line_are_dropped(tmp_path):
    path = tmp_path / "deep" / "metrics.jsonl"
    path.parent.mkdir()
    path.write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3, "lo')
    with MetricsLog(path, resume_step=2) as log:
        log.write(3, {"loss": 1.5})
    assert path.read_text() == (
        '{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3, "loss": 1.5}\n'
    )
    with MetricsLog(path, resume_step=1):
        pass
    assert path.read_text() == '{"step": 1, "loss": 3}\n'
    path.write_text('{"step": 1}\n{"loss": 1}\nnoise\n{"step": 2}')
    with MetricsLog(path, resume_step=5):
        pass
    assert path.read_text() == '{"step": 1}\n'


def test_metrics_that_cannot_be_written_are_an_output_error(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match=r"cannot write .*metrics.jsonl: "):
        MetricsLog(tmp_path / "file" / "metrics.jsonl")
