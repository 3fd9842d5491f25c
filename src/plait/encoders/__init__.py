"""Encoders, one a file: its name is the file's name.

Pretrained models have a short form: `hf:FOLDER_OR_ID` and `timm:NAME_OR_FOLDER`.
"""

from plait.config import Component, JsonValue
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
