"""Policies whose heads predict other numbers than the robot takes: outside, its own units."""

import json
from dataclasses import replace

import pytest
import torch

from plait.action_spec import ActionGroup, ActionSpec
from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.data.normalize import Normalizer
from plait.errors import OptionError
from plait.policy import Policy, build_policy
from plait.testing import fake_batch, fake_observation
from plait.testing.fake import FAKE_DATA
from plait.training.run import refuse_lost_actions
from plait.types import LANGUAGE, PROPRIO

# Seven states and seven actions without names: number i of one is number i of the other.
DATA = replace(FAKE_DATA, action_dim=7)
POSE = (
    ActionGroup(dims=(0, 1, 2), kind="eef_position"),
    ActionGroup(dims=(3, 4, 5), kind="axis_angle"),
    ActionGroup(dims=(6,), kind="gripper_binary"),
)
SPECS = {
    "relative": ActionSpec(mode="relative"),
    "delta": ActionSpec(mode="delta"),
    "relative pose": ActionSpec(mode="relative", normalization="quantile", groups=POSE),
    "absolute pose": ActionSpec(groups=POSE),
}


def build(spec, head="regression"):
    config = PolicyConfig(
        fusion=Component(name="concat"),
        head=Component(name=head),
        width=24,
        action_horizon=5,
        actions=spec,
    )
    made = build_policy(config, DATA, None, seed=0)
    size = made.action_transform.represented_dim
    made.normalizer = Normalizer(proprio_dim=7, action_dim=size)
    for buffer in made.normalizer.buffers():
        buffer.add_(0.25)
    return made.eval()


@pytest.fixture(params=SPECS)
def policy(request):
    return build(SPECS[request.param])


def recorded_batch():
    """Recorded actions within reach, with a gripper that is at one of its two levels."""
    batch = fake_batch(DATA)
    chunk = batch.action_chunk
    actions = 0.4 * torch.nan_to_num(chunk.actions).clamp(-1, 1)
    # What the normaliser above maps -1 and 1 to.
    actions[..., 6] = torch.where(actions[..., 6] > 0, 1.5, -1.0)
    return replace(batch, action_chunk=replace(chunk, actions=actions))


def test_a_head_that_is_right_gives_the_recorded_actions(policy, monkeypatch):
    batch = recorded_batch()
    target = policy.target(batch)
    assert target.actions.shape[-1] == policy.action_transform.represented_dim
    monkeypatch.setattr(policy.head, "predict", lambda _fused: target.actions)
    actual, mask = policy.predict(batch.observation).actions, batch.action_chunk.mask
    expected = batch.action_chunk.actions
    torch.testing.assert_close(actual[mask], expected[mask], atol=1e-5, rtol=1e-5)


def test_saved_policies_predict_the_same_bits(policy, tmp_path):
    policy.save(tmp_path / "policy")
    loaded = Policy.load(tmp_path / "policy")
    assert (loaded.config, loaded.data) == (policy.config, policy.data)
    observation = fake_observation(DATA)
    assert torch.equal(loaded.predict(observation).actions, policy.predict(observation).actions)


@pytest.mark.parametrize("hidden", [1e3, float("nan"), float("inf")])
def test_a_state_that_is_missing_does_not_reach_the_action(policy, hidden):
    observation = fake_observation(DATA)
    other = replace(observation, proprio=torch.full_like(observation.proprio, hidden))
    assert torch.equal(
        policy.predict(observation.without(PROPRIO)).actions,
        policy.predict(other.without(PROPRIO)).actions,
    )


def test_a_state_that_is_there_is_what_actions_are_told_from(policy, monkeypatch):
    observation = fake_observation(DATA)
    still = torch.zeros(3, 5, policy.action_transform.represented_dim)
    monkeypatch.setattr(policy.head, "predict", lambda _fused: still)
    moved = replace(observation, proprio=observation.proprio + 0.1)
    moves = (policy.predict(moved).actions - policy.predict(observation).actions).abs()
    needs_state = policy.action_transform.needs_state
    assert bool((moves[..., :3] > 0.05).all()) == needs_state
    assert bool((moves[..., :6] == 0).all()) == (not needs_state)
    # Where some samples lack their state, those alone start from the mean of the training.
    mask = torch.tensor([True, False, True])
    part = replace(moved, modality_mask={**moved.modality_mask, PROPRIO: mask})
    actual = policy.predict(part).actions
    assert torch.equal(actual[mask], policy.predict(moved).actions[mask])
    mean = policy.normalizer.proprio_mean.expand_as(moved.proprio)
    at_mean = policy.predict(replace(moved, proprio=mean)).actions
    assert torch.equal(actual[~mask], at_mean[~mask])


def test_without_a_state_there_is_nothing_to_learn_about_what_is_told_from_it(policy):
    batch = recorded_batch()
    mask = torch.tensor([True, False, True])
    nan = batch.observation.proprio.clone()
    nan[1] = float("nan")
    observation = replace(
        batch.observation,
        proprio=nan,
        modality_mask={**batch.observation.modality_mask, PROPRIO: mask},
    )
    hidden = replace(batch, observation=observation)
    expected = batch.action_chunk.mask
    if policy.action_transform.needs_state:
        expected = expected & mask[:, None]
    target = policy.target(hidden)
    assert torch.equal(target.mask, expected)
    assert torch.isfinite(target.actions[batch.action_chunk.mask]).all()
    policy(hidden).total.backward()
    gradients = [p.grad for p in policy.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_policy_from_before_there_were_action_specs_is_absolute(tmp_path):
    made = build(ActionSpec())
    made.save(tmp_path / "policy")
    path = tmp_path / "policy" / "policy.json"
    header = json.loads(path.read_text())
    del header["config"]["actions"]
    for name in ("action_names", "proprio_names", "fingerprint"):
        del header["data"][name]
    path.write_text(json.dumps(header))
    observation = fake_observation(DATA)
    expected = made.normalizer.unnormalize_actions(made.head.predict(made.fuse(observation)))
    assert torch.equal(Policy.load(tmp_path / "policy").predict(observation).actions, expected)


@pytest.mark.parametrize("head", ["regression", "discrete", "mixture_density"])
def test_bounded_heads_refuse_what_they_cannot_reach(head):
    zscore = ActionSpec(normalization="zscore")
    with pytest.raises(OptionError, match=f"the {head} head predicts nothing beyond"):
        build(zscore, head)
    assert build(zscore, "flow").predict(fake_observation(DATA)).actions.shape == (3, 5, 7)


def test_relative_actions_are_not_learned_with_the_state_hidden():
    run = RunConfig(
        data=DataConfig(path="data"),
        policy=PolicyConfig(fusion=Component(name="film")),
        training=TrainingConfig(),
        masked=(PROPRIO,),
    )
    relative = build(SPECS["relative"]).action_transform
    with pytest.raises(OptionError, match="cannot be learned with the proprioception hidden"):
        refuse_lost_actions(run, relative)
    refuse_lost_actions(run, build(ActionSpec()).action_transform)
    refuse_lost_actions(replace(run, masked=(LANGUAGE,)), relative)
