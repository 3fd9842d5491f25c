"""What a run is made of: plain frozen values, JSON in and out, no behaviour.

A swappable part is a `Component`: its file's name (or `module:Class`) and the options of its
constructor. Nothing else is configured indirectly.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from plait.action_spec import ActionSpec
from plait.errors import OptionError, UnknownNameError

T = TypeVar("T")
JsonValue = Any


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part named by its file, with the keyword options of its constructor."""

    name: str
    options: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """What a policy must know of its data before it can be built.

    Attributes:
        cameras: Camera names, in a fixed order.
        image_size: Height and width of every image in pixels.
        proprio_dim: Size of the robot state.
        action_dim: Size of one action.
        vocabulary: Distinct words of the training instructions, sorted.
        most_words: In one of these instructions; 0 where unknown.
        most_bytes: Likewise, of UTF-8.
        observation_window: Past steps the policy sees.
        proprio_names: Names of the state's numbers; empty where the data do not name them.
        action_names: Names of an action's numbers, likewise.
        fingerprint: Of the data; empty where unknown.
        view: How the pictures were taken, as their recorder says it; empty where nothing says so.
    """

    cameras: tuple[str, ...]
    image_size: int
    proprio_dim: int
    action_dim: int
    vocabulary: tuple[str, ...] = ()
    most_words: int = 0
    most_bytes: int = 0
    observation_window: int = 1
    proprio_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    fingerprint: str = ""
    view: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Which encoders, fusion and head a policy is woven from.

    Attributes:
        width: Size of the token axis shared by encoders, fusion and head.
        action_horizon: Steps predicted per chunk.
        missing_tokens: Whether a learned token stands in for a modality that is absent.
        actions: How actions are represented and scaled for the head.
    """

    fusion: Component
    vision: Component = Component(name="conv")
    language: Component = Component(name="words")
    proprio: Component = Component(name="state")
    head: Component = Component(name="regression")
    width: int = 48
    action_horizon: int = 4
    missing_tokens: bool = False
    actions: ActionSpec = field(default_factory=ActionSpec)


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Which towers are aligned, and by which objective.

    Attributes:
        objective: What is minimised.
        action: Encoder of action chunks.
        width: Size of the token axis of the encoders.
        embedding_dim: Size of the shared space.
        action_horizon: Steps of the action chunks.
        action_sees_proprio: Whether the action tower also reads the robot's state.
        shares_projection: Whether one last layer maps all towers into the shared space, which
            leaves a smaller gap between them than one each.
        micro_batch_size: Samples that the encoders take at a time; with 0 the whole batch. A
            batch that does not fit in memory is encoded part by part, and again in the backward
            pass, with the same gradient.
    """

    objective: Component = Component(name="info_nce")
    vision: Component = Component(name="conv")
    language: Component = Component(name="words")
    proprio: Component = Component(name="state")
    action: Component = Component(name="transformer")
    width: int = 48
    embedding_dim: int = 64
    action_horizon: int = 8
    action_sees_proprio: bool = False
    shares_projection: bool = False
    micro_batch_size: int = 0


