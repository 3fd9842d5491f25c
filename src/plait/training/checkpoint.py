"""A resumable checkpoint: weights, their average, the optimiser's moments and the position.

One safetensors file with its JSON in the header, so that one rename makes it whole. Data order,
augmentation and dropout are pure functions of (seed, step): the step is all the position there is.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from plait.config import TrainingConfig, from_dict
from plait.errors import CheckpointError, PlaitError
from plait.model_folder import save_tensors
from plait.results import CurvePoint
from plait.training.ema import ExponentialMovingAverage

FORMAT_VERSION = "1"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Position:
    """Where a training stands.

    Attributes:
        step: Steps done.
        seconds: Wall time spent in them.
        curve: Learning curve so far.
    """

    step: int = 0
    seconds: float = 0.0
    curve: tuple[CurvePoint, ...] = ()


class TrainingState:
    """Everything of a training that changes, saved and restored together."""

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, ema: ExponentialMovingAverage
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.ema = ema

    def _tensors(self) -> dict[str, Tensor]:
        # What is frozen stands in the pretrained model, and would be most of every checkpoint.
        frozen = {n for n, p in self.module.named_parameters() if not p.requires_grad}
        state = self.module.state_dict()
        tensors = {f"module.{k}": v for k, v in state.items() if k not in frozen}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state().items()}
        for name, parameter in self.module.named_parameters():
            moments = self.optimizer.state.get(parameter, {})
            tensors |= {f"{key}.{name}": moments[key] for key in MOMENTS if key in moments}
        return {key: value.detach().contiguous() for key, value in tensors.items()}

    def save(self, path: Path, position: Position, config: TrainingConfig) -> None:
        """Write the checkpoint under a temporary name, then rename.

        Raises:
            OutputError: If the folder cannot be written or the disk is full.
        """
        header = {
            "format_version": FORMAT_VERSION,
            "config": json.dumps(asdict(config)),
            "position": json.dumps(asdict(position)),
        }
        save_tensors(path, self._tensors(), header, what="checkpoint")

    def load(self, path: Path, config: TrainingConfig) -> Position:
        """Restore a checkpoint; without one, start at step 0.

        Raises:
            CheckpointError: If the file is damaged, of another version, or of other settings.
        """
        if not path.exists():
            return Position()
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                position = _check_header(path, header, config)
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path}: not a whole checkpoint ({error}); delete it to train from the start"
            ) from error
        try:
            self._restore(tensors)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: made by a policy of other parts or sizes; use another output folder, or "
                "delete this one to train from the start"
            ) from error
        return position

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            start = f"{prefix}."
            return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

        frozen = {n for n, p in self.module.named_parameters() if not p.requires_grad}
        missing, unexpected = self.module.load_state_dict(part("module"), strict=False)
        if set(missing) != frozen or unexpected:
            raise KeyError(f"{sorted(set(missing) ^ frozen)[:1]} {unexpected[:1]}")
        self.ema.load_state(part("ema"))
        moments = {key: part(key) for key in MOMENTS}
        for name, parameter in self.module.named_parameters():
            if name in moments["step"]:
                self.optimizer.state[parameter] = {
                    key: moments[key][name].to(parameter.device) for key in MOMENTS
                }


def _check_header(path: Path, header: Mapping[str, str], config: TrainingConfig) -> Position:
    version = header.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint of version {version}, but this Plait reads {FORMAT_VERSION}; "
            "delete it to train from the start"
        )
    saved: dict[str, Any] = json.loads(header["config"])
    # Through JSON, which has lists for tuples; what an older Plait did not save had its default.
    now, usual = (json.loads(json.dumps(asdict(c))) for c in (config, TrainingConfig()))
    saved = {**usual, **saved}
    changed = [key for key in now if saved[key] != now[key]]
    if changed:
        listed = ", ".join(f"{key} was {saved[key]}, is {now[key]}" for key in changed)
        raise CheckpointError(
            f"{path}: made with other settings ({listed}); use another output folder, or delete "
            "this one to train from the start"
        )
    try:
        return from_dict(Position, json.loads(header["position"]))
    except PlaitError as error:
        raise CheckpointError(f"{path}: {error}") from error
