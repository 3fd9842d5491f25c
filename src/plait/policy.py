"""A policy: encoders → fusion → head, with the normaliser inside.

policy = Policy.load("outputs/film/policy")
chunk = policy.predict(observation)      # ActionChunk in the environment's own units
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

import plait.encoders
import plait.fusion
import plait.heads
from plait import discovery
from plait.backbones.loading import without_weights
from plait.config import Component, DataSpec, PolicyConfig
from plait.data.actions import ActionTransform
from plait.data.normalize import Normalizer
from plait.encoders import build_encoder
from plait.encoders._missing import MissingTokens
from plait.encoders.base import Encoder, Level
from plait.errors import (
    OptionError,
    PlaitError,
    ShapeError,
)
from plait.fusion.base import Fusion
from plait.heads.base import Head, HeadShape
from plait.model_folder import ModelFolder
from plait.types import (
    LANGUAGE,
    PROPRIO,
    VISION,
    ActionChunk,
    Batch,
    Fused,
    Observation,
    Tokens,
)

FOLDER = ModelFolder("policy", "policy")


@dataclass(frozen=True)
class PolicyLoss:
    """What a training step minimises, and its parts for the log."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]]

    @classmethod
    def of(cls, parts: Mapping[str, Float[Tensor, ""]]) -> "PolicyLoss":
        """Add up the parts."""
        return cls(torch.stack(list(parts.values())).sum(), parts)


