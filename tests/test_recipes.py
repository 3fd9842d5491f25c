"""Recipes fit the environments they are for, before anyone spends an hour on finding out."""

import json
from pathlib import Path

import pytest

from plait.config import DataSpec, RunConfig, from_dict, to_json
from plait.envs.libero import simulator as libero
from plait.envs.metaworld import simulator as metaworld
from plait.policy import parameter_count
from plait.recipes.libero import RECIPES as LIBERO
from plait.recipes.metaworld import RECIPES as METAWORLD

SIZES = {"metaworld": metaworld, "libero": libero}
VIEWS = {"metaworld": metaworld.VIEWS, "libero": libero.CAMERAS}
EVERY = [*METAWORLD.values(), *LIBERO.values()]
MAX_PARAMETERS = 20_000_000


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.env)
def test_a_recipe_is_of_its_environment(recipe):
    family = recipe.env.partition("/")[0]
    assert set(recipe.cameras) <= set(VIEWS[family])
    assert recipe.num_demonstrations == 50 * (50 if recipe.env.endswith("MT50") else 10)
    assert recipe.execution_horizon <= recipe.policy.action_horizon
    assert recipe.training.batch_size % recipe.num_processes == 0
    data = DataSpec(
        cameras=recipe.cameras,
        image_size=recipe.image_size,
        proprio_dim=SIZES[family].PROPRIO_DIM,
        action_dim=SIZES[family].ACTION_DIM,
        vocabulary=("push", "the", "puck"),
    )
    assert 100_000 < parameter_count(recipe.policy, data) <= MAX_PARAMETERS


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.env)
def test_a_recipe_spells_out_a_run(recipe):
    run = recipe.run(Path("demonstrations"))
    assert to_json(from_dict(RunConfig, json.loads(to_json(run)))) == to_json(run)
    assert run.data.path == "demonstrations"
    assert run.data.cameras == recipe.cameras
