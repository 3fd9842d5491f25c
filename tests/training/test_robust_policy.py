"""Learned tokens for what is missing, heads that see one modality, and gradient modulation."""

import math
from dataclasses import replace

import pytest
import torch
from training_fakes import CONFIG, VALIDATION, batch_at, make_policy

import plait.fusion
from plait import discovery
from plait.config import RobustConfig
from plait.errors import OptionError
from plait.policy import Policy, build_policy
from plait.testing import fake_batch, fake_observation
from plait.testing.fake import FAKE_DATA
from plait.training.auxiliary import WithAuxiliaryHeads, unimodal_losses, with_auxiliary_heads
from plait.training.balance import modulate, modulation
from plait.training.loop import MAX_SEED, Trainer, fit
from plait.training.robust import source
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION

FUSIONS = discovery.available(plait.fusion)


def with_tokens(fusion="film", seed=0):
    plain = make_policy(fusion, seed)
    config = replace(plain.config, missing_tokens=True)
    return build_policy(config, FAKE_DATA, plain.normalizer, seed)


def hidden_content(modality):
    other = fake_observation(seed=1)
    return {
        VISION: {"images": other.images},
        LANGUAGE: {"instruction": ("hocus pocus", "", "?")},
        PROPRIO: {"proprio": torch.full_like(other.proprio, torch.nan)},
    }[modality]


# --- Learned tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_what_is_hidden_does_not_move_one_bit(fusion, modality):
    made, hidden = with_tokens(fusion), fake_observation().without(modality)
    expected = made.predict(hidden).actions
    assert torch.isfinite(expected).all()
    actual = made.predict(replace(hidden, **hidden_content(modality))).actions
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_strategy_reads_the_token_where_its_modality_is_absent_and_only_there(
    fusion, modality
):
    made, batch = with_tokens(fusion), fake_batch()
    made(batch).total.backward()
    assert all(token.grad is None or not token.grad.any() for token in made.missing.parameters())
    mask = {**batch.observation.modality_mask, modality: torch.tensor([True, False, True])}
    some = replace(batch, observation=replace(batch.observation, modality_mask=mask))
    made(some).total.backward()
    for name, token in made.missing.tokens.items():
        assert bool(token.grad is not None and token.grad.any()) == (name == modality)


def test_a_token_stands_at_one_position_and_what_is_there_stays():
    made, observation = with_tokens(), fake_observation()
    mask = {**observation.modality_mask, VISION: torch.tensor([True, False, True])}
    tokens = made.encode(replace(observation, modality_mask=mask))
    filled = made.missing(tokens)
    assert filled[VISION].mask[1].tolist() == [True] + [False] * (filled[VISION].mask.shape[1] - 1)
    assert torch.equal(filled[VISION].values[1, 0], made.missing.tokens[VISION])
    for name, part in tokens.items():
        assert torch.equal(filled[name].values[[0, 2]], part.values[[0, 2]])
        assert torch.equal(filled[name].mask[[0, 2]], part.mask[[0, 2]])


def test_vision_whose_cameras_are_all_gone_is_missing():
    made, observation = with_tokens(), fake_observation()
    gone = dict.fromkeys(observation.images, torch.zeros(3, dtype=torch.bool))
    without_cameras = made.predict(replace(observation, camera_mask=gone)).actions
    assert torch.equal(without_cameras, made.predict(observation.without(VISION)).actions)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_all_else_starts_as_without_tokens_and_complete_samples_are_read_alike(fusion):
    plain, made = make_policy(fusion), with_tokens(fusion)
    expected, state = plain.state_dict(), made.state_dict()
    assert set(state) - set(expected) == {f"missing.tokens.{name}" for name in MODALITIES}
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    observation = fake_observation()
    assert torch.equal(made.predict(observation).actions, plain.predict(observation).actions)


