"""Closed loop under corruption: paired scenes, masks that arrive, policies that cannot act."""

import numpy as np
import pytest
import torch
from stress_fakes import ReadingPolicy

from plait.envs import make_env
from plait.errors import OptionError, PlaitError, ShapeError, UnknownNameError
from plait.evaluation.stress.closed_loop import play
from plait.evaluation.stress.grid import CLEAN_CONDITION, closed_grid, corrupted, missing
from plait.evaluation.stress.ingredients import Ingredients, choose_corruptions, suite_instructions
from plait.evaluation.stress.policies import Checked, load_policy
from plait.evaluation.stress.scores import score
from plait.results.stress import Cell, Condition
from plait.types import ActionChunk

SEEDS = range(500, 503)


class Noting(ReadingPolicy):
    """Notes what it is shown."""

    def predict(self, observation):
        self.seen = [*getattr(self, "seen", []), observation]
        return super().predict(observation)


def ingredients():
    return Ingredients((0.1,) * 8, suite_instructions("tabletop/touch"), has_grammar=True)


def make():
    return make_env("tabletop/touch", image_size=16)


def run(policy, condition, seeds=SEEDS, num_parallel=2):
    return play(
        Checked(policy, "a policy", 7),
        make,
        condition,
        seeds,
        ingredients(),
        execution_horizon=1,
        num_parallel=num_parallel,
    )


def test_the_same_scenes_are_corrupted_alike_whatever_runs_beside_them():
    condition = corrupted(["gaussian_noise"], [5])[0]
    alone, together = Noting(), Noting()
    run(alone, condition, seeds=[501], num_parallel=1)
    run(together, condition, seeds=[501, 502], num_parallel=2)
    assert torch.equal(alone.seen[0].images["base"][0], together.seen[0].images["base"][0])
    clean = Noting()
    run(clean, CLEAN_CONDITION, seeds=[501], num_parallel=1)
    assert not torch.equal(alone.seen[0].images["base"], clean.seen[0].images["base"])


def test_a_dropped_camera_arrives_as_a_mask():
    policy = Noting()
    run(policy, corrupted(["dropped_camera"], [5])[0], seeds=[501])
    masks = torch.stack(
        [torch.stack(list(seen.camera_mask.values())).squeeze(1) for seen in policy.seen]
    )
    assert (masks.sum(dim=1) == 1).all()


@pytest.mark.parametrize("condition", missing(("base", "wrist")), ids=lambda each: each.key)
def test_what_is_missing_is_masked_and_blank(condition):
    policy = Noting()
    cell = run(policy, condition, seeds=[501])
    assert len(cell.values) == len(cell.outcomes) == 1
    seen = policy.seen[0]
    for modality, mask in seen.modality_mask.items():
        assert bool(mask.all()) == (modality not in condition.missing)
    hidden = ("base", "wrist") if "vision" in condition.missing else (condition.name,)
    for camera, image in seen.images.items():
        assert bool((image == 0).all()) == (camera in hidden)
    assert (seen.instruction == ("",)) == ("language" in condition.missing)


def test_the_record_holds_what_the_policy_was_told():
    policy = Noting()
    told = []
    play(
        Checked(policy, "a policy"),
        make,
        corrupted(["other_instruction"], [5])[0],
        [501],
        ingredients(),
        execution_horizon=1,
        on_episode=lambda result: told.append(result.instruction),
    )
    assert told == [policy.seen[0].instruction[0]]
    _, info = make().reset(seed=501)
    assert told[0] != info["instruction"]


def test_late_actions_leave_the_hand_where_it_is_until_they_arrive():
    early, late = Noting(), Noting()
    run(early, CLEAN_CONDITION, seeds=[501])
    cell = run(late, corrupted(["action_delay"], [3])[0], seeds=[501])
    assert cell.units == (501,)
    assert torch.equal(early.seen[0].proprio, late.seen[0].proprio)
    first_late = late.seen[1].proprio[0, -1, :3] - late.seen[0].proprio[0, -1, :3]
    first_early = early.seen[1].proprio[0, -1, :3] - early.seen[0].proprio[0, -1, :3]
    assert first_late.abs().max() < 1e-3 < first_early.abs().max()


