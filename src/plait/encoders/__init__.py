"""Encoders, one a file: its name is the file's name.

Pretrained models have a short form: `hf:FOLDER_OR_ID` and `timm:NAME_OR_FOLDER`.
"""

import importlib
from typing import cast, get_args

from plait import discovery
from plait.config import Component, DataSpec, JsonValue
from plait.encoders.base import Encoder, Level
from plait.errors import OptionError
from plait.types import LANGUAGE, VISION

# The encoder that reads a model of another library, by the short form's prefix and the modality.
ADAPTERS = {
    ("hf", VISION): "hf_vision",
    ("hf", LANGUAGE): "hf_text",
    ("timm", VISION): "timm_vision",
}
PRETRAINED = (*ADAPTERS.values(), "sentence")


def parse_encoder(text: str, modality: str, **options: JsonValue) -> Component:
    """Read what a user typed for an encoder: a file's name, `module:Class`, `hf:...`, `timm:...`.

    Args:
        text: What was typed.
        modality: Which modality it is for.
        options: For pretrained encoders only, such as `tuning`; None leaves the default.

    Raises:
        OptionError: If a prefix has no encoder of the modality or names no model, or an encoder
            that is not pretrained is given options.
    """
    given = {name: value for name, value in options.items() if value is not None}
    prefix, has_model, model = text.partition(":")
    if has_model and prefix in {known for known, _ in ADAPTERS}:
        if (prefix, modality) not in ADAPTERS:
            raise OptionError(f"{prefix}: has no encoder for {modality}, so {text!r} cannot be one")
        if not model:
            raise OptionError(f"{text!r} names no model; write {prefix}:FOLDER or {prefix}:ID")
        return Component(name=ADAPTERS[prefix, modality], options={"model": model, **given})
    if given and text not in PRETRAINED:
        raise OptionError(
            f"the encoder {text!r} is not pretrained, so it has no {' or '.join(given)}"
        )
    return Component(name=text, options=given)


def build_encoder(
    component: Component, modality: str, data: DataSpec, width: int, level: Level
) -> Encoder:
    """Construct an encoder by its name.

    Raises:
        UnknownNameError: If there is none of that name, or it lacks an option.
        OptionError: If it reads another modality, or refuses an option.
    """
    package = importlib.import_module(__name__)
    kind = discovery.load(package, component.name, Encoder)  # type: ignore[type-abstract]
    if kind.modality != modality:
        raise OptionError(
            f"the encoder {component.name!r} reads {kind.modality}, so it cannot be used for "
            f"{modality}"
        )
    if level not in get_args(Level):
        raise OptionError(f"{level!r} is not a level of encoders")
    return cast(Encoder, discovery.build(kind, component, data, width, level))
