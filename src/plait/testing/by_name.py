"""Check a strategy, encoder or head by its name, as `plait check` does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from torch import nn

import plait.encoders.chunks
import plait.fusion
import plait.heads
from plait import discovery
from plait.backbones.loading import without_weights
from plait.encoders import ADAPTERS, parse_encoder
from plait.encoders.base import Encoder
from plait.encoders.chunks.base import ChunkEncoder
from plait.errors import ContractError, OptionError, PlaitError, UnknownNameError
from plait.fusion.base import Fusion
from plait.heads.base import Head
from plait.testing.chunk_encoder import CHUNK_ENCODER_CHECKS, check_chunk_encoder
from plait.testing.encoder import ENCODER_CHECKS, check_encoder
from plait.testing.fake import FAKE_DATA, WIDTH
from plait.testing.fusion import FUSION_CHECKS, check_fusion
from plait.testing.head import HEAD_CHECKS, check_head

KINDS: tuple[tuple[str, ModuleType, type[nn.Module], Any, int], ...] = (
    ("fusion", plait.fusion, Fusion, check_fusion, len(FUSION_CHECKS)),
    ("encoder", plait.encoders, Encoder, check_encoder, len(ENCODER_CHECKS)),
    ("head", plait.heads, Head, check_head, len(HEAD_CHECKS)),
    (
        "encoder of action chunks",
        plait.encoders.chunks,
        ChunkEncoder,
        check_chunk_encoder,
        len(CHUNK_ENCODER_CHECKS),
    ),
)


@dataclass(frozen=True)
class Checked:
    """A class that keeps its contract.

    Attributes:
        name: As it was asked for.
        kind: `fusion`, `encoder`, `head` or `encoder of action chunks`.
        num_checks: How many checks it passed.
    """

    name: str
    kind: str
    num_checks: int


def check_by_name(name: str) -> Checked:
    """Check a file's name of one of the strategy folders, `module:Class`, `hf:...` or `timm:...`.

    Raises:
        UnknownNameError: If there is no such strategy, encoder or head.
        PlaitError: If the class is none of them, or cannot be imported.
        ContractError: If it breaks its contract; every broken rule is named with its likely cause.
    """
    if name.partition(":")[0] in {prefix for prefix, _ in ADAPTERS}:
        return _check_pretrained(name)
    if name in ADAPTERS.values():
        raise PlaitError(f"{name} is checked with a model: plait check hf:FOLDER (or timm:NAME)")
    for kind, package, base, check, num_checks in KINDS:
        if ":" in name:
            found = discovery.load(package, name, nn.Module)
            if not issubclass(found, base):
                continue
        elif name in discovery.available(package):
            found = discovery.load(package, name, base)
        else:
            continue
        _run(check, found)
        return Checked(name, kind, num_checks)
    if ":" in name:
        wanted = ", ".join(f"{base.__module__}.{base.__name__}" for _, _, base, *_ in KINDS)
        raise PlaitError(f"{name} has no contract to check; derive it from one of: {wanted}")
    known = [each for _, package, *_ in KINDS for each in discovery.available(package)]
    raise UnknownNameError(
        "strategy, encoder or head", name, known, hint="A class of your own is written module:Class"
    )


def _check_pretrained(name: str) -> Checked:
    """Check the encoders that a pretrained model can be: a CLIP reads images and text."""
    prefix, _, model = name.partition(":")
    refusal: OptionError | None = None
    num_checks = 0
    for (known, modality), encoder in ADAPTERS.items():
        if known != prefix:
            continue
        component = parse_encoder(name, modality)
        kind = discovery.load(plait.encoders, encoder, Encoder)  # type: ignore[type-abstract]
        try:
            with without_weights():
                kind(FAKE_DATA, WIDTH, "features", **component.options)
        except OptionError as error:  # a model of the other modality
            refusal = error
            continue
        _run(partial(check_encoder, model=model), kind)
        num_checks += len(ENCODER_CHECKS)
    if not num_checks and refusal is not None:
        raise refusal
    return Checked(name, "encoder", num_checks)


def _run(check: Callable[[Any], None], kind: type[nn.Module]) -> None:
    try:
        check(kind)
    except AssertionError as error:
        raise ContractError(str(error)) from error
