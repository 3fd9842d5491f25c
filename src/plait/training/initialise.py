"""Start a policy from aligned towers: their encoders become the policy's."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from plait.aligner import FOLDER, Aligner
from plait.encoders.words import WordEncoder
from plait.errors import OptionError
from plait.policy import Policy


def start_from(policy: Policy, folder: Path | str) -> tuple[str, ...]:
    """Copy the encoders of a saved aligner into a policy.

    A policy that reads an encoder's stem takes the stem. Words that the towers never met keep
    their initial embedding. Encoders that are frozen are the same already.

    Args:
        policy: Changed in place.
        folder: Folder of an aligner, or the one `plait align` wrote it to.

    Returns:
        The modalities that were copied.

    Raises:
        CheckpointError: If there is no whole aligner.
        OptionError: If its encoders are not those of the policy, or read other inputs.
    """
    folder = Path(folder)
    if not (folder / FOLDER.config_file).exists() and (folder / FOLDER.stem).is_dir():
        folder = folder / FOLDER.stem
    aligner = Aligner.load(folder)
    _check_inputs(policy, aligner, folder)
    copied = []
    for modality, encoder in policy.encoders.items():
        if modality not in aligner.encoders or getattr(encoder, "is_frozen", False):
            continue
        _check_encoder(policy, aligner, modality, folder)
        _copy(aligner.encoders[modality], encoder)
        copied.append(modality)
    return tuple(copied)


def _check_inputs(policy: Policy, aligner: Aligner, folder: Path) -> None:
    ours, theirs = asdict(policy.data), asdict(aligner.data)
    same = ["cameras", "image_size", "observation_window", "proprio_dim"]
    # Where one does not say how its pictures were taken, nothing is known to differ.
    same += ["view"] if ours["view"] and theirs["view"] else []
    different = [name for name in same if ours[name] != theirs[name]]
    if different:
        listed = "; ".join(f"{n} {theirs[n]}, the policy {ours[n]}" for n in different)
        raise OptionError(
            f"{folder}: the towers have {listed}; align them on data of the same kind as the "
            "policy's"
        )


def _check_encoder(policy: Policy, aligner: Aligner, modality: str, folder: Path) -> None:
    ours = (getattr(policy.config, modality), policy.config.width)
    theirs = (getattr(aligner.config, modality), aligner.config.width)
    if ours != theirs:
        raise OptionError(
            f"{folder}: the {modality} tower is {_describe(*theirs)}, but the policy's encoder is "
            f"{_describe(*ours)}; both must be the same"
        )


def _describe(component: object, width: int) -> str:
    return f"{component} of width {width}"


def _copy(source: nn.Module, target: nn.Module) -> None:
    """Copy what both have; a stem is a part of the features."""
    theirs, ours = source.state_dict(), target.state_dict()
    if isinstance(source, WordEncoder) and isinstance(target, WordEncoder):
        theirs["embedding.weight"] = _by_word(source, target)
    target.load_state_dict({name: theirs[name] for name in ours})


@torch.no_grad()
def _by_word(source: WordEncoder, target: WordEncoder) -> Tensor:
    """Return the target's table with the source's rows for the words that both know."""
    table = target.embedding.weight.detach().clone()
    table[0] = source.embedding.weight[0]
    for word, row in target.word_index.items():
        if word in source.word_index:
            table[row] = source.embedding.weight[source.word_index[word]]
    return table
