"""Configurations and models of transformers, from a folder or the hub, with clear errors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from plait.backbones.loading import check_folder, no_model, reads_weights, require_library
from plait.errors import DataError, PlaitError


def load_config(model: str) -> Any:
    """Read a model's configuration.

    Raises:
        PlaitError: If transformers is not installed, or the model cannot be found or read.
    """
    transformers = require_library("transformers", "hf")
    check_folder(model)
    try:
        return transformers.AutoConfig.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise no_model(model, error) from error


def build_model(model: str, config: Any, class_name: str, unused: Sequence[str]) -> Any:
    """Build a model, with its pretrained weights unless those come later.

    Args:
        model: Folder or hub id.
        config: Its configuration, perhaps with fewer layers.
        class_name: Class of transformers.
        unused: Parts of a weight's name that tell that it may be missing.

    Raises:
        PlaitError: If the weights are missing, damaged, or of another model.
    """
    transformers = require_library("transformers", "hf")
    kind = getattr(transformers, class_name)
    if not reads_weights():
        built = kind.from_config(config) if class_name == "AutoModel" else kind(config)
        return built.eval()
    try:
        with _quiet(transformers):
            read, info = kind.from_pretrained(
                model, config=config, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise no_model(model, error) from error
    except Exception as error:
        # safetensors raises a class of its own for a damaged file.
        if type(error).__name__ != "SafetensorError":
            raise
        raise DataError(model, f"damaged weights ({error})", "whole safetensors files") from error
    missing = [
        name
        for name in sorted(info["missing_keys"])
        if not any(part in name.split(".") for part in unused)
    ]
    if missing:
        raise PlaitError(
            f"{model}: the weights lack {len(missing)} tensors of a {config.model_type} model, "
            f"{missing[0]} first; the folder holds another model's weights, or a part of them"
        )
    return read.eval()


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Keep the library's bars and its table of unread weights (the other tower's) to itself."""
    log = transformers.utils.logging
    verbosity, had_bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if had_bars:
            log.enable_progress_bar()
