"""How much of a pretrained model is trained: nothing, everything, or low-rank additions."""

import hashlib
from collections.abc import Sequence

import torch
from torch import nn

from plait.backbones.loading import require_library
from plait.errors import OptionError, UnknownNameError

FROZEN, FULL, LORA = "frozen", "full", "lora"
TUNINGS = (FROZEN, FULL, LORA)


def apply_tuning(model: nn.Module, tuning: str, rank: int, unused: Sequence[str] = ()) -> None:
    """Mark which parameters of a model are trained, adding low-rank ones where asked.

    Args:
        model: The pretrained model, changed in place.
        tuning: `frozen`; `full`; or `lora` (Hu et al., 2022): every linear layer W becomes
            W + BA with B and A of rank `rank`, and only those are trained.
        rank: Of the low-rank additions.
        unused: Parts of a parameter's name that tell that no token depends on it.

    Raises:
        UnknownNameError: If there is no such tuning.
        OptionError: If there is no linear layer to adapt.
        PlaitError: If peft is needed and not installed.
    """
    if tuning not in TUNINGS:
        raise UnknownNameError("tuning", tuning, TUNINGS)
    for name, parameter in model.named_parameters():
        is_used = not any(part in name.split(".") for part in unused)
        parameter.requires_grad_(tuning == FULL and is_used)
    if tuning == LORA:
        _add_low_rank(model, rank, unused)


def _add_low_rank(model: nn.Module, rank: int, unused: Sequence[str]) -> None:
    peft = require_library("peft", "lora")
    linear = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and not any(each in name.split(".") for each in unused)
    ]
    if not linear:
        raise OptionError(f"{type(model).__name__} has no linear layer for LoRA; use tuning='full'")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear)
    peft.inject_adapter_in_model(config, model)


def fingerprint(model: nn.Module, *more: object) -> str:
    """Return a hash of every weight of a model and of whatever else decides its output."""
    digest = hashlib.sha256(repr(more).encode())
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(plain.numpy().data)
    return digest.hexdigest()[:16]
