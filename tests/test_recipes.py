"""Recipes fit the environments they are for, before anyone spends an hour on finding out."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from plait.config import DataSpec, RunConfig, from_dict, to_json
from plait.envs.libero import simulator as libero
from plait.envs.metaworld import simulator as metaworld
from plait.policy import Policy, parameter_count
from plait.recipes.libero import RECIPES as LIBERO
from plait.recipes.metaworld import RECIPES as METAWORLD

SIZES = {"metaworld": metaworld, "libero": libero}
VIEWS = {"metaworld": metaworld.VIEWS, "libero": libero.CAMERAS}
EVERY = [*METAWORLD.values(), *LIBERO.values()]
# What the documentation says; papers have fifty on Meta-World.
PER_TASK = {"metaworld": 50, "libero": 25}
MAX_PARAMETERS = 20_000_000
MODELS = Path(__file__).parents[1] / "models"


@pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.env)
def test_a_recipe_is_of_its_environment(recipe):
    family = recipe.env.partition("/")[0]
    assert set(recipe.cameras) <= set(VIEWS[family])
    num_tasks = 50 if recipe.env.endswith("MT50") else 10
    assert recipe.num_demonstrations == PER_TASK[family] * num_tasks
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


@pytest.mark.parametrize("folder", sorted(MODELS.iterdir()), ids=lambda folder: folder.name)
def test_policies_that_are_handed_on_were_made_by_the_recipes(folder):
    (recipe,) = (each for each in EVERY if each.env.replace("/", "-") == folder.name)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    assert made["recipe"] == json.loads(json.dumps(asdict(recipe)))
    policy = Policy.load(folder)
    assert policy.num_parameters() == made["parameters"] <= MAX_PARAMETERS
    assert to_json(policy.config) == to_json(recipe.policy)
    assert (policy.cameras, policy.image_size) == (recipe.cameras, recipe.image_size)


def test_benchmarks_do_not_hide_the_packages_they_are_named_after():
    """Python puts the folder of a script first, where `metaworld.py` is."""
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    code = (
        "import sys, pathlib; import recipe_runs;"
        "recipe_runs.run_parts((), {}, pathlib.Path(), pathlib.Path()); print(sys.path[-1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(benchmarks)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == benchmarks