def test_tokens_are_saved_with_the_policy(tmp_path):
    made, hidden = with_tokens(), fake_observation().without(LANGUAGE)
    made.save(tmp_path / "policy")
    loaded = Policy.load(tmp_path / "policy")
    assert loaded.config.missing_tokens
    assert torch.equal(loaded.predict(hidden).actions, made.predict(hidden).actions)


# --- Auxiliary heads ---------------------------------------------------------------------------

AUXILIARY = replace(CONFIG, robust=RobustConfig(auxiliary_weight=0.3))


def test_each_modality_gets_a_loss_of_its_own_in_training_alone():
    policy, batch = make_policy(), fake_batch()
    model = with_auxiliary_heads(policy, AUXILIARY).train()
    loss = model(batch)
    assert set(loss.parts) == {"action", *(f"auxiliary_{name}" for name in MODALITIES)}
    torch.testing.assert_close(loss.total, torch.stack(list(loss.parts.values())).sum())
    torch.testing.assert_close(loss.parts["action"], policy(batch).total)
    assert set(model.eval()(batch).parts) == {"action"}


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_head_reaches_its_own_encoder_alone(modality):
    policy = make_policy("concat")
    model = with_auxiliary_heads(policy, AUXILIARY).train()
    model(fake_batch()).parts[f"auxiliary_{modality}"].backward()
    for name, encoder in policy.encoders.items():
        has_gradient = any(p.grad is not None and p.grad.any() for p in encoder.parameters())
        assert has_gradient == (name == modality)
    assert all(p.grad is None for p in (*policy.fusion.parameters(), *policy.head.parameters()))


def test_samples_without_the_modality_do_not_count():
    policy = make_policy()
    model = with_auxiliary_heads(policy, AUXILIARY).train()
    batch = fake_batch()
    mask = {**batch.observation.modality_mask, VISION: torch.tensor([True, True, False])}
    partly = replace(batch, observation=replace(batch.observation, modality_mask=mask))
    expected = model(batch.select(slice(0, 2))).parts["auxiliary_vision"]
    torch.testing.assert_close(model(partly).parts["auxiliary_vision"], expected)
    hidden = replace(batch, observation=batch.observation.without(VISION))
    assert set(unimodal_losses(model(hidden))) == {LANGUAGE, PROPRIO}


def test_the_policy_is_trained_in_place_and_keeps_no_head(tmp_path):
    policy = make_policy()
    before = policy.num_parameters()
    names = set(policy.state_dict())
    fit(policy, batch_at, AUXILIARY, folder=tmp_path, validation=VALIDATION)
    assert (policy.num_parameters(), set(policy.state_dict())) == (before, names)
    plain = make_policy()
    fit(plain, batch_at, CONFIG, folder=tmp_path / "plain", validation=VALIDATION)
    state = plain.state_dict()
    assert any(not torch.equal(value, state[name]) for name, value in policy.state_dict().items())


def test_heads_are_for_policies():
    with pytest.raises(OptionError, match="auxiliary heads are for policies, but this is a Linear"):
        Trainer(torch.nn.Linear(2, 2), AUXILIARY)


# --- Gradient modulation -----------------------------------------------------------------------


def test_the_modality_that_does_better_alone_is_held_back():
    factors = modulation({VISION: 0.1, LANGUAGE: 0.4, PROPRIO: 0.2}, alpha=0.5)
    # Scores 10, 2.5 and 5: ratios 10 / 3.75, 2.5 / 7.5 and 5 / 6.25.
    assert factors[VISION] == pytest.approx(1 - math.tanh(0.5 * 10 / 3.75))
    assert (factors[LANGUAGE], factors[PROPRIO]) == (1.0, 1.0)
    assert modulation({VISION: 0.1}, alpha=0.5) == {VISION: 1.0}
    assert modulation({VISION: 0.2, LANGUAGE: 0.2}, alpha=0.5) == {VISION: 1.0, LANGUAGE: 1.0}
    assert modulation({}, alpha=0.5) == {}
    assert all(math.isfinite(k) for k in modulation({VISION: 0.0, PROPRIO: 0.0}, 1.0).values())


