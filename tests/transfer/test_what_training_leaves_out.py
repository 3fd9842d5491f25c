"""What a policy counts as never having seen is in no recorded instruction and in no scene."""

import pytest

from plait.compare.demonstrations import record_demonstrations
from plait.data.lerobot.reader import LeRobotReader
from plait.envs import available_suites, make_env
from plait.envs.tabletop.asking import combinations_of, suite_sentences, suite_tasks
from plait.envs.tabletop.grammar import parse
from plait.envs.tabletop.tasks import VERBS, is_held_out
from plait.errors import OptionError, UnknownNameError
from plait.evaluation.transfer.challenges import (
    default_envs,
    guess_env,
    make_challenges,
    relation_of,
    shown_by,
)
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    FAMILIAR,
    PARAPHRASES,
    TRAINED,
)
from plait.results.transfer import (
    VERBS as NEW_VERBS,
)

EPISODES = 16


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return the instruction of every recorded episode of `tabletop/touch`."""
    root = tmp_path_factory.mktemp("recorded") / "demos"
    options = {"noise": 0.1, "cameras": ("base",), "image_size": 8, "num_workers": 1}
    record_demonstrations("tabletop/touch", root, num_episodes=EPISODES, **options)
    reader = LeRobotReader.open(root)
    first = reader.episode_bounds[:, 0]
    return [reader.tasks[index] for index in reader.task_index[first]]


def scenes(env_name, seeds):
    env = make_env(env_name, cameras=("base",), image_size=8)
    for seed in seeds:
        env.reset(seed=seed)
        yield env.unwrapped
    env.close()


def test_no_recorded_instruction_asks_for_a_held_out_combination(recorded):
    assert len(recorded) == EPISODES
    tasks = [parse(text) for text in recorded]
    assert {task.verb for task in tasks} == {"touch"}
    assert not any(is_held_out(task.verb, task.thing) for task in tasks)
    assert combinations_of(recorded).isdisjoint(combinations_of(suite_sentences("touch-holdout")))
    for suite in ("touch-holdout", "touch-paraphrase", "push", "pick", "place", "stack"):
        assert set(recorded).isdisjoint(suite_sentences(suite))


def test_the_recorded_scenes_are_those_of_their_seeds_and_hold_no_held_out_thing(recorded):
    told = []
    for tabletop in scenes("tabletop/touch", range(EPISODES + 4)):
        told.append(tabletop.instruction)
        things = [placed.thing for placed in tabletop.scene.objects]
        assert not any(is_held_out("touch", thing) for thing in things)
    # In the order of the seeds, without those in which the expert failed.
    later = iter(told)
    assert all(text in later for text in recorded)


def test_every_held_out_scene_asks_for_what_was_never_recorded(recorded):
    shown = combinations_of(recorded)
    for tabletop in scenes("tabletop/touch-holdout", range(1_000_000, 1_000_040)):
        task = tabletop.task
        assert (task.verb, task.thing) not in shown
        assert tabletop.instruction not in recorded


@pytest.mark.parametrize("name", ["touch", "push", "pick", "place", "stack", "all"])
@pytest.mark.parametrize("variant", ["", "-holdout", "-paraphrase"])
def test_a_suite_says_nothing_but_its_sentences(name, variant):
    sentences = set(suite_sentences(name + variant))
    said = {env.instruction for env in scenes(f"tabletop/{name}{variant}", range(8))}
    assert said <= sentences
    tasks = set(suite_tasks(name + variant))
    assert {parse(text) for text in said} <= tasks
    assert all(is_held_out(t.verb, t.thing) == (variant == "-holdout") for t in tasks)


def test_the_three_variants_of_a_suite_share_no_sentence():
    for verb in VERBS:
        variants = [set(suite_sentences(verb + end)) for end in ("", "-holdout", "-paraphrase")]
        assert sum(map(len, variants)) == len(set().union(*variants))


@pytest.mark.parametrize(
    ("env", "relation"),
    [
        ("tabletop/touch", TRAINED),
        ("tabletop/touch-holdout", COMBINATIONS),
        ("tabletop/touch-paraphrase", PARAPHRASES),
        ("tabletop/pick", NEW_VERBS),
        ("tabletop/pick-holdout", NEW_VERBS),
        ("tabletop/all", NEW_VERBS),
    ],
)
def test_relations_to_recorded_touches(recorded, env, relation):
    assert relation_of(env, shown_by("tabletop/touch", recorded)) == relation


def test_relations_to_all_verbs():
    shown = shown_by("tabletop/all")
    assert not shown.are_recorded
    tabletops = [env for env in available_suites() if env.startswith("tabletop/")]
    found = {env: relation_of(env, shown) for env in tabletops}
    for verb in VERBS:
        assert found[f"tabletop/{verb}"] == FAMILIAR
        assert found[f"tabletop/{verb}-holdout"] == COMBINATIONS
        assert found[f"tabletop/{verb}-paraphrase"] == PARAPHRASES
    assert found["tabletop/all-holdout"] == COMBINATIONS


def test_a_held_out_suite_is_familiar_once_one_of_its_combinations_was_demonstrated():
    leaked = suite_sentences("touch-holdout")[0]
    shown = shown_by("tabletop/touch", [*suite_sentences("touch"), leaked])
    assert relation_of("tabletop/touch-holdout", shown) == FAMILIAR
    reworded = suite_sentences("touch-paraphrase")[0]
    shown = shown_by("tabletop/touch", [*suite_sentences("touch"), reworded])
    assert relation_of("tabletop/touch-paraphrase", shown) == FAMILIAR


def test_demonstrations_of_another_environment_are_refused():
    with pytest.raises(OptionError, match=r"tabletop/pick never asks for .*'touch the red ball'"):
        shown_by("tabletop/pick", ["touch the red ball"])
    with pytest.raises(UnknownNameError, match="did you mean 'tabletop/touch'"):
        shown_by("tabletop/tuch")
    with pytest.raises(UnknownNameError, match="unknown instruction"):
        shown_by("tabletop/touch", ["touch the red ball", "touch the pink ball"])


def test_the_environment_of_demonstrations_is_the_one_that_says_no_more_than_it_must(recorded):
    assert guess_env(recorded) == "tabletop/touch"
    assert guess_env([*recorded, suite_sentences("pick")[0]]) == "tabletop/all"
    assert guess_env(suite_sentences("touch-paraphrase")[:3]) == "tabletop/touch-paraphrase"
    assert guess_env(["dance"]) is None


def test_by_default_sisters_and_other_verbs_are_asked_for(recorded):
    envs = default_envs("tabletop/touch")
    assert envs == tuple(
        f"tabletop/{name}"
        for name in ("touch-holdout", "touch-paraphrase", "push", "pick", "place", "stack")
    )
    assert "tabletop/touch" in default_envs("tabletop/all")
    challenges = make_challenges(envs, shown_by("tabletop/touch", recorded))
    relations = [challenge.relation for challenge in challenges]
    assert relations == [TRAINED, BESIDE, COMBINATIONS, PARAPHRASES, *[NEW_VERBS] * 4]
    assert len({challenge.key for challenge in challenges}) == len(challenges)
