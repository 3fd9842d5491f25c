"""Factors of instructions, for every sentence the grammar can say."""

import pytest

from plait.envs.tabletop.factors import factors_of
from plait.envs.tabletop.grammar import parse, wordings
from plait.envs.tabletop.tasks import all_tasks


def test_every_wording_of_every_task_is_read_back_and_has_its_factors():
    for task in all_tasks():
        expected = {"verb": task.verb, "colour": task.thing.colour, "object": task.thing.shape}
        for text in (*wordings(task), *wordings(task, paraphrase=True)):
            assert parse(text) == task
            assert factors_of(text) == expected


def test_the_container_is_not_the_object():
    factors = factors_of("put the blue ball in the green box")
    assert factors == {"verb": "place", "colour": "blue", "object": "ball"}


@pytest.mark.parametrize("text", ["", "fold the shirt", "touch the cube", "touch the red box"])
def test_other_sentences_have_none(text):
    assert factors_of(text) is None
