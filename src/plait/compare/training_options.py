"""Trainings by what differs between their configurations: `dropout, tokens`, `late for film`.

What a training is called follows from its saved configuration, never from the name of its folder.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plait.fusion
from plait import discovery
from plait.config import Component, RunConfig, from_dict
from plait.errors import PlaitError
from plait.fusion.base import Fusion
from plait.training.dropout import EVERY
from plait.training.run import CONFIG_FILE

# What a robust training is made of is told by `INGREDIENTS`; the others change no policy, or are
# the training seed, over which policies are averaged.
TOLD_APART = ("training.robust", "policy.missing_tokens")
NO_DIFFERENCE = (
    "training.seed",
    "training.validation_interval",
    "training.checkpoint_interval",
    "data.feature_cache",
)
_NOTHING = object()


@dataclass(frozen=True)
class Ingredient:
    """One thing that is done against missing, noisy and dominating modalities.

    Attributes:
        short: Its name.
        tell: Spells out how a training does it; empty where it does not.
    """

    short: str
    tell: Callable[[RunConfig], str]


@dataclass(frozen=True)
class Difference:
    """One way in which a training differs from another, in short and in full."""

    short: str
    full: str


def read_training(policy: str) -> RunConfig | None:
    """Read how a saved policy was trained: `config.json` stands beside its folder.

    Returns:
        None where there is none, or none that this Plait can read.
    """
    path = Path(policy).absolute().parent / CONFIG_FILE
    try:
        return from_dict(RunConfig, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, PlaitError):
        return None


def differences(training: RunConfig, base: RunConfig) -> list[Difference]:
    """Name everything in which a training differs from another, but for its seed."""
    found = []
    for each in INGREDIENTS:
        now, before = each.tell(training), each.tell(base)
        if now and now != before:
            # Where both do it, only the numbers tell them apart.
            found.append(Difference(now if before else each.short, now))
        elif before and not now:
            found.append(Difference(f"no {each.short}", f"without {before}"))
    values, old_values = _flat(training), _flat(base)
    found += [
        _plain_difference(name, value, old_values.get(name))
        for name, value in values.items()
        if value != old_values.get(name)
    ]
    return found


def names_of(groups: Sequence[Sequence[Difference]]) -> list[str]:
    """Name each of several trainings by its differences: in short, or in full to tell them apart.

    Raises:
        ValueError: If one has no difference.
    """
    if not all(groups):
        raise ValueError("a training without a difference has no name of its own")
    short = [" + ".join(each.short for each in group) for group in groups]
    full = [" + ".join(each.full for each in group) for group in groups]
    return [
        name if short.count(name) == 1 else longer for name, longer in zip(short, full, strict=True)
    ]


def _plain_difference(name: str, value: Any, before: Any) -> Difference:
    _, _, last = name.rpartition(".")
    words = last.removeprefix("num_").replace("_", " ")
    if dataclasses.is_dataclass(value) and type(value) is type(before) and not _is_part(value):
        text = " and ".join(_fields_that_differ(words, value, before))
    elif name == "data.path":
        text = f"trained on {value} in place of {before}"
    elif isinstance(value, Component):
        text = _component_difference(value, before)
        text = text if last == "fusion" else f"{words} {text}"
    else:
        text = f"{words} {_written(value)} in place of {_written(before)}"
    return Difference(text, text)


def _is_part(value: Any) -> bool:
    return isinstance(value, Component)


def _fields_that_differ(words: str, value: Any, before: Any) -> list[str]:
    """Name what differs within a setting of several fields, e.g. how actions are written."""
    pairs = {
        item.name: (getattr(value, item.name), getattr(before, item.name))
        for item in dataclasses.fields(value)
    }
    return [
        f"{words} {name.replace('_', ' ')} {_written(now)} in place of {_written(then)}"
        for name, (now, then) in pairs.items()
        if now != then
    ]


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "none"


def _flat(training: RunConfig) -> dict[str, Any]:
    """Return the settings by dotted name, without what is told otherwise or makes no difference."""
    found: dict[str, Any] = {}
    for part in ("data", "policy", "training"):
        section = getattr(training, part)
        for item in dataclasses.fields(section):
            found[f"{part}.{item.name}"] = getattr(section, item.name)
    found["policy.fusion"] = _without_defaults(training.policy.fusion)
    found["data.path"] = str(Path(training.data.path).absolute())
    found |= {"masked": training.masked, "init": training.init}
    return {
        name: value for name, value in found.items() if name not in (*TOLD_APART, *NO_DIFFERENCE)
    }


def _without_defaults(fusion: Component) -> Component:
    """Leave out what is as the strategy has it anyway: comparisons spell out its size."""
    try:
        parameters = inspect.signature(discovery.load(plait.fusion, fusion.name, Fusion)).parameters
    except PlaitError:
        return fusion
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    options = {k: v for k, v in fusion.options.items() if defaults.get(k, _NOTHING) != v}
    return Component(name=fusion.name, options=options)


def _component_difference(now: Component, before: Component) -> str:
    """Name both; only where they are the same do their options matter."""
    if now.name != before.name:
        return f"{now.name} in place of {before.name}"
    return f"{now.name} with {_options(now)} in place of {_options(before)}"


def _options(component: Component) -> str:
    parts = [f"{name} {value}" for name, value in component.options.items()]
    return ", ".join(parts) or "its defaults"


def _dropout(training: RunConfig) -> str:
    robust = training.training.robust
    given = {"modalities": robust.modality_dropout, "cameras": robust.camera_dropout}
    parts = [f"{kind} {_probabilities(each)}" for kind, each in given.items() if _is_on(each)]
    return f"dropout of {' and '.join(parts)}" if parts else ""


def _is_on(probabilities: Mapping[str, float]) -> bool:
    return any(probabilities.values())


def _probabilities(given: Mapping[str, float]) -> str:
    if set(given) == {EVERY}:
        return f"{given[EVERY]:g}"
    return ", ".join(f"{name} {value:g}" for name, value in given.items())


def _tokens(training: RunConfig) -> str:
    return "tokens for what is missing" if training.policy.missing_tokens else ""


def _corruptions(training: RunConfig) -> str:
    robust = training.training.robust
    names = [each.name for each in robust.augmentation]
    if not names or not robust.augmentation_probability:
        return ""
    share = f"{100 * robust.augmentation_probability:g}% of the samples"
    return f"{', '.join(names)} in {share}, up to severity {robust.augmentation_severity}"


def _auxiliary(training: RunConfig) -> str:
    weight = training.training.robust.auxiliary_weight
    return f"auxiliary heads of weight {weight:g}" if weight else ""


def _balance(training: RunConfig) -> str:
    strength = training.training.robust.ogm_ge
    return f"OGM-GE of strength {strength:g}" if strength else ""


INGREDIENTS = (
    Ingredient("dropout", _dropout),
    Ingredient("tokens", _tokens),
    Ingredient("corruptions", _corruptions),
    Ingredient("auxiliary heads", _auxiliary),
    Ingredient("OGM-GE", _balance),
)