def test_noise_has_the_spread_of_the_gradient():
    encoders = torch.nn.ModuleDict(
        {VISION: torch.nn.Linear(200, 100), PROPRIO: torch.nn.Linear(2, 2)}
    )
    generator = torch.Generator().manual_seed(0)
    before = {}
    for name, encoder in encoders.items():
        for parameter in encoder.parameters():
            parameter.grad = 3 * torch.randn(parameter.shape, generator=generator) + 1
        before[name] = encoder.weight.grad.clone()
    modulate(encoders, {VISION: 0.25, PROPRIO: 1.0}, generator)
    assert torch.equal(encoders[PROPRIO].weight.grad, before[PROPRIO])
    noise = encoders[VISION].weight.grad - 0.25 * before[VISION]
    assert float(noise.std()) == pytest.approx(3.0, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.1)


def slow_step(config, index, batch):
    """Take one step of a fresh policy without the loop, gradient by gradient."""
    policy = make_policy("late")
    model = with_auxiliary_heads(policy, config).train()
    torch.manual_seed((config.seed * 1_000_003 + index) % MAX_SEED)
    loss = model(batch)
    loss.total.backward()
    alone = {name: loss.parts[f"auxiliary_{name}"].item() for name in MODALITIES}
    seed = int(source("gradient noise", config.seed, index).integers(MAX_SEED))
    generator = torch.Generator().manual_seed(seed)
    held_back = []
    for name in MODALITIES:
        others = [1 / alone[other] for other in MODALITIES if other != name]
        ratio = (1 / alone[name]) / (sum(others) / 2)
        if ratio > 1:
            held_back.append(name)
            for parameter in policy.encoders[name].parameters():
                flat = parameter.grad.double()
                spread = float(((flat - flat.mean()) ** 2).mean().sqrt())
                noise = torch.randn(parameter.shape, generator=generator)
                factor = 1 - math.tanh(config.robust.ogm_ge * ratio)
                parameter.grad = factor * parameter.grad + spread * noise
    return policy, held_back


def test_a_step_equals_the_slow_one(monkeypatch):
    robust = RobustConfig(auxiliary_weight=0.3, ogm_ge=0.5)
    # No clipping, and a look at the gradients before the optimiser takes them.
    config = replace(CONFIG, gradient_clip=1e9, robust=robust)
    expected, held_back = slow_step(config, 4, batch_at(4))
    assert held_back
    policy = make_policy("late")
    trainer = Trainer(policy, config)
    monkeypatch.setattr(trainer.optimizer, "zero_grad", lambda: None)
    trainer.step(4, batch_at(4))
    expected_gradients = dict(expected.named_parameters())
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(
            parameter.grad, expected_gradients[name].grad, atol=1e-7, rtol=1e-4, msg=name
        )


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_a_resumed_run_is_bit_equal(tmp_path, weight):
    robust = RobustConfig(
        modality_dropout={"every": 0.15}, auxiliary_weight=weight, ogm_ge=0.5 if weight else 0.0
    )
    config = replace(CONFIG, robust=robust)

    class PulledPlugError(Exception):
        pass

    def crash(progress):
        if progress.step == 5:
            raise PulledPlugError

    whole = make_policy()
    fit(whole, batch_at, config, folder=tmp_path / "a")
    with pytest.raises(PulledPlugError):
        fit(make_policy(), batch_at, config, folder=tmp_path / "b", on_progress=crash)
    resumed = make_policy(seed=9)
    fit(resumed, batch_at, config, folder=tmp_path / "b")
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_a_wrapped_policy_is_found_by_its_type():
    assert isinstance(Trainer(make_policy(), AUXILIARY).policy, WithAuxiliaryHeads)
    assert isinstance(Trainer(make_policy(), CONFIG).policy, Policy)
