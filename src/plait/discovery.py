"""Find a strategy by its file name: `fusion/film.py` is `film`; `module:Class` is a user's own.

There is no registry. Dropping a file with one concrete class into a strategy folder is all it
takes for the command line, the conformance tests and the comparison to know it.
"""

import importlib
import inspect
import os
import pkgutil
import sys
from types import ModuleType
from typing import Any, TypeVar

from plait.config import Component
from plait.errors import OptionError, PlaitError, UnknownNameError

T = TypeVar("T")


def available(package: ModuleType) -> list[str]:
    """List the strategies of a folder: its files' names; `base`, private ones and folders aside."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)
    return sorted(name for name in names if name != "base" and not name.startswith("_"))


def load(package: ModuleType, name: str, base: type[T]) -> type[T]:
    """Return the one concrete subclass of `base` that the named file defines.

    Args:
        package: The strategy folder, e.g. `plait.fusion`.
        name: A file's name in it, or `module:Class` for a class of the user's.
        base: The contract the class must fulfil.

    Raises:
        UnknownNameError: If no file has that name.
        PlaitError: If the file defines no such class, or several.
    """
    if ":" in name:
        return _load_own(name, base)
    if name not in available(package):
        kind = package.__name__.rsplit(".", 1)[-1]
        hint = "A class of your own is written module:Class"
        raise UnknownNameError(kind, name, available(package), hint=hint)
    module = importlib.import_module(f"{package.__name__}.{name}")
    found = [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, base)
        and not inspect.isabstract(member)
        and member.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise PlaitError(
            f"{module.__name__} defines {len(found)} concrete {base.__name__} classes; "
            "a strategy file must define exactly one"
        )
    return found[0]


def build(kind: type[Any], component: Component, *arguments: object) -> Any:
    """Construct a part, naming the options it has when given one that it lacks.

    Raises:
        UnknownNameError: If it has no such option.
        OptionError: If it refuses the value of one.
    """
    parameters = inspect.signature(kind).parameters.values()
    known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for option in component.options:
        if option not in known:
            raise UnknownNameError(f"option of {component.name}", option, known)
    try:
        return kind(*arguments, **component.options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"cannot build {component.name}: {error}") from error


def import_own(module_name: str, name: str) -> ModuleType:
    """Import a module of the user's, also from the folder that the command is run in.

    Args:
        module_name: Module to import.
        name: What the user asked for, for the message.

    Raises:
        PlaitError: If it cannot be imported.
    """
    # A console script does not look for modules where it is run; its user expects it to.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise PlaitError(
            f"cannot import {module_name!r} for {name!r}: {error}. "
            "Run from the folder that holds the file, or install its package"
        ) from error


def _load_own(name: str, base: type[T]) -> type[T]:
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name:
        raise PlaitError(f"{name!r} names no class; write module:Class")
    module = import_own(module_name, name)
    member = getattr(module, class_name, None)
    if not inspect.isclass(member):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise UnknownNameError(f"class in {module_name}", class_name, classes)
    if not issubclass(member, base):
        raise PlaitError(f"{name} is not a {base.__module__}.{base.__name__}; derive it from that")
    return member
