"""Where a pretrained model comes from, and what is said when it cannot be had.

A model is a folder, or an id of the Hugging Face hub. Weights are read from safetensors alone:
nothing that was downloaded is ever unpickled, and no code of a model's repository is run.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType

from plait.errors import DataError, PlaitError

CONFIG_FILE = "config.json"
_reads_weights: ContextVar[bool] = ContextVar("reads_weights", default=True)


@contextmanager
def without_weights() -> Iterator[None]:
    """Build models from their configuration alone: their weights come later, or never."""
    token = _reads_weights.set(False)
    try:
        yield
    finally:
        _reads_weights.reset(token)


def reads_weights() -> bool:
    """Whether a model that is built now reads its pretrained weights."""
    return _reads_weights.get()


def require_library(name: str, extra: str, *, user: str = "this encoder") -> ModuleType:
    """Import an optional library that `user` needs.

    Raises:
        PlaitError: If it is not installed; says which extra has it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PlaitError(
            f"{user} needs {name}, which is not installed ({error}); "
            f"run: pip install 'plait[{extra}]'"
        ) from error


def check_folder(model: str) -> None:
    """Refuse a folder that holds no model of a kind that is read here; other names pass.

    Raises:
        DataError: Naming the file that is missing.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return
    if not (folder / CONFIG_FILE).exists():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise DataError(
            folder / CONFIG_FILE,
            f"no such file (the folder holds: {found})",
            "a folder that the model's save_pretrained wrote",
        )
    if reads_weights() and not list(folder.glob("*.safetensors")):
        raise DataError(
            folder,
            "no .safetensors file",
            "the weights beside config.json; other formats would have to be unpickled",
            "Save the model again with safe_serialization=True",
        )


def no_model(model: str, error: Exception) -> PlaitError:
    """Say where a model was looked for and how to get it."""
    folder = Path(model).expanduser().absolute()
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if folder.is_dir():
        return DataError(folder, f"cannot be read ({reason})", "a whole pretrained model")
    if model.startswith(("/", ".", "~")):
        return PlaitError(f"there is no folder {folder} to read a pretrained model from")
    name = model.rstrip("/").rsplit("/", 1)[-1]
    return PlaitError(
        f"no pretrained model {model!r}: there is no folder {folder}, and the hub gave no such id "
        f"({reason}). Where there is a network: hf download {model} --local-dir {name}; then copy "
        f"that folder here and name it, e.g. hf:./{name}"
    )