class Shaped:
    cameras, observation_window, action_horizon, image_size = ("base",), 1, 2, 16

    def __init__(self, actions):
        self.actions = actions

    def predict(self, observation):
        del observation
        actions = self.actions
        if not isinstance(actions, torch.Tensor):
            return actions
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (torch.full((1, 2, 7), float("nan")), PlaitError, "predicted NaN or infinity"),
        (torch.zeros(1, 1, 7), ShapeError, "promises an action_horizon of 2"),
        (torch.zeros(1, 2, 6), ShapeError, r"\(1, 2, 6\), but \(1, 2, 7\) was expected"),
        (torch.zeros(3, 2, 7), ShapeError, r"\(3, 2, 7\)"),
        ("left", PlaitError, "predicted a str; predict.. must return"),
    ],
)
def test_a_policy_that_predicts_nonsense_is_named(answer, kind, message):
    with pytest.raises(kind, match=message) as caught:
        run(Shaped(answer), CLEAN_CONDITION, seeds=[501])
    assert "a policy" in str(caught.value)


def test_a_camera_the_environment_lacks_is_named():
    policy = Shaped(torch.zeros(1, 2, 7))
    policy.cameras = ("overhead",)
    with pytest.raises(UnknownNameError, match="camera of the environment 'overhead'"):
        run(policy, CLEAN_CONDITION, seeds=[501])


@pytest.mark.parametrize(
    ("name", "loop", "message"),
    [
        ("action_delay", "open", "recorded demonstrations cannot show"),
        ("proprio_bias", "closed", "which --data tells"),
        ("paraphrase", "open", "only the tabletop's grammar has"),
        ("typos", "open", "a single instruction"),
    ],
)
def test_a_corruption_that_does_not_fit_is_refused_by_name_and_left_out_by_default(
    name, loop, message
):
    bare = Ingredients(instructions=("go",))
    with pytest.raises(OptionError, match=f"the corruption does not fit: {name}.*{message}"):
        choose_corruptions((name,), bare, loop)
    assert name not in choose_corruptions((), bare, loop)


def test_unknown_corruptions_are_refused_with_what_is_close():
    with pytest.raises(UnknownNameError, match="unknown corruption 'gausian_blur'; did you mean"):
        choose_corruptions(("gausian_blur",), ingredients(), "closed")
    with pytest.raises(OptionError, match="a severity is 6"):
        corrupted(["jpeg"], [6])


def test_a_modality_stands_for_all_its_corruptions_that_fit():
    assert set(choose_corruptions(("proprio",), ingredients(), "closed")) == {
        "proprio_bias",
        "proprio_delay",
        "proprio_dropout",
        "proprio_noise",
    }
    assert len(choose_corruptions((), ingredients(), "closed")) == 25


def test_every_condition_has_a_file_of_its_own():
    names = choose_corruptions((), ingredients(), "closed")
    grid = closed_grid(names, (1, 3, 5), ("base", "wrist"), can_listen=True)
    assert len({condition.key for condition in grid}) == len(grid) == 1 + 9 + 1 + 75
    own = Condition(kind="corruption", name="my_module:Mine", severity=1)
    assert own.key == "corruption-my_module~Mine-1"


def test_changes_are_paired_by_scene():
    clean = Cell(
        condition=CLEAN_CONDITION, loop="closed", units=(1, 2, 3, 4), values=(1.0, 1.0, 1.0, 0.0)
    )
    cell = Cell(
        condition=corrupted(["jpeg"], [1])[0],
        loop="closed",
        units=(1, 2, 3, 4),
        values=(0.0, 0.0, 1.0, 1.0),
        outcomes=("timeout", "timeout", "success", "success"),
    )
    found = score(cell, clean)
    assert (found.value, found.change) == (0.5, -0.25)
    assert found.change_low < -0.25 < found.change_high
    assert found.outcomes == {"timeout": 2, "success": 2}
    assert np.isclose(found.low, 0.15, atol=0.01)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:make", "cannot import 'no_such_module'"),
        ("math:make_policy", "math has no function 'make_policy'"),
        ("builtins:list", "lacks cameras, observation_window, action_horizon, predict"),
    ],
)
def test_a_policy_of_ones_own_must_be_there_and_able_to_predict(name, message):
    with pytest.raises(PlaitError, match=message):
        load_policy(name)