@dataclass(frozen=True, kw_only=True)
class RobustConfig:
    """What a training does against missing, noisy and dominating modalities; at first nothing.

    Probabilities are given by name; the name `every` stands for all that are not named.

    Attributes:
        modality_dropout: Probability that a sample loses a modality. It loses one at most, and
            never the last that it has.
        camera_dropout: Probability that a sample loses a camera, where there are several; each is
            drawn by itself, and one always stays.
        augmentation: Corruptions with their options; a sample gets one of them at most.
        augmentation_probability: Of a sample's being corrupted.
        augmentation_severity: Largest severity; each sample draws its own, from 1 on.
        auxiliary_weight: Weight of the losses of heads that see one modality each; 0 for none.
        ogm_ge: Strength α of on-the-fly gradient modulation; 0 turns it off.
    """

    modality_dropout: Mapping[str, float] = field(default_factory=dict)
    camera_dropout: Mapping[str, float] = field(default_factory=dict)
    augmentation: tuple[Component, ...] = ()
    augmentation_probability: float = 0.25
    augmentation_severity: int = 2
    auxiliary_weight: float = 0.0
    ogm_ge: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a policy is optimised.

    Attributes:
        num_steps: Optimiser steps.
        batch_size: Samples a step.
        learning_rate: Peak of the schedule.
        warmup_steps: Steps of linear warm-up before the cosine.
        weight_decay: AdamW's decoupled decay; not applied to biases, norms and embeddings.
        gradient_clip: Largest gradient norm.
        ema_decay: Decay of the exponential moving average that is evaluated; 0 turns it off.
        image_shift: Largest random shift of the images in pixels (0 turns augmentation off).
        precision: `fp32`, or `bf16` where the processor has instructions for it; on another that
            is `fp32`, too.
        seed: Of the weights, the data order and the augmentation.
        validation_interval: Steps between evaluations of the validation loss.
        checkpoint_interval: Steps between resumable checkpoints.
        robust: What is done against missing, noisy and dominating modalities.
    """

    num_steps: int = 2200
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    ema_decay: float = 0.99
    image_shift: int = 0
    precision: str = "fp32"
    seed: int = 0
    validation_interval: int = 200
    checkpoint_interval: int = 500
    robust: RobustConfig = RobustConfig()


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which demonstrations a policy learns from.

    Attributes:
        path: Folder of a LeRobot dataset.
        cameras: Cameras to read; all of the dataset's where empty.
        image_size: Height and width to resize to in pixels.
        validation_fraction: Share of the episodes held out.
        split_seed: Chooses the held-out episodes.
        train_fraction: Share of the other episodes that is learned from.
        feature_cache: What the tokens of frozen encoders are stored as: `fp16`, `bf16` or `fp32`;
            with `off`, or where images are augmented, the encoder runs in every step.
        frame_storage: How decoded frames are kept: `raw`, `jpeg`, `direct` (not at all), or `auto`
            for the first of these that fits the budget.
        cache_gib: What the frames of all cameras may take together in GiB; half of the free disk
            where None.
    """

    path: str
    cameras: tuple[str, ...] = ()
    image_size: int = 64
    validation_fraction: float = 0.02
    split_seed: int = 0
    train_fraction: float = 1.0
    feature_cache: str = "fp16"
    frame_storage: str = "auto"
    cache_gib: float | None = None


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """One alignment from beginning to end.

    Attributes:
        patience: Validations without better retrieval after which the training ends; 0 for never.
    """

    data: DataConfig
    aligner: AlignerConfig
    training: TrainingConfig
    patience: int = 0


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training from beginning to end.

    Attributes:
        masked: Modalities hidden from the policy, in training and in evaluation: a control.
        init: Folder of aligned towers whose encoders the policy starts from; empty for none.
    """

    data: DataConfig
    policy: PolicyConfig
    training: TrainingConfig
    masked: tuple[str, ...] = ()
    init: str = ""


def to_json(value: object) -> str:
    """Write a configuration as indented JSON."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{value!r} is not a configuration")
    return json.dumps(dataclasses.asdict(value), indent=2, sort_keys=True)


def from_dict(kind: type[T], data: JsonValue) -> T:
    """Build a configuration or a result from parsed JSON, refusing unknown and missing fields.

    Raises:
        UnknownNameError: If a field does not exist.
        OptionError: If a field is missing or has the wrong type.
    """
    if not isinstance(data, Mapping):
        raise OptionError(f"{kind.__name__} must be a JSON object, but is {type(data).__name__}")
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise UnknownNameError(f"field of {kind.__name__}", key, fields)
    values: dict[str, Any] = {}
    for name, item in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{kind.__name__}.{name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise OptionError(f"{kind.__name__} lacks the field {name!r}")
    return kind(**values)


def _convert(hint: Any, value: JsonValue, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UnknownNameError(where, str(value), arguments)
        return value
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise OptionError(f"{where} must be a list, but is {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise OptionError(f"{where} must have {len(kinds)} entries, but has {len(value)}")
        return tuple(_convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise OptionError(f"{where} must be a JSON object, but is {value!r}")
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise OptionError(f"{where} must be {hint.__name__}, but is {value!r}")
    return value
