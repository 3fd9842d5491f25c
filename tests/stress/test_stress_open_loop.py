"""Open loop with a policy that reads one number off each modality: every error is known."""

import numpy as np
import pytest
import torch
from stress_fakes import COMMANDS, STEPS, ReadingPolicy, write_demonstrations

from plait.data.dataset import Demonstrations
from plait.evaluation.stress.grid import CLEAN_CONDITION, corrupted, missing, open_grid
from plait.evaluation.stress.held_out import HeldOut
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.open_loop import OpenLoop
from plait.evaluation.stress.policies import Checked
from plait.evaluation.stress.scores import reaction, summarise_loop
from plait.results.stress import Condition
from plait.types import LANGUAGE, PROPRIO, VISION


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_demonstrations(tmp_path_factory.mktemp("stress") / "demos")
    return Demonstrations.open(root, action_horizon=1)


def open_loop(data, policy=None, steps=None):
    steps = np.arange(data.num_steps) if steps is None else steps
    training = data.gather(np.arange(data.num_steps)).action_chunk.actions[:, 0]
    held_out = HeldOut(data, steps, training.mean(dim=0).numpy())
    ingredients = Ingredients(
        proprio_scale=(1.0,) * 8, instructions=tuple(COMMANDS), has_grammar=True
    )
    return OpenLoop(Checked(policy or ReadingPolicy(), "a policy"), held_out, ingredients)


def test_a_perfect_policy_has_no_error_and_moves_nowhere(data):
    cell = open_loop(data).ask(CLEAN_CONDITION)
    assert len(cell.values) == len(cell.units) == data.num_episodes
    assert cell.values == pytest.approx([0] * data.num_episodes, abs=1e-6)
    assert cell.moved == pytest.approx([0] * data.num_episodes)


def test_a_withheld_modality_costs_exactly_what_it_told(data):
    cell = open_loop(data).ask(Condition(kind="missing", name="language", missing=("language",)))
    texts = data.gather(data.episode_bounds[:, 0]).observation.instruction
    expected = [abs(COMMANDS[text]) / 7 for text in texts]
    assert cell.values == pytest.approx(expected, abs=1e-6)


