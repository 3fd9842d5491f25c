"""From what a fusion says of itself (`Fused.diagnostics`) to records a report can show.

    name                shape                                      shown as
    any                 [batch] or [batch bars]                    bars, averaged over the samples
    attention...        [batch words (views) rows columns]         heat maps over the first sample

`modality_usage` has one bar a modality, `edge_weight` one a pair of them (receiver, sender). Views
are cameras × window steps, as in `TokenSpec`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from plait.encoders.words import split_words
from plait.errors import ShapeError
from plait.evaluation.cost import first_sample
from plait.evaluation.files import write_png
from plait.execution import PredictsChunks
from plait.results import Diagnostic
from plait.types import MODALITIES, Fused, Observation

ATTENTION = "attention"
NOTES = {
    "modality_usage": "Weight the fusion gives each modality, averaged over {count} samples.",
    "edge_weight": "Share of what a node receives by the sender's modality, last layer, averaged "
    "over the receiver's nodes and {count} samples.",
    ATTENTION: "Where each word looks: attention to the patches of this view, head average.",
}
LABELS = {
    "modality_usage": MODALITIES,
    "edge_weight": tuple(f"{to} from {sender}" for to in MODALITIES for sender in MODALITIES),
}
OTHER_NOTE = "As the fusion reports it, averaged over {count} samples."


@runtime_checkable
class Fuses(PredictsChunks, Protocol):
    """A policy whose fusion can be looked into."""

    training: bool

    def fuse(self, observation: Observation) -> Fused:
        """Encode and weave an observation."""

    def train(self, mode: bool = True) -> Any:  # noqa: FBT001, FBT002 - torch's own signature
        """Switch between training and evaluation."""


def fusion_diagnostics(
    policy: Fuses, observation: Observation, folder: Path
) -> tuple[Diagnostic, ...]:
    """Describe what the fusion says of itself on held-out samples.

    Args:
        policy: The trained policy.
        observation: Held-out samples; bars average over them, heat maps show the first.
        folder: Folder of the run, where the pictures under the heat maps are written.

    Returns:
        Bars and heat maps; empty if the strategy reports nothing.

    Raises:
        ShapeError: If a diagnostic has none of the shapes above.
        OutputError: If the folder cannot be written.
    """
    all_samples, one_sample = _fuse(policy, observation), _fuse(policy, first_sample(observation))
    records: list[Diagnostic] = []
    for name, values in all_samples.items():
        values = values.detach().float().cpu()
        if values.ndim <= 2:
            records.append(_bars(name, values))
        elif name.startswith(ATTENTION) and values.ndim in (4, 5):
            maps = one_sample[name].detach().float().cpu()[0]
            records += _heat_maps(name, maps, policy, observation, folder)
        else:
            raise ShapeError(
                f"diagnostic {name!r} of the fusion",
                tuple(values.shape),
                "[batch], [batch bars] or, named attention, [batch words (views) rows columns]",
            )
    return tuple(records)


def _fuse(policy: Fuses, observation: Observation) -> Mapping[str, Tensor]:
    was_training = policy.training
    policy.train(False)  # noqa: FBT003 - torch's own signature
    try:
        with torch.no_grad():
            return policy.fuse(observation).diagnostics
    finally:
        policy.train(was_training)


def _bars(name: str, values: Float[Tensor, "batch *bars"]) -> Diagnostic:
    means = values.mean(dim=0).reshape(-1).tolist()
    labels: tuple[str, ...]
    if len(LABELS.get(name, ())) == len(means):
        labels = LABELS[name]
    elif len(means) == 1:
        labels = (name,)
    else:
        labels = tuple(str(index + 1) for index in range(len(means)))
    note = NOTES.get(name, OTHER_NOTE).format(count=len(values))
    rounded = tuple(round(mean, 4) for mean in means)
    return Diagnostic(name=name, kind="bars", labels=labels, values=rounded, note=note)


def _heat_maps(
    name: str,
    maps: Float[Tensor, "words *views rows columns"],
    policy: PredictsChunks,
    observation: Observation,
    folder: Path,
) -> list[Diagnostic]:
    """Make one record a camera, of the newest step of the window."""
    maps = maps if maps.ndim == 4 else maps.unsqueeze(1)
    cameras = policy.cameras[: maps.shape[1]]
    if maps.shape[1] % len(cameras):
        raise ShapeError(f"diagnostic {name!r}", tuple(maps.shape), "whole windows of each camera")
    by_camera = maps.unflatten(1, (len(cameras), -1))[:, :, -1]
    words = split_words(observation.instruction[0])
    # Another tokeniser than ours may cut words up; then positions are all that can be said.
    if len(words) != len(maps):
        words = [f"token {index + 1}" for index in range(len(maps))]
    records = []
    for index, camera in enumerate(cameras):
        file = f"{name}_{camera}.png"
        picture = observation.images[camera][0, -1].permute(1, 2, 0).contiguous().cpu()
        write_png(folder / file, picture.numpy())
        values = [
            [[round(v, 4) for v in row] for row in grid] for grid in by_camera[:, index].tolist()
        ]
        record = Diagnostic(
            name=f"{name}, {camera}" if len(cameras) > 1 else name,
            kind="heatmap",
            labels=tuple(words),
            values=tuple(values),
            image=file,
            note=NOTES[ATTENTION],
        )
        records.append(record)
    return records
