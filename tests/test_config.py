"""Configurations from JSON: exact round trips and errors that name the field."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from plait.config import (
    Component,
    DataConfig,
    DataSpec,
    PolicyConfig,
    RunConfig,
    TrainingConfig,
    from_dict,
    to_json,
)
from plait.errors import OptionError, PlaitError, UnknownNameError

RUN = RunConfig(
    data=DataConfig(path="data", cameras=("base",), image_size=32),
    policy=PolicyConfig(fusion=Component(name="film", options={"num_blocks": 2}), width=24),
    training=TrainingConfig(num_steps=7, learning_rate=1e-3, precision="bf16"),
    masked=("language",),
)


@dataclass(frozen=True)
class Everything:
    """One field of every kind."""

    name: str
    number: float
    count: int = 3
    flag: bool = False
    pair: tuple[int, str] = (1, "a")
    many: tuple[float, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict)
    maybe: int | None = None
    inner: DataConfig | None = None


VALID = {"name": "x", "number": 1.5}


def test_json_round_trip_is_exact():
    assert from_dict(RunConfig, json.loads(to_json(RUN))) == RUN


def test_json_is_sorted_and_complete():
    data = json.loads(to_json(RUN))
    assert list(data) == sorted(data)
    assert set(data["training"]) == {item.name for item in dataclasses.fields(TrainingConfig)}


def test_only_configurations_are_written():
    with pytest.raises(TypeError, match="is not a configuration"):
        to_json({"a": 1})
    with pytest.raises(TypeError, match="is not a configuration"):
        to_json(RunConfig)


def test_values_are_converted_to_the_declared_types():
    data = {**VALID, "number": 2, "pair": [5, "b"], "many": [1, 2.5], "parts": {"a": 1}}
    made = from_dict(Everything, {**data, "inner": {"path": "p", "cameras": ["base"]}})
    assert made.number == 2.0
    assert isinstance(made.number, float)
    assert (made.pair, made.many, made.parts) == ((5, "b"), (1.0, 2.5), {"a": 1})
    assert made.inner == DataConfig(path="p", cameras=("base",))
    assert from_dict(Everything, {**VALID, "maybe": None}).maybe is None
    assert from_dict(Everything, {**VALID, "maybe": 7}).maybe == 7


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": 3}, "Everything.name must be str, but is 3"),
        ({"number": "1"}, "Everything.number must be float, but is '1'"),
        ({"number": True}, "Everything.number must be float, but is True"),
        ({"count": 2.5}, "Everything.count must be int, but is 2.5"),
        ({"count": True}, "Everything.count must be int, but is True"),
        ({"flag": 1}, "Everything.flag must be bool, but is 1"),
        ({"pair": [1]}, "Everything.pair must have 2 entries, but has 1"),
        ({"pair": "ab"}, "Everything.pair must be a list, but is 'ab'"),
        ({"many": [1, "b"]}, "Everything.many must be float, but is 'b'"),
        ({"parts": [1]}, r"Everything.parts must be a JSON object, but is \[1\]"),
        ({"parts": {"a": "b"}}, "Everything.parts.a must be int, but is 'b'"),
        ({"maybe": "x"}, "Everything.maybe must be int, but is 'x'"),
        ({"inner": 3}, "DataConfig must be a JSON object, but is int"),
        ({"inner": {}}, "DataConfig lacks the field 'path'"),
    ],
)
def test_wrong_values_are_refused_by_name(change, match):
    with pytest.raises(OptionError, match=match):
        from_dict(Everything, {**VALID, **change})


def test_missing_and_unknown_fields_are_refused():
    with pytest.raises(OptionError, match="Everything lacks the field 'number'"):
        from_dict(Everything, {"name": "x"})
    match = "unknown field of TrainingConfig 'learning_rte'; did you mean 'learning_rate'"
    with pytest.raises(UnknownNameError, match=match):
        from_dict(TrainingConfig, {"learning_rte": 1.0})


def test_a_value_that_is_no_object_is_refused():
    with pytest.raises(OptionError, match="RunConfig must be a JSON object, but is list"):
        from_dict(RunConfig, [])


def test_configurations_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError, match="width"):
        RUN.policy.width = 3
    with pytest.raises(TypeError, match="positional"):
        Component("film")


def test_defaults_are_not_shared():
    first, second = Component(name="a"), Component(name="b")
    assert first.options == second.options == {}
    assert first.options is not second.options


def test_errors_of_input_have_one_base():
    for kind in (UnknownNameError, OptionError):
        assert issubclass(kind, PlaitError)
    text = str(UnknownNameError("word", "x", ()))
    assert text == "unknown word 'x' (known: none)"
    assert DataSpec(cameras=(), image_size=8, proprio_dim=1, action_dim=1).observation_window == 1
