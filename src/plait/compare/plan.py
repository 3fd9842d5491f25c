"""The plan of a comparison, settled before anything is trained and kept in `plan.json`.

A later call in the same folder must ask for the same comparison; it then finds the same number of
steps, however fast the machine is by then.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from plait.compare.budget import steps_within
from plait.compare.environment import render_options
from plait.compare.features import encode_once
from plait.compare.settings import Arm, CompareSettings, run_config
from plait.config import Component, DataSpec, PolicyConfig, from_dict
from plait.data.dataset import Demonstrations
from plait.envs import make_env
from plait.errors import (
    DataError,
    OptionError,
    OutputError,
    PlaitError,
    ShapeError,
    UnknownNameError,
)
from plait.policy import match_parameters, parameter_count
from plait.results import write_text_atomically
from plait.training.batches import describe_data

PLAN_FILE = "plan.json"
PARAMETER_TOLERANCE = 0.15


@dataclass(frozen=True)
class Plan:
    """What will be trained, on what.

    Attributes:
        settings: With the final number of steps.
        data_path: Folder of the demonstrations.
        data: The demonstrations, open.
        policies: Per strategy, the policy matched in size.
    """

    settings: CompareSettings
    data_path: Path
    data: Demonstrations
    policies: Mapping[str, PolicyConfig]


def make_plan(
    settings: CompareSettings,
    out: Path,
    data_path: Path,
    data: Demonstrations,
    *,
    num_workers: int,
    budget_seconds: float | None,
) -> Plan:
    """Match the policies in size and settle the number of steps.

    Raises:
        OutputError: If the folder holds another comparison.
        OptionError: If a strategy cannot be brought to the common size.
    """
    policies = match_sizes(settings, describe_data(data, settings.image_size))
    saved = _read(out / PLAN_FILE)
    wanted = _wanted(settings, data.fingerprint, budget_seconds)
    if saved is not None:
        _refuse_other(out, saved["wanted"], wanted)
    # Before a budget is turned into steps: those are timed as they will be run.
    runs = [
        run_config(settings, Arm(fusion=name), settings.seed, str(data_path), policy)
        for name, policy in policies.items()
    ]
    encode_once(runs, data)
    if saved is not None:
        num_steps = int(saved["num_steps"])
    elif budget_seconds is not None:
        num_steps = _steps_within(budget_seconds, settings, policies, data_path, data, num_workers)
    else:
        num_steps = settings.training.num_steps
    if saved is None:
        text = json.dumps({"wanted": wanted, "num_steps": num_steps}, indent=2)
        write_text_atomically(out / PLAN_FILE, text + "\n")
    training = replace(settings.training, num_steps=num_steps)
    return Plan(replace(settings, training=training), data_path, data, policies)


def _steps_within(
    budget_seconds: float,
    settings: CompareSettings,
    policies: Mapping[str, PolicyConfig],
    data_path: Path,
    data: Demonstrations,
    num_workers: int,
) -> int:
    """Return how many steps of every training fit into the budget, the robust ones included.

    What n steps of one kind and m of the other take together, `1 / (1 / n + 1 / m)` steps of both
    do. The controls are then in it twice, which leaves some time over.

    Raises:
        OptionError: If not even the warm-up fits.
    """
    rest = (data_path, data, num_workers)
    num_steps = steps_within(budget_seconds, settings, policies, *rest)
    if not settings.has_robust:
        return num_steps
    robust = replace(settings, training=replace(settings.training, robust=settings.robust))
    with_tokens = {name: replace(p, missing_tokens=True) for name, p in policies.items()}
    num_robust = steps_within(budget_seconds, robust, with_tokens, *rest)
    num_steps = num_steps * num_robust // (num_steps + num_robust)
    if num_steps <= settings.training.warmup_steps:
        raise OptionError(
            f"a budget of {budget_seconds:.0f} s is {num_steps} steps for every strategy with and "
            f"without robust training, less than the warm-up of {settings.training.warmup_steps}; "
            "give it more time"
        )
    return num_steps


def match_sizes(settings: CompareSettings, spec: DataSpec) -> dict[str, PolicyConfig]:
    """Give every strategy the number of parameters of the reference policy, within 15 %.

    Raises:
        OptionError: If a strategy cannot be brought to that size.
    """
    target = parameter_count(settings.policy, spec)
    policies = {}
    for name in settings.fusions:
        is_reference = name == settings.policy.fusion.name
        options = settings.policy.fusion.options if is_reference else {}
        policy = replace(settings.policy, fusion=Component(name=name, options=options))
        policy = match_parameters(policy, spec, target)
        count = parameter_count(policy, spec)
        if abs(count - target) > PARAMETER_TOLERANCE * target:
            raise OptionError(
                f"the strategy {name!r} has {count:,} parameters and cannot be brought within "
                f"{PARAMETER_TOLERANCE:.0%} of {target:,}, the size of the others: its hidden_dim "
                "must scale its size"
            )
        policies[name] = policy
    return policies


def check_environment(env_name: str, settings: CompareSettings, data: Demonstrations) -> None:
    """Refuse an environment that the policies could not act in, before they are trained.

    Raises:
        OptionError: If the environment lacks a camera.
        ShapeError: If the state or the action has another size than in the demonstrations.
    """
    options = render_options(env_name, data.view)
    options |= {"image_size": settings.image_size, "cameras": tuple(data.cameras)}
    try:
        env = make_env(env_name, **options)
    except UnknownNameError as error:
        raise OptionError(
            f"the policies would see through {', '.join(data.cameras)}, but {env_name} lacks one: "
            f"{error}. Choose cameras that demonstrations and environment share with --cameras"
        ) from error
    try:
        observation, _ = env.reset(seed=0)
        action_dim = env.action_space.shape[0] if env.action_space.shape else 0
    finally:
        env.close()
    todo = f"These demonstrations are not of {env_name}; name theirs with --env"
    found = (data.proprio_dim, data.action_dim)
    expected = (len(observation["proprio"]), action_dim)
    if found != expected:
        raise ShapeError("(state, action) of the demonstrations", found, expected, todo)


def _wanted(
    settings: CompareSettings, fingerprint: str, budget_seconds: float | None
) -> dict[str, Any]:
    """Collect what must not change between two calls; a budget replaces the number of steps."""
    wanted: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    wanted["budget_seconds"] = budget_seconds
    wanted["fingerprint"] = fingerprint
    if budget_seconds is not None:
        wanted["training"]["num_steps"] = None
    return wanted


def _as_of_now(saved: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the settings that an older Plait did not have: they were at what their defaults do."""
    beside = {key: saved.get(key) for key in ("budget_seconds", "fingerprint")}
    try:
        num_steps = saved["training"]["num_steps"]
        training = {**saved["training"], "num_steps": num_steps or 1}
        settings = {key: value for key, value in saved.items() if key not in beside}
        known = from_dict(CompareSettings, {**settings, "training": training})
    except (KeyError, TypeError, PlaitError):
        return saved  # of a newer Plait, or no settings at all; the difference will be named
    filled: dict[str, Any] = json.loads(json.dumps(asdict(known)))
    filled["training"]["num_steps"] = num_steps
    return {**filled, **beside}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON ({error})", "a saved plan") from error
    if not isinstance(plan, dict) or not {"wanted", "num_steps"} <= plan.keys():
        raise DataError(path, "no plan", "the fields 'wanted' and 'num_steps'")
    return plan


def _refuse_other(out: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    saved = _as_of_now(saved)
    changed = [key for key in wanted if saved.get(key) != wanted[key]]
    if not changed:
        return
    listed = "; ".join(f"{key} was {saved.get(key)!r}, is {wanted[key]!r}" for key in changed)
    raise OutputError(
        f"{out} holds another comparison ({listed}). Choose another folder with --out, or delete it"
    )
