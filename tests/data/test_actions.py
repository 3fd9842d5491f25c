"""The action transform: exact inverses, rotations composed, and specs that do not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from plait.action_spec import ActionGroup, ActionSpec
from plait.config import DataSpec
from plait.data.actions import ActionTransform
from plait.data.normalize import Normalizer, NormStats
from plait.data.stream_stats import StreamStats
from plait.errors import OptionError, UnknownNameError

ARM = ("x", "y", "z", "roll", "pitch", "yaw", "left_gripper.pos")
DATA = DataSpec(
    cameras=("base",),
    image_size=8,
    proprio_dim=8,
    action_dim=7,
    action_names=ARM,
    proprio_names=("time", *reversed(ARM)),
)
POSE = (
    ActionGroup(names=("x", "y", "z"), kind="eef_position"),
    ActionGroup(names=("roll", "pitch", "yaw"), kind="rpy"),
    ActionGroup(names=("left_gripper.pos",), kind="gripper_binary"),
)


def random_chunks(batch=5, horizon=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    actions = torch.rand(batch, horizon, 7, generator=generator) * 2 - 1
    state = torch.rand(batch, 8, generator=generator) * 2 - 1
    # State `i` of the arm lies at 7 - i.
    return actions, state, state[:, [7 - i for i in range(7)]]


def transform(mode, *groups, **options):
    return ActionTransform.of(ActionSpec(mode=mode, groups=groups, **options), DATA)


def test_absolute_actions_are_left_as_they_are():
    actions, state, _ = random_chunks()
    made = ActionTransform.of(ActionSpec(), DATA)
    for out in (made.represent(actions, state), made.bound(actions), made.restore(actions, state)):
        assert out is actions
    assert (made.represented_dim, made.needs_state) == (7, False)
    assert set(made.normalizations) == {"minmax"}


def test_numbers_are_told_from_the_state_of_the_same_name():
    actions, state, own = random_chunks()
    joints = replace(DATA, action_names=(*ARM[:6], "wrist"), proprio_names=("t", "wrist", *ARM[:6]))
    order = [2, 3, 4, 5, 6, 7, 1]
    spec = ActionSpec(mode="relative")
    relative = ActionTransform.of(spec, joints).represent(actions, state)
    assert torch.equal(relative, actions - state[:, None, order])
    # A gripper stays absolute, and comes last.
    with_gripper = transform("relative").represent(actions, state)
    assert torch.equal(with_gripper[..., :6], (actions - own[:, None])[..., :6])
    assert torch.equal(with_gripper[..., 6], actions[..., 6])
    delta = transform("delta").represent(actions, state)
    before = torch.cat([own[:, None], actions[:, :-1]], dim=1)
    assert torch.equal(delta[..., :6], (actions - before)[..., :6])


def test_rotations_are_composed_not_subtracted():
    actions, state, own = random_chunks()
    angles, start = actions[..., 3:6].double().numpy(), own[:, 3:6].double().numpy()
    reached = [Rotation.from_euler("xyz", angles[:, step]) for step in range(4)]
    first = Rotation.from_euler("xyz", start)
    for mode in ("relative", "delta"):
        made = transform(mode, *POSE)
        out = made.represent(actions, state)
        assert out.shape == (5, 4, made.represented_dim) == (5, 4, 3 + 6 + 1)
        for step in range(4):
            before = reached[step - 1] if mode == "delta" and step else first
            expected = (before.inv() * reached[step]).as_matrix()[:, :, :2]
            expected = expected.transpose(0, 2, 1).reshape(-1, 6)
            np.testing.assert_allclose(out[:, step, 3:9].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["absolute", "relative", "delta"])
@pytest.mark.parametrize("groups", [(), POSE], ids=["numbers", "pose"])
def test_restore_undoes_represent(mode, groups):
    actions, state, _ = random_chunks()
    made = transform(mode, *groups)
    restored = made.restore(made.represent(actions, state), state)
    torch.testing.assert_close(restored, actions, atol=2e-6, rtol=0)
    assert made.needs_state == (mode != "absolute")


def test_six_numbers_and_axis_and_angle_return_too():
    matrix = Rotation.random(20, random_state=1).as_matrix().reshape(5, 4, 3, 3)
    data = DataSpec(cameras=("base",), image_size=8, proprio_dim=9, action_dim=9)
    columns = torch.from_numpy(matrix[..., :2].swapaxes(-1, -2).reshape(5, 4, 6)).float()
    vectors = torch.rand(5, 4, 3) * 2 - 1
    actions = torch.cat([columns, vectors], dim=-1)
    state = actions[:, 1]
    groups = (
        ActionGroup(dims=(0, 1, 2, 3, 4, 5), kind="rotation6d"),
        ActionGroup(dims=(6, 7, 8), kind="axis_angle"),
    )
    for mode in ("absolute", "relative", "delta"):
        made = ActionTransform.of(ActionSpec(mode=mode, groups=groups), data)
        again = made.restore(made.represent(actions, state), state)
        torch.testing.assert_close(again, actions, atol=2e-6, rtol=0)
        assert set(made.normalizations) == {"none"}


def test_what_lies_past_the_end_of_an_episode_does_not_reach_what_lies_before():
    actions, state, _ = random_chunks()
    made = transform("delta", *POSE)
    expected = made.represent(actions, state)[:, :2]
    actions[:, 2:] = float("nan")
    assert torch.equal(made.represent(actions, state)[:, :2], expected)


def normalizer_of(made, actions, state):
    represented = made.represent(actions, state).flatten(0, 1).numpy()
    proprio = StreamStats.of(state.numpy())
    stats = NormStats(proprio, StreamStats.of(represented))
    return Normalizer.from_stats(stats, actions=made.normalizations)


def there_and_back(made, normalizer, actions, state):
    target = made.bound(normalizer.normalize_actions(made.represent(actions, state)))
    return target, made.restore(normalizer.unnormalize_actions(made.bound(target)), state)


def test_a_binary_gripper_has_two_levels_and_nothing_between():
    actions, state, _ = random_chunks()
    actions[..., 6] = torch.where(actions[..., 6] > 0, 0.08, 0.0)
    actions[0, 0, 6] = 0.03
    made = transform("relative", *POSE)
    normalizer = normalizer_of(made, actions, state)
    target, restored = there_and_back(made, normalizer, actions, state)
    assert set(target[..., -1].unique().tolist()) == {-1.0, 1.0}
    closed = torch.where(actions[..., 6] < 0.04, 0.0, 0.08)
    torch.testing.assert_close(restored[..., 6], closed, atol=1e-7, rtol=0)
    # Whatever the head predicts is one of the two.
    predicted = made.bound(torch.linspace(-3, 3, 200).reshape(5, 4, 10))
    levels = made.restore(normalizer.unnormalize_actions(predicted), state)[..., 6]
    assert len(levels.unique()) == 2


@settings(max_examples=30, deadline=None)
@given(
    mode=st.sampled_from(["absolute", "relative", "delta"]),
    normalization=st.sampled_from(["quantile", "minmax", "zscore", "none"]),
    clip=st.booleans(),
    scale=st.floats(1e-2, 1e3),
    seed=st.integers(0, 1000),
)
def test_what_is_not_clipped_returns(mode, normalization, clip, scale, seed):
    actions, state, _ = random_chunks(batch=40, seed=seed)
    actions, state = actions * scale, state * scale
    clip = clip and normalization in ("quantile", "minmax")
    made = transform(mode, normalization=normalization, clip=clip)
    normalizer = normalizer_of(made, actions, state)
    target, restored = there_and_back(made, normalizer, actions, state)
    unbounded = normalizer.normalize_actions(made.represent(actions, state))
    if clip:
        assert target.abs().max() <= 1
        # Of a delta, what is clipped moves all that follows.
        is_kept = (unbounded.abs() <= 1).cumprod(dim=1).bool()
        assert is_kept[:, 0].float().mean() > 0.9
    else:
        assert torch.equal(target, unbounded)
        is_kept = torch.ones_like(unbounded, dtype=torch.bool)
    torch.testing.assert_close(restored[is_kept], actions[is_kept], atol=1e-5 * scale, rtol=1e-5)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        (ActionSpec(clip=True, normalization="zscore"), "clip needs a normalization of 'minmax'"),
        (ActionSpec(groups=(ActionGroup(),)), "group 1 .* must have either dims or names"),
        (
            ActionSpec(groups=(ActionGroup(dims=(0,), names=("x",)),)),
            "must have either dims or names",
        ),
        (ActionSpec(groups=(ActionGroup(dims=(7,)),)), "action dimension 7; there are 0 to 6"),
        (
            ActionSpec(groups=(ActionGroup(dims=(0,)), ActionGroup(names=("x",)))),
            "two groups .* name action dimension 'x'",
        ),
        (
            ActionSpec(groups=(ActionGroup(dims=(0, 1), kind="rpy"),)),
            "group 1 .*: a rotation of kind 'rpy' has 3 numbers, but 2",
        ),
        (
            ActionSpec(groups=(ActionGroup(dims=(6,), kind="gripper_binary", mode="delta"),)),
            "open or closed is absolute",
        ),
        (
            ActionSpec(groups=(ActionGroup(dims=(0,), normalization="none", clip=True),)),
            "group 1 .*: clip needs",
        ),
        (
            ActionSpec(groups=(ActionGroup(dims=(0,), mode="delta", state_dims=(8,)),)),
            "state dimension 8; there are 0 to 7",
        ),
        (
            ActionSpec(groups=(ActionGroup(dims=(0,), mode="delta", state_dims=(1, 2)),)),
            "1 dimensions, but 2 states",
        ),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(spec, match):
    with pytest.raises(OptionError, match=match):
        ActionTransform.of(spec, DATA)


def test_names_that_do_not_exist_are_refused():
    wrong = ActionSpec(groups=(ActionGroup(names=("rol",)),))
    with pytest.raises(UnknownNameError, match="'rol'; did you mean 'roll'"):
        ActionTransform.of(wrong, DATA)
    with pytest.raises(UnknownNameError, match="do not name them; give their numbers"):
        ActionTransform.of(wrong, replace(DATA, action_names=()))


def test_states_are_found_by_name_then_by_place_or_not_at_all():
    relative = ActionSpec(mode="relative")
    lacking = replace(DATA, proprio_names=(*ARM[:5], "q5", "q6", "q7"))
    with pytest.raises(OptionError, match="need the state of action dimension 'yaw', but the data"):
        ActionTransform.of(relative, lacking)
    nameless = replace(DATA, action_names=(), proprio_names=())
    with pytest.raises(OptionError, match="no names, and 7 actions but 8 states"):
        ActionTransform.of(relative, nameless)
    found = ActionTransform.of(relative, replace(nameless, proprio_dim=7))
    assert found.groups[0].state_dims == tuple(range(7))
    given = ActionGroup(names=("yaw",), state_names=("q5",))
    found = ActionTransform.of(replace(relative, groups=(given,)), lacking)
    assert found.groups[-1].state_dims == (5,)
