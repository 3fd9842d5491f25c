"""Does it listen? Policies that obey, that do the scene's own task, and that do nothing."""

from functools import partial

import gymnasium
import pytest
import torch
from stress_fakes import ExpertPolicy

from plait.envs import make_env
from plait.envs.tabletop.expert import Expert
from plait.errors import OptionError
from plait.evaluation.stress.closed_loop import play
from plait.evaluation.stress.grid import CLEAN_CONDITION
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.listening import OtherInstruction, listenable
from plait.evaluation.stress.policies import Checked
from plait.evaluation.stress.progress import Progress
from plait.evaluation.stress.scores import listening
from plait.results.stress import Condition
from plait.types import ActionChunk

LISTENING = Condition(kind="listening", name="listening")
SEEDS = range(700, 704)


class Scripted(ExpertPolicy):
    """Knows what each scene would have asked for by looking it up."""

    def predict(self, observation):
        tabletop = self.env.unwrapped
        if not self.obeys:
            self.own_task = own_task(self.env_name, tabletop.scene)
        return super().predict(observation)


def own_task(env_name, scene):
    for seed in SEEDS:
        env = make_env(env_name, cameras=("base",), image_size=16)
        env.reset(seed=seed)
        if env.unwrapped.scene == scene:
            return env.unwrapped.task
    raise AssertionError("not one of the scenes")


def run(policy, condition=LISTENING):
    return play(
        Checked(policy, "scripted", 7),
        policy.make_env,
        condition,
        SEEDS,
        Ingredients(),
        execution_horizon=1,
        num_parallel=1,
    )


@pytest.mark.parametrize("env", ["tabletop/touch", "tabletop/pick"])
@pytest.mark.parametrize(("obeys", "expected"), [(True, "instructed"), (False, "original")])
def test_one_who_listens_is_told_from_one_who_does_not(env, obeys, expected):
    policy = Scripted(env, obeys=obeys)
    cell = run(policy)
    assert cell.outcomes == (expected,) * len(SEEDS)
    assert cell.values == (float(obeys),) * len(SEEDS)
    found = listening(cell, run(Scripted(env, obeys=True), CLEAN_CONDITION))
    rates = {"instructed": found.instructed, "original": found.original}
    assert rates[expected].rate == 1
    assert found.neither.rate == 0
    assert found.told_its_own.rate == 1
    assert found.told_its_own.trials == found.instructed.trials == len(SEEDS)
    assert 1 / 6 <= found.chance <= 1 / 3
    assert rates[expected].low == pytest.approx(0.51, abs=0.01)


class Idle:
    cameras, observation_window, action_horizon = ("base",), 1, 1
    make_env = staticmethod(partial(make_env, "tabletop/touch", image_size=16))

    def predict(self, observation):
        still = torch.zeros(observation.batch_size, 1, 7)
        return ActionChunk(still, torch.ones(still.shape[:2], dtype=torch.bool))


def test_doing_nothing_is_neither():
    assert run(Idle()).outcomes == ("neither",) * len(SEEDS)


def test_a_cell_knows_tasks_instructions_and_how_far_each_scene_got():
    cell = run(Scripted("tabletop/pick", obeys=True), CLEAN_CONDITION)
    assert cell.tasks == ("pick",) * len(SEEDS)
    assert all(text.startswith("pick up the ") for text in cell.instructions)
    assert cell.furthest == ("lift",) * len(SEEDS)
    assert run(Idle(), CLEAN_CONDITION).furthest == ("approach",) * len(SEEDS)


def test_the_furthest_is_kept_although_the_hand_lets_go_again():
    env = make_env("tabletop/place", cameras=("base",), image_size=16)
    env.reset(seed=SEEDS[0])
    progress, expert, named = Progress(), Expert(env), []
    has_ended = False
    while not has_ended:
        _, _, has_ended, is_late, info = env.step(expert.act())
        progress(SEEDS[0], env)
        named.append(info["phase"])
        assert not is_late
    assert named[-1] == "approach"
    assert progress.furthest == {SEEDS[0]: "carry"}


def test_the_other_instruction_is_feasible_and_the_scene_is_the_same():
    env = OtherInstruction(make_env("tabletop/all", image_size=16))
    plain = make_env("tabletop/all", image_size=16)
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        plain.reset(seed=seed)
        assert env.unwrapped.scene == plain.unwrapped.scene
        assert env.own == plain.unwrapped.task
        assert env.unwrapped.task in plain.unwrapped.feasible_tasks()
        assert env.unwrapped.task != env.own
        assert observation["instruction"] == info["instruction"]
        again, _ = env.reset(seed=seed)
        assert again["instruction"] == observation["instruction"]


def test_holding_the_wrong_thing_does_not_go_on_for_ever():
    env = OtherInstruction(make_env("tabletop/pick", image_size=16))
    env.reset(seed=3)
    ended = [env.step(env.action_space.sample() * 0)[2:4] for _ in range(50)]
    assert ended[-1] == (False, True)
    assert not any(any(each) for each in ended[:-1])


def test_only_the_tabletop_can_be_asked():
    with pytest.raises(OptionError, match="but CartPoleEnv was given"):
        OtherInstruction(gymnasium.make("CartPole-v1"))


def test_scenes_with_one_task_are_left_out():
    class Single:
        def __call__(self):
            env = make_env("tabletop/push", image_size=16)
            tabletop = env.unwrapped
            whole = tabletop.feasible_tasks
            tabletop.feasible_tasks = lambda: (
                whole() if self.seed_is_even(tabletop) else (tabletop.task,)
            )
            return env

        def seed_is_even(self, tabletop):
            return tabletop.np_random_seed % 2 == 0

    assert listenable(Single(), range(6)) == [0, 2, 4]
