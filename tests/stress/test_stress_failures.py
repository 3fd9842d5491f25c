"""Rollouts of instructive failures: which are chosen, and that they show what the cells say."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from stress_fakes import ExpertPolicy

from plait.compare import stress_failures
from plait.compare.stress_cells import Setup
from plait.compare.stress_failures import film_failures
from plait.evaluation.stress.closed_loop import play
from plait.evaluation.stress.failures import choose_failures
from plait.evaluation.stress.filming import GAP_PX, SCENE_SIDE_PX, film_scene, side_by_side
from plait.evaluation.stress.grid import CLEAN_CONDITION
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.policies import Checked
from plait.results.stress import Cell, Condition
from plait.types import VISION, ActionChunk

UNITS = tuple(range(100, 120))
NO_VISION = Condition(kind="missing", name="vision", missing=("vision",))


def cell(condition, lost=(), outcome="timeout", units=UNITS):
    """A cell in which all scenes succeed but those lost, which end alike."""
    ends = lost if isinstance(lost, dict) else dict.fromkeys(lost, outcome)
    return Cell(
        condition=condition,
        loop="closed",
        units=units,
        values=tuple(float(unit not in ends) for unit in units),
        outcomes=tuple(ends.get(unit, "success") for unit in units),
    )


def corrupted(name, modality, severity):
    return Condition(kind="corruption", name=name, severity=severity, modality=modality)


def without(*names):
    return Condition(kind="missing", name="+".join(names), missing=names)


def camera(name):
    return Condition(kind="camera", name=name, modality="vision")


def chosen(*cells, clean_lost=()):
    return {
        lost.condition.key: lost
        for lost in choose_failures([cell(CLEAN_CONDITION, clean_lost), *cells])
    }


def test_of_a_modality_the_mildest_severity_that_is_told_and_there_what_loses_most():
    found = chosen(
        cell(corrupted("jpeg", "vision", 1), UNITS[:2]),  # too few to be told
        cell(corrupted("jpeg", "vision", 3), UNITS[:10]),
        cell(corrupted("occlusion", "vision", 3), UNITS[:12]),
        cell(corrupted("jpeg", "vision", 5), UNITS),
        cell(corrupted("proprio_bias", "proprio", 5), UNITS[:9]),
        cell(corrupted("action_delay", "action", 1), UNITS[:1]),
    )
    assert set(found) == {"corruption-occlusion-3", "corruption-proprio_bias-5"}
    assert list(found["corruption-occlusion-3"].outcomes) == list(UNITS[:12])


def test_what_takes_the_task_away_is_no_failure():
    everything = (
        cell(corrupted("other_instruction", "language", 1), UNITS),
        cell(corrupted("empty", "language", 1), UNITS),
        cell(without("language"), UNITS),
        cell(without("vision", "proprio"), UNITS),
    )
    assert chosen(*everything) == {}


def test_of_missing_senses_a_camera_comes_first():
    cells = [cell(without("vision"), UNITS), cell(without("proprio"), UNITS[:9])]
    assert set(chosen(*cells)) == {"missing-vision-0"}
    cells += [cell(camera("base"), UNITS[:8]), cell(camera("wrist"), UNITS[:9])]
    assert set(chosen(*cells)) == {"camera-wrist-0"}


def test_of_another_instruction_the_scene_s_own_task_comes_before_neither():
    told = Condition(kind="listening", name="listening")
    ends = {100: "neither", 101: "neither", 103: "original"}
    (found,) = chosen(cell(told, ends, units=UNITS[:10])).values()
    assert found.outcomes == {103: "original"}
    assert (found.num_solved, found.num_alike) == (10, 1)
    (found,) = chosen(cell(told, {100: "neither", 101: "neither"})).values()
    assert found.outcomes == {100: "neither", 101: "neither"}
    assert chosen(cell(told)) == {}


def test_scenes_succeed_undisturbed_and_the_commonest_end_comes_first():
    ends = dict.fromkeys(UNITS[:4], "wrong_object") | dict.fromkeys(UNITS[4:12], "timeout")
    found = chosen(cell(corrupted("jpeg", "vision", 5), ends), clean_lost=UNITS[3:5])
    (lost,) = found.values()
    assert list(lost.outcomes) == [*UNITS[5:12], *UNITS[:3]]
    assert (lost.num_solved, lost.num_alike) == (18, 7)


class Sighted(ExpertPolicy):
    """The expert, which does not move while it sees nothing."""

    def predict(self, observation):
        if not bool(observation.modality_mask[VISION].all()):
            return ActionChunk(torch.zeros(1, 1, 7), torch.ones(1, 1, dtype=torch.bool))
        return super().predict(observation)


@pytest.fixture
def sighted():
    return Sighted("tabletop/touch", obeys=True)


def played(policy, condition, seeds):
    return play(
        Checked(policy, "p"),
        policy.make_env,
        condition,
        seeds,
        Ingredients(),
        execution_horizon=1,
        num_parallel=1,
    )


def test_a_film_repeats_the_cell_and_shows_what_the_policy_saw(sighted):
    films = {}
    for condition in (CLEAN_CONDITION, NO_VISION):
        made = played(sighted, condition, [500])
        film = film_scene(
            Checked(sighted, "p"),
            sighted.make_env,
            condition,
            500,
            Ingredients(),
            execution_horizon=1,
        )
        assert (film.result.outcome,) == made.outcomes
        assert len(film.frames) == film.result.num_steps + 1
        films[condition.key] = film
    own, lost = films["clean-clean-0"], films["missing-vision-0"]
    assert (own.result.outcome, lost.result.outcome) == ("success", "timeout")
    assert own.acted_on
    assert own.acted_on in own.instruction
    assert lost.acted_on == ""
    # Below the scene, at the left, is the only camera; the scene itself is never dark.
    below = np.s_[SCENE_SIDE_PX + GAP_PX :, :128]
    assert all((frame[below] == 0).all() for frame in lost.frames)
    assert all((frame[below] > 0).any() for frame in own.frames)
    assert all((frame[:SCENE_SIDE_PX] > 0).any() for frame in lost.frames)
    both = side_by_side(own.frames, lost.frames)
    assert len(both) == max(len(own.frames), len(lost.frames))
    assert np.array_equal(both[-1][:, :SCENE_SIDE_PX], own.frames[-1])
    assert np.array_equal(both[-1][:, SCENE_SIDE_PX + GAP_PX :], lost.frames[-1])


@dataclass(frozen=True)
class SetupOf(Setup):
    """A setup of a policy that is at hand."""

    own: object = None

    def load(self):
        return Checked(self.own, "p")


@pytest.fixture
def setup(sighted, monkeypatch):
    made = SetupOf(
        policy="p",
        env="tabletop/touch",
        data=None,
        seeds=(500, 501),
        execution_horizon=1,
        action_dim=7,
        closed=Ingredients(),
        open=Ingredients(),
        own=sighted,
    )
    monkeypatch.setattr(stress_failures, "EnvFactory", lambda *_, **__: sighted.make_env)
    return made


def test_films_are_made_once_and_named_in_the_record(sighted, setup, tmp_path):
    # Cells are made up, for a loss is told from the clean condition only with scenes enough.
    seeds = tuple(range(500, 520))
    clean, lost = (
        cell(CLEAN_CONDITION, units=seeds),
        cell(NO_VISION, seeds, units=seeds),
    )
    (failure,), notes = film_failures(setup, [clean, lost], tmp_path)
    assert (failure.condition, failure.seed, failure.outcome) == (NO_VISION, 500, "timeout")
    assert (failure.num_alike, failure.num_solved, notes) == (20, 20, [])
    with Image.open(tmp_path / failure.file) as film:
        assert film.n_frames > 2
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert len(before) == 2
    assert film_failures(setup, [clean, lost], tmp_path) == ((failure,), [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_a_scene_that_ends_otherwise_than_its_cell_says_is_not_shown(setup, tmp_path):
    seeds = tuple(range(500, 520))
    cells = [cell(CLEAN_CONDITION, units=seeds), cell(NO_VISION, seeds, "wrong_object", seeds)]
    failures, (note,) = film_failures(setup, cells, tmp_path)
    assert failures == ()
    assert "No failure is shown of missing-vision-0" in note
    assert not list(tmp_path.rglob("*.webp"))


def test_nothing_is_filmed_of_demonstrations_alone(setup, tmp_path):
    assert film_failures(setup, [], tmp_path) == ((), [])
