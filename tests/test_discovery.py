"""A strategy's name is its file's name; `module:Class` is a user's own."""

import importlib

import pytest

import plait.fusion
from plait import discovery
from plait.errors import PlaitError, UnknownNameError
from plait.fusion.base import Fusion
from plait.fusion.film import FiLMFusion

OWN = """
from plait.fusion.concat import ConcatFusion
from plait.fusion.base import Fusion

class MyFusion(ConcatFusion):
    pass

class Unrelated:
    pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the path; modules imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def make_package(folder, name, **files):
    """Write a strategy folder and import it."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    for file, text in files.items():
        (package / f"{file}.py").write_text(text)
    return importlib.import_module(name)


def test_names_are_the_files_of_the_folder(folder):
    empty = ""
    package = make_package(folder, "strategies_a", zebra=empty, ape=empty, base=empty, _own=empty)
    assert discovery.available(package) == ["ape", "zebra"]


def test_every_design_strategy_loads_by_its_file_name():
    names = discovery.available(plait.fusion)
    assert {"concat", "cross_attention", "early", "film", "late", "transformer"} <= set(names)
    assert discovery.load(plait.fusion, "film", Fusion) is FiLMFusion


def test_the_one_class_a_file_defines_is_found(folder):
    package = make_package(
        folder,
        "strategies_b",
        one="from strategies_b.base import Thing\nclass One(Thing): ...\nclass Helper: ...",
        base="class Thing: ...",
    )
    base = importlib.import_module("strategies_b.base").Thing
    found = discovery.load(package, "one", base)
    assert (found.__name__, found.__module__) == ("One", "strategies_b.one")


@pytest.mark.parametrize(("num_classes", "text"), [(0, ""), (2, OWN + "\nclass B(MyFusion): pass")])
def test_a_file_without_exactly_one_class_is_refused(folder, num_classes, text):
    package = make_package(folder, f"strategies_c{num_classes}", many=text)
    match = rf"many defines {num_classes} concrete Fusion classes; .* must define exactly one"
    with pytest.raises(PlaitError, match=match):
        discovery.load(package, "many", Fusion)


def test_abstract_classes_do_not_count(folder):
    text = OWN.replace("class Unrelated", "class Abstract(Fusion)")
    package = make_package(folder, "strategies_d", mine=text)
    assert discovery.load(package, "mine", Fusion).__name__ == "MyFusion"


def test_a_misspelt_name_gets_the_close_match():
    with pytest.raises(
        UnknownNameError, match="unknown fusion 'flim'; did you mean 'film'"
    ) as error:
        discovery.load(plait.fusion, "flim", Fusion)
    assert "cross_attention" in str(error.value)
    assert "A class of your own is written module:Class" in str(error.value)


def test_private_and_base_files_are_no_strategies():
    with pytest.raises(UnknownNameError, match="unknown fusion 'base'"):
        discovery.load(plait.fusion, "base", Fusion)


def test_a_class_of_ones_own_loads_as_module_and_class(folder):
    (folder / "my_strategies.py").write_text(OWN)
    kind = discovery.load(plait.fusion, "my_strategies:MyFusion", Fusion)
    assert kind.__name__ == "MyFusion"
    assert issubclass(kind, Fusion)


@pytest.mark.parametrize(
    ("name", "kind", "match"),
    [
        ("my_other:MyFuson", UnknownNameError, "unknown class in my_other 'MyFuson'; did you mean"),
        ("my_other:Unrelated", PlaitError, "my_other:Unrelated is not a plait.fusion.base.Fusion"),
        ("my_othr:MyFusion", PlaitError, "cannot import 'my_othr' for .*No module named 'my_othr'"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused(folder, name, kind, match):
    (folder / "my_other.py").write_text(OWN)
    with pytest.raises(kind, match=match):
        discovery.load(plait.fusion, name, Fusion)
