"""The contract of an objective: a batch of embeddings in, one loss and its parts out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch import distributed as dist

from plait.alignment.base import PAIRS, Embeddings, pair_name
from plait.errors import OptionError, UnknownNameError
from plait.masks import is_all_real

MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class ObjectiveLoss:
    """What a training step minimises, and its parts for the log."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]]


class LogitScale(nn.Module):
    """A learned inverse temperature, kept as its logarithm and between 1 and `largest`.

    A raw temperature, as the textbook learns it, can be stepped to zero and past it. The logarithm
    cannot, and the bound (CLIP's, Radford et al., 2021) keeps it from running away: the parameter
    is put back before every use. With `ramp_steps` the bound itself rises from the initial value
    to `largest` over so many training steps: a temperature that falls late leaves a smaller gap
    between the modalities (Yaras et al., 2024).

    Raises:
        OptionError: If the initial value lies outside the bounds.
    """

    steps: Tensor

    def __init__(
        self, initial: float, largest: float = MAX_LOGIT_SCALE, ramp_steps: int = 0
    ) -> None:
        super().__init__()
        if not 1 <= initial <= largest:
            raise OptionError(
                f"the logit scale starts at {initial}, but must lie between 1 and {largest}"
            )
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(initial)))
        self.initial, self.largest, self.ramp_steps = initial, largest, ramp_steps
        # A part of the state: a resumed training must go on with the same bound.
        self.register_buffer("steps", torch.zeros(()))

    def forward(self) -> Float[Tensor, ""]:
        """Return the scale; the parameter is bounded first, in place."""
        with torch.no_grad():
            self.log_logit_scale.clamp_(0.0, math.log(self.bound()))
            if self.training:
                self.steps += 1
        return self.log_logit_scale.exp()

    def bound(self) -> float:
        """Return the largest value at present."""
        if not self.ramp_steps:
            return self.largest
        share = min(float(self.steps) / self.ramp_steps, 1.0)
        return self.initial + share * (self.largest - self.initial)


class Objective(nn.Module, ABC):
    """Base of every objective; options are keyword-only with defaults.

    Attributes:
        process_group: Processes whose batches are one, where there are several.
    """

    process_group: dist.ProcessGroup | None = None

    @abstractmethod
    def forward(self, embeddings: Embeddings) -> ObjectiveLoss:
        """Return the loss of a batch."""

    def present(
        self, embeddings: Embeddings, modalities: tuple[str, ...]
    ) -> Bool[Tensor, " batch"] | None:
        """Return which samples have all of some modalities; None where that is all samples.

        Processes that share a batch never take that shortcut: each would have to know of all.
        """
        present = embeddings.present[modalities[0]]
        for modality in modalities[1:]:
            present = present & embeddings.present[modality]
        return None if self.process_group is None and is_all_real(present) else present

    def refuse_several_processes(self) -> None:
        """Refuse a batch that is spread over processes, where an objective cannot see all of it.

        Raises:
            OptionError: If there are several.
        """
        if self.process_group is not None:
            name = type(self).__name__
            raise OptionError(f"{name} needs the whole batch in one process; use info_nce")

    def logit_scales(self) -> dict[str, float]:
        """Return the learned scales by name."""
        return {
            name.removesuffix(".log_logit_scale"): float(value.detach().exp())
            for name, value in self.named_parameters()
            if name.endswith("log_logit_scale")
        }


def check_weights(weights: Mapping[str, float] | None) -> dict[str, float]:
    """Return the weight of every pair: 1 where none is given.

    Raises:
        UnknownNameError: If a name is no pair.
        OptionError: If a weight is negative or all are zero.
    """
    names = [pair_name(*pair) for pair in PAIRS]
    for name, weight in (weights or {}).items():
        if name not in names:
            raise UnknownNameError("pair of modalities", name, names)
        if weight < 0:
            raise OptionError(f"the weight of {name} is {weight}, but must be 0 or more")
    full = dict.fromkeys(names, 1.0) | dict(weights or {})
    if not any(full.values()):
        raise OptionError("all pairs have the weight 0, so there is nothing to align")
    return full


def mean_of_parts(
    parts: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float], embeddings: Embeddings
) -> ObjectiveLoss:
    """Return the weighted mean of the parts that are there; zero where there is none."""
    share = sum(weights[name] for name in parts)
    if not share:
        nothing = torch.stack([values.sum() for values in embeddings.values.values()]).sum() * 0.0
        return ObjectiveLoss(nothing, {})
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum() / share
    return ObjectiveLoss(total, {name: part.detach() for name, part in parts.items()})


def check_repeats(repeats: str) -> bool:
    """Return whether samples with the same instruction are masked.

    Raises:
        OptionError: If `repeats` is neither `mask` nor `keep`.
    """
    if repeats not in ("mask", "keep"):
        raise OptionError(f"repeats must be 'mask' or 'keep', but is {repeats!r}")
    return repeats == "mask"


def groups_of(
    embeddings: Embeddings, pair: tuple[str, str], *, has_masked_repeats: bool
) -> Int[Tensor, " batch"] | None:
    """Return the groups whose members are no negatives of one another: those of a text pair only.

    Between vision and action two samples of one task are two different moments. To take them for
    the same ruins what the embedding knows of the motion.
    """
    has_text = "language" in pair
    return embeddings.groups if has_text and has_masked_repeats else None
