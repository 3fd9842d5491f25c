"""Which numbers a robust training can have, and its randomness: a pure function of (seed, step)."""

from collections.abc import Sequence

import numpy as np

from plait.config import PolicyConfig, RobustConfig
from plait.data.corrupt import SEVERITIES
from plait.errors import OptionError, UnknownNameError
from plait.training.corrupted import check_augmentation
from plait.training.dropout import EVERY, names_without_source, probability_of
from plait.types import MODALITIES

# Corruptions that write words which were in no instruction.
NEW_WORDS = ("typos", "synonyms", "paraphrase")
# One source of randomness each, so that none changes what another draws.
STREAMS = ("modality dropout", "camera dropout", "augmentation", "gradient noise")


def source(stream: str, seed: int, step: int) -> np.random.Generator:
    """Return the randomness of one step of a training."""
    return np.random.default_rng([STREAMS.index(stream), seed, step])


def check_robust(robust: RobustConfig) -> None:
    """Refuse numbers and corruptions that no training can have.

    Raises:
        OptionError: Naming the option, its value and what it must be.
        UnknownNameError: If there is no such modality or corruption.
    """
    for name in names_without_source(robust.modality_dropout, MODALITIES):
        raise UnknownNameError("modality of the dropout", name, (EVERY, *MODALITIES))
    dropout = {
        "modality": robust.modality_dropout,
        "camera": robust.camera_dropout,
    }
    for kind, given in dropout.items():
        for name, value in given.items():
            _require_share(f"dropout of {_named(kind, name)}", value)
    _require_share("probability of augmentation", robust.augmentation_probability, is_closed=True)
    total = sum(probability_of(name, robust.modality_dropout) for name in MODALITIES)
    if total >= 1:
        raise OptionError(
            f"the probabilities of modality dropout add up to {total:g}, but must stay below 1: a "
            "sample loses one modality at most"
        )
    if robust.augmentation_severity not in SEVERITIES:
        raise OptionError(
            f"the largest severity of augmentation is {robust.augmentation_severity}, but must be "
            "1, 2, 3, 4 or 5"
        )
    check_augmentation(robust)
    _check_balance(robust)


def check_cameras(robust: RobustConfig, cameras: Sequence[str]) -> None:
    """Refuse dropout of cameras that the data do not have.

    Raises:
        UnknownNameError: Naming the camera.
    """
    for name in names_without_source(robust.camera_dropout, cameras):
        raise UnknownNameError("camera of the dropout", name, (EVERY, *cameras))


def check_words(robust: RobustConfig, policy: PolicyConfig) -> None:
    """Refuse corruptions that write words which the language encoder cannot read.

    Raises:
        OptionError: Naming the corruption.
    """
    language = policy.language
    if language.name != "words" or language.options.get("unknown") == "mask":
        return
    for part in robust.augmentation:
        if part.name in NEW_WORDS:
            raise OptionError(
                f"the corruption {part.name!r} writes words that are in no instruction, and the "
                "encoder 'words' refuses those; use another, such as 'bytes'"
            )


def _named(kind: str, name: str) -> str:
    return f"every {kind}" if name == EVERY else f"the {kind} {name!r}"


def _require_share(name: str, value: float, *, is_closed: bool = False) -> None:
    if not 0 <= value < 1 and not (is_closed and value == 1):
        end = "at most 1" if is_closed else "below 1"
        raise OptionError(f"the {name} is {value:g}, but must be 0 or more and {end}")


def _check_balance(robust: RobustConfig) -> None:
    numbers = {"weight of the auxiliary heads": robust.auxiliary_weight, "ogm-ge": robust.ogm_ge}
    for name, value in numbers.items():
        if not 0 <= value < float("inf"):
            raise OptionError(f"the {name} is {value:g}, but must be a number of 0 or more")
    if robust.ogm_ge and not robust.auxiliary_weight:
        raise OptionError(
            f"ogm-ge is {robust.ogm_ge:g}, but there are no auxiliary heads to tell which modality "
            "dominates; give them a weight, such as 0.3"
        )