class Policy(nn.Module):
    """Maps observations to action chunks.

    Args:
        config: Which encoders, fusion and head, and the shared width.
        data: What the policy must know of its data.
        normalizer: Statistics of the training episodes; changes nothing where None.

    Raises:
        UnknownNameError: If there is no such part, or no such dimension of an action.
        OptionError: If a part refuses an option, or actions cannot be represented as asked.
    """

    def __init__(
        self, config: PolicyConfig, data: DataSpec, normalizer: Normalizer | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.data = data
        self.action_transform = ActionTransform.of(config.actions, data)
        action_dim = self.action_transform.represented_dim
        self.normalizer = normalizer or Normalizer(
            proprio_dim=data.proprio_dim, action_dim=action_dim
        )
        fusion_class = discovery.load(plait.fusion, config.fusion.name, Fusion)  # type: ignore[type-abstract]
        components = {VISION: config.vision, LANGUAGE: config.language, PROPRIO: config.proprio}
        self.encoders = nn.ModuleDict(
            {
                modality: build_encoder(
                    component,
                    modality,
                    data,
                    config.width,
                    cast(Level, fusion_class.level[modality]),
                )
                for modality, component in components.items()
            }
        )
        specs = {name: cast(Encoder, part).token_spec for name, part in self.encoders.items()}
        self.fusion = discovery.build(fusion_class, config.fusion, specs, config.width)
        head_class = discovery.load(plait.heads, config.head.name, Head)  # type: ignore[type-abstract]
        shape = HeadShape(config.width, self.fusion.num_groups, config.action_horizon, action_dim)
        self.head = discovery.build(head_class, config.head, shape)
        if self.head.is_bounded and "zscore" in self.action_transform.normalizations:
            raise OptionError(
                f"the {config.head.name} head predicts nothing beyond [-1, 1], but z-scores go "
                "further; normalise the actions by quantile or minmax, or choose the flow head"
            )
        # Made last, so that all other weights are those of a policy without.
        self.missing = MissingTokens(specs) if config.missing_tokens else None

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras the policy reads, in order."""
        return self.data.cameras

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return self.data.image_size

    @property
    def action_horizon(self) -> int:
        """Steps per action chunk."""
        return self.config.action_horizon

    @property
    def observation_window(self) -> int:
        """Past steps the policy sees."""
        return self.data.observation_window

    def fuse(self, observation: Observation) -> Fused:
        """Encode and weave an observation.

        Raises:
            ShapeError: If an encoder or the fusion makes tokens of another width than it promised.
        """
        return self.weave(self.encode(observation))

    def encode(self, observation: Observation) -> dict[str, Tokens]:
        """Return what the encoders make of an observation, by modality.

        Raises:
            ShapeError: If an encoder makes tokens of another width than it promised.
        """
        normalized = self.normalizer.normalize_proprio(observation.proprio)
        observation = replace(observation, proprio=normalized)
        tokens = {name: encoder(observation) for name, encoder in self.encoders.items()}
        for name, part in tokens.items():
            promised = cast(Encoder, self.encoders[name]).token_spec.width
            _check_width(f"tokens of the {name} encoder", part, promised)
        return tokens

    def weave(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Fuse the tokens of all modalities, with learned ones for what is absent if there are any.

        Raises:
            ShapeError: If the fusion makes tokens of another width than it promised.
        """
        if self.missing is not None:
            tokens = self.missing(tokens)
        fused = cast(Fused, self.fusion(tokens))
        for group in fused.groups:
            _check_width("a token group of the fusion", group, self.config.width)
        return fused

    def forward(self, batch: Batch) -> PolicyLoss:
        """Return the training loss of a batch: the head's, plus what the fusion adds."""
        return self.loss(self.encode(batch.observation), self.target(batch))

    def target(self, batch: Batch) -> ActionChunk:
        """Return the recorded actions of a batch as heads see them: normalised.

        An action told by how it differs from the state is no target where there is no state.
        """
        chunk, mask = batch.action_chunk, batch.action_chunk.mask
        represented = self.action_transform.represent(chunk.actions, self._state(batch.observation))
        if self.action_transform.needs_state:
            mask = mask & batch.observation.modality_mask[PROPRIO].unsqueeze(1)
        return ActionChunk(
            self.action_transform.bound(self.normalizer.normalize_actions(represented)), mask
        )

    def _state(self, observation: Observation) -> Float[Tensor, "batch proprio_dim"]:
        """Return the present state; where it is absent, the mean of the training episodes.

        What is masked must not reach the action, so the real state is no choice even where only
        the sum of state and prediction would show it.
        """
        is_present = observation.modality_mask[PROPRIO].unsqueeze(1)
        return torch.where(is_present, observation.proprio[:, -1], self.normalizer.proprio_mean)

    def loss(self, tokens: Mapping[str, Tokens], target: ActionChunk) -> PolicyLoss:
        """Return the loss of encoded observations against normalised actions."""
        fused = self.weave(tokens)
        return PolicyLoss.of({"action": self.head.loss(fused, target), **fused.losses})

    @torch.no_grad()
    def predict(self, observation: Observation) -> ActionChunk:
        """Predict an action chunk in the environment's own units.

        Args:
            observation: Images of the policy's cameras and size, any batch size.

        Raises:
            ShapeError: If a shape does not fit this policy.
            PlaitError: If a camera is missing, an image is not uint8, or the proprioception holds
                NaN or infinity.
        """
        self.check(observation)
        was_training = self.training
        self.eval()
        bounded = self.action_transform.bound(self.head.predict(self.fuse(observation)))
        represented = self.normalizer.unnormalize_actions(bounded)
        actions = self.action_transform.restore(represented, self._state(observation))
        self.train(was_training)
        mask = torch.ones(actions.shape[:2], dtype=torch.bool, device=actions.device)
        return ActionChunk(actions, mask)

    def check(self, observation: Observation) -> None:
        """Refuse an observation that this policy cannot read."""
        window, size = self.observation_window, self.image_size
        for camera in self.cameras:
            if camera not in observation.images:
                given = ", ".join(sorted(observation.images)) or "none"
                raise PlaitError(
                    f"the observation has no camera {camera!r} (it has: {given}); give every "
                    "camera of the policy, and mark a broken one in camera_mask"
                )
            image = observation.images[camera]
            if image.dtype != torch.uint8:
                raise PlaitError(
                    f"image of camera {camera!r} is {image.dtype}; expected uint8 in [0, 255]"
                )
            found = tuple(image.shape[1:])
            if found != (window, 3, size, size):
                todo = f"Resize the images to {size}×{size}, or train with this size"
                raise ShapeError(
                    f"image of camera {camera!r}", found, (window, 3, size, size), todo
                )
        found = tuple(observation.proprio.shape[1:])
        if found != (window, self.data.proprio_dim):
            raise ShapeError("proprio", found, (window, self.data.proprio_dim))
        present = observation.modality_mask[PROPRIO]
        if not bool(torch.isfinite(observation.proprio[present]).all()):
            raise PlaitError(
                "the proprioception holds NaN or infinity; mask it where it is missing"
            )

    def frozen_encoders(self) -> dict[str, tuple[Component, str]]:
        """Return, by modality, the encoders that are not trained, and the level they are read at.

        What they make of a dataset is the same in every training.
        """
        return {
            modality: (getattr(self.config, modality), self.fusion.level[modality])
            for modality, encoder in self.encoders.items()
            if getattr(encoder, "is_frozen", False)
        }

    def num_parameters(self) -> int:
        """Count all parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def num_trained_parameters(self) -> int:
        """Count the parameters that are trained: all but those of frozen backbones."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def save(self, folder: Path | str) -> None:
        """Write `policy.json` and `policy.safetensors`, whole or not at all.

        A pretrained encoder keeps its configuration and tokenizer in a folder of its modality's
        name, so that the policy can be loaded where the pretrained model is not.

        Raises:
            OutputError: If the folder cannot be written, or holds anything but a policy.
        """
        FOLDER.save(Path(folder), self)

    @classmethod
    def load(cls, folder: Path | str) -> "Policy":
        """Read a policy that `save` wrote.

        Raises:
            CheckpointError: If it is missing, incomplete, or of another version.
        """
        return FOLDER.load(Path(folder), cls, PolicyConfig)


def build_policy(
    config: PolicyConfig, data: DataSpec, normalizer: Normalizer | None, seed: int
) -> Policy:
    """Build a policy whose initial weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Policy(config, data, normalizer)


def check_parts(config: PolicyConfig, fusions: Sequence[str]) -> None:
    """Refuse parts that do not exist, before there is any data to build a policy for.

    Of a pretrained encoder the configuration is read, and no weights.

    Raises:
        UnknownNameError: If no encoder, head or fusion has a name; close ones are suggested.
        PlaitError: If a class of the user's own cannot be imported or is none of these, or a
            pretrained model cannot be found.
    """
    unknown = DataSpec(cameras=("camera",), image_size=1, proprio_dim=1, action_dim=1)
    for component in (config.vision, config.language, config.proprio):
        kind = discovery.load(plait.encoders, component.name, Encoder)  # type: ignore[type-abstract]
        if component.name in plait.encoders.PRETRAINED:
            with torch.device("meta"), without_weights():
                discovery.build(kind, component, unknown, config.width, "features")
    discovery.load(plait.heads, config.head.name, Head)  # type: ignore[type-abstract]
    for name in fusions:
        discovery.load(plait.fusion, name, Fusion)  # type: ignore[type-abstract]


def sketch_policy(config: PolicyConfig, data: DataSpec) -> Policy:
    """Build a policy of shapes without values, to ask what it is made of."""
    with torch.device("meta"), without_weights():
        return Policy(config, data)


def parameter_count(config: PolicyConfig, data: DataSpec) -> int:
    """Count the parameters of a policy that would be trained, without making them."""
    return sketch_policy(config, data).num_trained_parameters()


def match_parameters(config: PolicyConfig, data: DataSpec, target: int) -> PolicyConfig:
    """Choose the fusion's `hidden_dim` that brings the policy nearest to `target` parameters.

    The count grows linearly with `hidden_dim`, so two small policies give the slope.
    """

    def count(hidden_dim: int) -> int:
        return parameter_count(_with_hidden_dim(config, hidden_dim), data)

    low, high = 8, 16
    slope = (count(high) - count(low)) / (high - low)
    hidden_dim = low + round((target - count(low)) / slope) if slope > 0 else low
    # A multiple of 8 keeps vector units full; the rounding is far below the tolerance.
    return _with_hidden_dim(config, max(low, round(hidden_dim / 8) * 8))


def _with_hidden_dim(config: PolicyConfig, hidden_dim: int) -> PolicyConfig:
    options = {**config.fusion.options, "hidden_dim": hidden_dim}
    return replace(config, fusion=replace(config.fusion, options=options))


def _check_width(name: str, tokens: Tokens, promised: int) -> None:
    found = tuple(tokens.values.shape)
    if found[-1] != promised:
        todo = "plait check names the rule that is broken"
        raise ShapeError(name, found, (*found[:-1], promised), todo)
