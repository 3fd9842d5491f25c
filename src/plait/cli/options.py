"""Options that several commands share, and how all of them print."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plait.cli.action_options import ActionOptions
from plait.errors import OptionError

if TYPE_CHECKING:
    from plait.config import DataConfig, RobustConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Towers:
    """The encoders of images and instructions."""

    vision: str | None = None
    """Image encoder: conv (default), vit, hf:FOLDER_OR_ID, timm:NAME_OR_FOLDER, or module:Class."""
    language: str | None = None
    """Language encoder: words (default), bytes, sentence, hf:FOLDER_OR_ID, or module:Class."""
    tuning: str | None = None
    """How much of a pretrained encoder is trained: frozen (default), lora, or full."""
    feature_cache: str | None = None
    """What the tokens of frozen encoders are stored as: fp16 (default), bf16, fp32, or off."""

    def given(self) -> dict[str, Any]:
        """Return the parts that were named, as fields of a model's configuration."""
        from plait.encoders import PRETRAINED, parse_encoder

        given: dict[str, Any] = {}
        for modality in ("vision", "language"):
            text = getattr(self, modality)
            if text:
                encoder = parse_encoder(text, modality)
                if self.tuning and encoder.name in PRETRAINED:
                    encoder = parse_encoder(text, modality, tuning=self.tuning)
                given[modality] = encoder
        if self.tuning and not any(e.name in PRETRAINED for e in given.values()):
            raise OptionError("--tuning is for pretrained encoders, and none is named")
        return given


@dataclass(frozen=True, kw_only=True)
class Parts(Towers):
    """What a policy is woven from besides its fusion."""

    head: str | None = None
    """Action head: regression (default), flow, mixture_density, discrete, or module:Class."""
    action_options: ActionOptions = field(default_factory=ActionOptions)

    def given(self) -> dict[str, Any]:
        """Return the parts that were named, as fields of a policy's configuration."""
        from plait.config import Component

        given = super().given()
        if self.head:
            given["head"] = Component(name=self.head)
        spec = self.action_options.spec()
        return given if spec is None else {**given, "actions": spec}


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """What is done against missing, noisy and dominating modalities."""

    modality_dropout: str | None = None
    """Probability that a sample loses a modality: 0.15 for each, or vision=0.1,language=0.2."""
    camera_dropout: str | None = None
    """Probability that a sample loses a camera, where there are several: 0.15, or wrist=0.3."""
    missing_tokens: bool = False
    """Let a learned token stand in for a modality that is absent."""
    augment: str | None = None
    """Corruptions that samples get one of, separated by commas: gaussian_noise,gaussian_blur."""
    augment_probability: float = 0.25
    """Share of the samples that are corrupted."""
    augment_severity: int = 2
    """Largest severity, up to 5; each sample draws its own."""
    auxiliary: float = 0.0
    """Weight of heads that predict the actions from one modality each, e.g. 0.3; 0 for none."""
    ogm_ge: float = 0.0
    """Strength of holding back the modality that dominates, e.g. 0.5; needs auxiliary heads."""

    def config(self) -> "RobustConfig":
        """Return all but the missing tokens, which are a part of the policy."""
        from plait.config import Component, RobustConfig

        return RobustConfig(
            modality_dropout=probabilities(self.modality_dropout),
            camera_dropout=probabilities(self.camera_dropout),
            augmentation=tuple(Component(name=name) for name in names(self.augment) or ()),
            augmentation_probability=self.augment_probability,
            augmentation_severity=self.augment_severity,
            auxiliary_weight=self.auxiliary,
            ogm_ge=self.ogm_ge,
        )


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What every training of one model has in common."""

    data: Path
    """Folder of the dataset, or the id of one on the Hugging Face hub."""
    cameras: str | None = None
    """Cameras to read, separated by commas; all by default."""
    image_size: int = 64
    """Height and width to resize to in pixels."""
    frame_storage: str = "auto"
    """How decoded frames are kept: raw, jpeg, direct (not at all), or the first that fits."""
    cache_gib: float | None = None
    """What decoded frames may take on the disk in GiB; half of what is free by default."""
    steps: int = 2000
    """Optimiser steps at most."""
    batch_size: int = 128
    """Samples a step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    precision: str = "fp32"
    """fp32, or bf16 where the processor has instructions for it."""
    seed: int = 0
    """Of weights, data order and augmentation."""
    tensorboard: bool = False
    """Also write TensorBoard event files."""
    json: bool = False
    """Print the outcome as JSON."""

    def data_config(self, parts: Towers, **more: Any) -> "DataConfig":
        """Return which demonstrations are learned from, and how they are read."""
        from plait.config import DataConfig

        return DataConfig(
            path=str(self.data),
            cameras=names(self.cameras) or (),
            image_size=self.image_size,
            feature_cache=parts.feature_cache or DataConfig.feature_cache,
            frame_storage=self.frame_storage,
            cache_gib=self.cache_gib,
            **more,
        )

    def training_config(self) -> "TrainingConfig":
        """Return how the model is optimised."""
        from plait.config import TrainingConfig

        return TrainingConfig(
            num_steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            precision=self.precision,
            seed=self.seed,
        )


def names(text: str | None) -> tuple[str, ...] | None:
    """Split a comma-separated option."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise OptionError(f"{text!r} names nothing; give one or more names separated by commas")
    return names


def shares(text: str | None) -> tuple[float, ...] | None:
    """Read a comma-separated option of numbers."""
    try:
        return None if text is None else tuple(float(part) for part in names(text) or ())
    except ValueError as error:
        raise OptionError(f"{text!r} must be numbers separated by commas: 0.1,0.3,1") from error


def probabilities(text: str | None) -> dict[str, float]:
    """Read `0.15`, one number for every name, or `vision=0.1,language=0.2`."""
    from plait.training.dropout import EVERY

    given: dict[str, float] = {}
    for part in names(text) or ():
        name, has_name, number = part.rpartition("=")
        name = name.strip() if has_name else EVERY
        if name in given:
            raise OptionError(f"{text!r} gives {name!r} twice")
        try:
            given[name] = float(number)
        except ValueError as error:
            raise OptionError(
                f"{text!r} must be a probability, or names with theirs: 0.15 or "
                "vision=0.1,language=0.2"
            ) from error
    return given


def json_options(text: str) -> dict[str, Any]:
    """Read options of a part."""
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise OptionError(f"the options {text!r} are not valid JSON ({error})") from error
    if not isinstance(options, dict):
        raise OptionError(f"the options must be a JSON object, but are {text!r}")
    return options


def print_json(value: object) -> None:
    """Print for a program, on standard output."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def print_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values as a table, or as JSON."""
    if as_json:
        print_json(summary)
        return
    from rich.table import Table

    from plait.compare.console import console

    table = Table(show_header=False)
    for name, value in summary.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name, text)
    console.print(table)


def to_stderr(text: str) -> None:
    """Print for a person, on standard error."""
    sys.stderr.write(text + "\n")