def test_errors_are_kept_by_phase_and_make_up_those_of_the_episode(data):
    condition = Condition(kind="missing", name="vision", missing=("vision",))
    cell = open_loop(data).ask(condition)
    levels = data.gather(np.arange(data.num_steps)).action_chunk.actions[:, 0, 1]
    thirds = (levels.abs() / 7).reshape(data.num_episodes, 3, STEPS // 3).mean(dim=2)
    assert list(cell.phases) == ["early third", "middle third", "last third"]
    for number, errors in enumerate(cell.phases.values()):
        assert errors == pytest.approx(thirds[:, number].tolist(), abs=1e-6)
    assert np.mean(list(cell.phases.values()), axis=0) == pytest.approx(cell.values)


def test_a_phase_that_was_not_asked_about_has_no_error(data):
    # All of the first episode, and of the second the steps of its last third alone.
    steps = np.array([*range(STEPS), 2 * STEPS - 2, 2 * STEPS - 1])
    cell = open_loop(data, steps=steps).ask(CLEAN_CONDITION)
    assert [each[1] is None for each in cell.phases.values()] == [True, True, False]
    assert None not in [each[0] for each in cell.phases.values()]


def test_instructions_are_those_of_the_episodes(data):
    loop = open_loop(data, steps=np.arange(STEPS * 2, STEPS * 4))
    assert loop.held_out.instructions == tuple(COMMANDS)[2:] + tuple(COMMANDS)[:1]


def test_a_missing_camera_is_one_that_was_read_or_not(data):
    ask = open_loop(data).ask
    assert max(ask(Condition(kind="camera", name="wrist")).values) < 1e-6
    assert min(ask(Condition(kind="camera", name="base")).values) > 0.01


def test_late_images_are_those_of_earlier_steps_of_the_same_episode(data):
    cell = open_loop(data).ask(corrupted(["latency"], [2])[0])
    recorded = data.gather(np.arange(data.num_steps)).action_chunk.actions[:, 0, 1]
    levels = recorded.reshape(data.num_episodes, STEPS).numpy()
    shown = np.maximum(np.arange(STEPS) - 2, 0)
    expected = np.abs(levels[:, shown] - levels).mean(axis=1) / 7
    assert cell.values == pytest.approx(expected, abs=1e-6)


def test_late_proprio_leaves_the_images(data):
    cell = open_loop(data, ReadingPolicy(reads=(VISION, LANGUAGE))).ask(
        corrupted(["proprio_delay"], [5])[0]
    )
    assert max(cell.moved) == 0


def test_all_of_the_grid_can_be_asked_and_summed_up(data):
    names = ["gaussian_noise", "typos", "proprio_bias", "dropped_camera"]
    loop = open_loop(data)
    grid = open_grid(names, [1, 5], loop.policy.cameras, judges_language=True, has_grammar=True)
    cells = [loop.ask(condition) for condition in grid]
    trivial = loop.trivial()
    found = summarise_loop(cells, trivial=trivial)
    assert {each.name for each in found.robustness} == set(names)
    assert all(each.relative is not None and each.relative < 1 for each in found.robustness)
    # What each modality tells is in a dimension of its own, so contributions are what it tells.
    told = dict.fromkeys((LANGUAGE, PROPRIO, VISION), 0.0)
    for score in found.scores:
        if len(score.condition.missing) == 1:
            told[score.condition.missing[0]] = score.value
    values = {each.modality: each.value for each in found.contributions}
    assert values == pytest.approx(told, abs=1e-6)
    assert {each.modality for each in found.perceptual} == set(told)
    assert all(each.value > 0.1 for each in found.perceptual)
    heard = reaction(cells)
    assert heard.swapped > 0
    assert heard.paraphrased is not None


def test_permutations_never_stay_within_an_episode(data):
    loop = open_loop(data)
    episodes = loop.held_out.episodes
    for draw in (1, 2, 3):
        order = loop._strangers(draw)
        assert sorted(order) == list(range(len(order)))
        assert (episodes[order] != episodes).all()


def test_a_deaf_policy_is_found_out(data):
    loop = open_loop(data, ReadingPolicy(reads=(VISION, PROPRIO)))
    grid = open_grid([], [], loop.policy.cameras, judges_language=True, has_grammar=True)
    cells = [loop.ask(condition) for condition in grid]
    heard = reaction(cells)
    assert heard.swapped == heard.paraphrased == 0
    found = summarise_loop(cells, trivial=loop.trivial())
    assert {each.modality: each.value for each in found.contributions}[LANGUAGE] == 0
    assert {each.modality: each.value for each in found.perceptual}[LANGUAGE] == 0


def test_a_grid_without_language_asks_nothing_of_it():
    grid = open_grid([], [], ("base",), judges_language=False, has_grammar=True)
    assert not any(LANGUAGE in (each.modality, *each.missing) for each in grid)


def test_a_refused_instruction_is_a_refusal_not_an_error(data):
    class Strict(ReadingPolicy):
        def predict(self, observation):
            from plait.errors import UnknownNameError

            for text in observation.instruction:
                if text not in COMMANDS:
                    raise UnknownNameError("word", text, COMMANDS)
            return super().predict(observation)

    cell = open_loop(data, Strict()).ask(corrupted(["typos"], [5])[0])
    assert cell.values == ()
    assert "unknown word" in cell.refusal


def test_missing_conditions_are_all_subsets_and_each_of_several_cameras():
    conditions = missing(("base", "wrist"))
    assert len([each for each in conditions if each.kind == "missing"]) == 7
    assert [each.name for each in conditions if each.kind == "camera"] == ["base", "wrist"]
    assert not any(each.kind == "camera" for each in missing(("base",)))
    assert len({each.key for each in conditions}) == len(conditions)


def test_seeds_are_episodes_so_a_subset_of_steps_is_corrupted_alike(data):
    condition = corrupted(["gaussian_noise"], [5])[0]
    whole = open_loop(data).ask(condition)
    part = open_loop(data, steps=np.arange(STEPS * 3, STEPS * 5)).ask(condition)
    assert part.units == (3, 4)
    assert part.values == pytest.approx(whole.values[3:5])
    assert torch.isfinite(torch.tensor(part.moved)).all()
