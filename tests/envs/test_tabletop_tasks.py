"""Grammar, held-out combinations, scenes, and what counts as success."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from plait.envs import make_env
from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.expert import Expert, perturb
from plait.envs.tabletop.grammar import parse, wordings
from plait.envs.tabletop.scene import ALL_OBJECTS, COLOURS, SHAPES, STACKABLE, Thing
from plait.envs.tabletop.suites import MAX_STEPS, SUITES
from plait.envs.tabletop.tasks import VERBS, Task, all_tasks, is_held_out
from plait.errors import OptionError, UnknownNameError

RED_CUBE, BLUE_BALL = Thing("red", "cube"), Thing("blue", "ball")


def play(env, act, max_steps=200):
    """Act until the episode ends; return the last info and the number of steps."""
    for step in range(1, max_steps + 1):
        _, reward, terminated, truncated, info = env.step(act())
        if terminated or truncated:
            assert reward == float(info["success"])
            return info, step
    raise AssertionError("the episode did not end")


# --- the grammar ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (Task("touch", RED_CUBE), "touch the red cube"),
        (Task("push", BLUE_BALL, direction="left"), "push the blue ball left"),
        (Task("pick", BLUE_BALL), "pick up the blue ball"),
        (Task("place", RED_CUBE, Thing("green", "box")), "put the red cube in the green box"),
        (Task("place", RED_CUBE, Thing("green", "plate")), "put the red cube on the green plate"),
        (Task("stack", RED_CUBE, Thing("red", "cross")), "stack the red cube on the red cross"),
    ],
)
def test_plain_wording(task, text):
    assert wordings(task) == (text,)
    assert parse(text) == task
    assert Task.from_dict(task.to_dict()) == task


def test_every_sentence_means_one_task():
    meanings = {}
    for task in all_tasks():
        for paraphrase in (False, True):
            for text in wordings(task, paraphrase=paraphrase):
                assert meanings.setdefault(text, task) == task


def test_paraphrases_share_no_sentence_with_training_and_keep_the_task():
    plain = {text for task in all_tasks() for text in wordings(task)}
    some = list(all_tasks())[::7]
    for task in some:
        paraphrases = wordings(task, paraphrase=True)
        assert len(set(paraphrases)) >= 6
        assert plain.isdisjoint(paraphrases)
        assert all(parse(text) == task for text in paraphrases)
        assert all(task.thing.colour in text.split() for text in paraphrases)


def test_paraphrased_episodes_ask_for_the_same_in_the_same_scene():
    plain, other = make_env("tabletop/all"), make_env("tabletop/all-paraphrase")
    texts = set()
    for seed in range(10):
        plain.reset(seed=seed)
        _, info = other.reset(seed=seed)
        assert other.unwrapped.scene == plain.unwrapped.scene
        assert other.unwrapped.task == plain.unwrapped.task == parse(info["instruction"])
        assert info["instruction"] != plain.unwrapped.instruction
        texts.add(info["instruction"])
    assert len(texts) == 10


def test_unknown_sentences_are_refused():
    with pytest.raises(UnknownNameError, match="unknown instruction 'touch the pink cube'"):
        parse("touch the pink cube")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"verb": "tuch", "thing": "red cube"}, UnknownNameError, "did you mean 'touch'"),
        ({"verb": "touch", "thing": "pink cube"}, UnknownNameError, "unknown colour 'pink'"),
        ({"verb": "touch", "thing": "red box"}, UnknownNameError, "unknown shape 'box'"),
        ({"verb": "touch", "thing": "cube"}, OptionError, "a colour and a shape"),
        ({"verb": "touch"}, OptionError, "a task has the keys"),
        ({"verb": "place", "thing": "red cube"}, OptionError, "needs `to`"),
        ({"verb": "push", "thing": "red cube"}, OptionError, "needs `direction`"),
        (
            {"verb": "push", "thing": "red cube", "direction": "up"},
            UnknownNameError,
            "unknown direction 'up'",
        ),
    ],
)
def test_impossible_tasks_are_refused(values, error, message):
    with pytest.raises(error, match=message):
        Task.from_dict(values)


# --- held-out combinations and scenes ------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_a_sixth_is_held_out_and_training_covers_every_colour_and_shape(verb):
    held_out = [thing for thing in ALL_OBJECTS if is_held_out(verb, thing)]
    seen = [thing for thing in ALL_OBJECTS if not is_held_out(verb, thing)]
    assert len(held_out) == len(ALL_OBJECTS) / 6
    assert {thing.colour for thing in seen} == set(COLOURS)
    assert {thing.shape for thing in seen} == {thing.shape for thing in held_out} == set(SHAPES)
    assert len({thing.colour for thing in held_out}) == len(held_out)


def test_training_and_held_out_combinations_are_disjoint():
    combinations = {split: set() for split in ("train", "holdout")}
    for suite, split in product(SUITES, combinations):
        env = TabletopEnv(suite, split=split, image_size=8, cameras=("base",))
        for seed in range(25):
            env.reset(seed=seed)
            combinations[split].add((env.task.verb, env.task.thing))
            if split == "train" and suite != "all":  # not even seen
                verb = SUITES[suite].verbs[0]
                assert not any(is_held_out(verb, placed.thing) for placed in env.scene.objects)
    assert combinations["train"].isdisjoint(combinations["holdout"])
    assert {verb for verb, _ in combinations["holdout"]} == set(VERBS)
    assert all(is_held_out(*combination) for combination in combinations["holdout"])


@pytest.mark.parametrize("suite", SUITES)
def test_scenes_hold_what_the_suite_says(suite):
    layout = SUITES[suite].layout
    env = TabletopEnv(suite, image_size=8, cameras=("base",))
    alike = counts = 0
    for seed in range(30):
        env.reset(seed=seed)
        things = [placed.thing for placed in env.scene.objects]
        assert len(set(things)) == len(things)
        assert layout.min_objects <= len(things) <= layout.max_objects
        assert len({placed.thing for placed in env.scene.containers}) == layout.num_containers
        assert sum(thing.shape in STACKABLE for thing in things) >= layout.min_stackable
        others = [thing for thing in things if thing != env.task.thing]
        target = env.task.thing
        alike += any(t.colour == target.colour or t.shape == target.shape for t in others)
        counts += 1
    assert alike / counts > 0.7  # one word seldom suffices


def test_which_object_is_meant_cannot_be_told_from_its_place():
    """Objects are shuffled: the task names the first no more often than the last."""
    env = TabletopEnv("touch", image_size=8, cameras=("base",))
    places = Counter()
    for seed in range(200):
        env.reset(seed=seed)
        things = [placed.thing for placed in env.scene.objects]
        places[things.index(env.task.thing) / (len(things) - 1) < 0.5] += 1
    assert 0.35 < places[True] / 200 < 0.65


# --- success and failure -------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_the_expert_succeeds(verb):
    env = TabletopEnv(verb, split="any", image_size=8, cameras=("base",))
    for seed in range(10):
        _, info = env.reset(seed=seed)
        assert info["phase"] == "approach"
        info, steps = play(env, Expert(env).act)
        assert info["outcome"] == "success", (seed, info)
        assert info["object"] == info["target"]
        assert steps < MAX_STEPS[verb] / 1.5


@pytest.mark.parametrize("verb", VERBS)
def test_the_expert_recovers_from_disturbances(verb):
    env = TabletopEnv(verb, split="any", image_size=8, cameras=("base",))
    rng = np.random.default_rng(0)
    successes = 0
    for seed in range(6):
        env.reset(seed=seed)
        expert = Expert(env)
        info, _ = play(env, lambda expert=expert: perturb(expert.act(), rng))
        successes += info["success"]
    assert successes >= 5


@pytest.mark.parametrize("verb", VERBS)
def test_an_expert_for_another_task_fails(verb):
    """Act for one task of the scene while the episode asks for another object."""
    env = TabletopEnv(verb, split="any", image_size=8, cameras=("base",))
    actor = TabletopEnv(verb, split="any", image_size=8, cameras=("base",))
    for seed in range(3):
        env.reset(seed=seed)
        asked = env.task
        other = next(task for task in env.feasible_tasks() if task.thing != asked.thing)
        actor.reset(seed=seed, options={"task": other})
        expert = Expert(actor)

        def act(expert=expert, actor=actor):
            action = expert.act()
            actor.step(action)
            return action

        info, _ = play(env, act)
        assert info["outcome"] == "wrong_object"
        assert not info["success"]
        assert info["object"] == str(other.thing)


@pytest.mark.parametrize("verb", ["push", "place", "stack"])
def test_the_right_object_in_the_wrong_place_fails(verb):
    env = TabletopEnv(verb, split="any", image_size=8, cameras=("base",))
    actor = TabletopEnv(verb, split="any", image_size=8, cameras=("base",))
    checked = 0
    for seed in range(12):
        env.reset(seed=seed)
        tasks = [task for task in env.feasible_tasks() if task.thing == env.task.thing]
        if len(tasks) < 2:
            continue
        other = next(task for task in tasks if task != env.task)
        actor.reset(seed=seed, options={"task": other})
        expert = Expert(actor)

        def act(expert=expert, actor=actor):
            action = expert.act()
            actor.step(action)
            return action

        info, _ = play(env, act)
        assert info["outcome"] == "wrong_place"
        assert info["object"] == info["target"]
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize("verb", VERBS)
def test_doing_nothing_runs_out_of_time(verb):
    env = TabletopEnv(verb, image_size=8, cameras=("base",))
    env.reset(seed=0)
    info, steps = play(env, lambda: np.zeros(7, np.float32))
    assert (info["outcome"], steps) == ("timeout", MAX_STEPS[verb])
    assert info["object"] == ""


def test_a_lift_needs_height_and_a_grip():
    env = TabletopEnv("pick", image_size=8, cameras=("base",))
    env.reset(seed=0)
    expert, phases, heights = Expert(env), [], []
    while True:
        _, _, terminated, _, info = env.step(expert.act())
        phases.append(info["phase"])
        heights.append(env.referee.lift(env.referee.target))
        if terminated:
            break
    assert list(dict.fromkeys(phases)) == ["approach", "grasp", "lift"]
    assert heights[-1] >= heights[-2] >= 0.05 > heights[-3]


def test_expert_actions_are_proportional_and_bounded():
    """Near its goal the expert slows down: its targets are not plus or minus one."""
    env = TabletopEnv("touch", image_size=8, cameras=("base",))
    saturated = total = 0
    for seed in range(10):
        env.reset(seed=seed)
        expert = Expert(env)
        ended = False
        while not ended:
            action = expert.act()
            assert action.dtype == np.float32
            assert np.abs(action).max() <= 1.0
            saturated += np.count_nonzero(np.abs(action[:3]) > 0.999)
            total += 3
            _, _, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
    assert saturated / total < 0.4


def test_perturb_leaves_the_gripper_and_most_steps_alone():
    rng = np.random.default_rng(0)
    action = np.array([0.5, 0, 0, 0, 0, 0, -1], np.float32)
    executed = [perturb(action, rng, probability=0.25) for _ in range(2000)]
    changed = [not np.array_equal(each, action) for each in executed]
    assert np.mean(changed) == pytest.approx(0.25, abs=0.03)
    assert all(each[6] == -1 and np.abs(each).max() <= 1 for each in executed)
