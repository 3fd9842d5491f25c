"""An aligner: three towers into one space, and the objective that brings them together.

frames ──> vision encoder ────┐
text ────> language encoder ──┼──> attention pool ──> projection ──> unit vectors ──> objective
actions ─> chunk encoder ─────┘

The encoders are those of policies, up to their features; `transfer` hands them to a policy.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import plait.alignment.objectives
import plait.encoders.chunks
from plait import discovery
from plait.alignment.base import ACTION, ALIGNED, Embeddings
from plait.alignment.objectives.base import Objective, ObjectiveLoss
from plait.config import AlignerConfig, Component, DataSpec
from plait.data.normalize import Normalizer
from plait.encoders import build_encoder
from plait.encoders.base import Encoder
from plait.encoders.chunks.base import ChunkEncoder
from plait.errors import OptionError, PlaitError
from plait.layers import MLP, AttentionPool, Linear
from plait.masks import masked_fill
from plait.model_folder import ModelFolder
from plait.types import LANGUAGE, PROPRIO, VISION, ActionChunk, Batch, Observation, Tokens

FOLDER = ModelFolder("aligner", "aligner")
SHARED = "shared"


class Aligner(nn.Module):
    """Maps frames, instructions and action chunks to unit vectors of one space.

    Args:
        config: Which encoders and objective.
        data: What the encoders must know of the data.
        normalizer: Statistics of the training episodes; changes nothing where None.

    Raises:
        OptionError: If the embedding is empty.
    """

    def __init__(
        self, config: AlignerConfig, data: DataSpec, normalizer: Normalizer | None = None
    ) -> None:
        super().__init__()
        if config.embedding_dim < 1:
            raise OptionError(f"the embedding has {config.embedding_dim} dimensions; expected 1 up")
        self.config, self.data = config, data
        self.normalizer = normalizer or Normalizer(
            proprio_dim=data.proprio_dim, action_dim=data.action_dim
        )
        components = {VISION: config.vision, LANGUAGE: config.language}
        if config.action_sees_proprio:
            components[PROPRIO] = config.proprio
        self.encoders = nn.ModuleDict(
            {
                modality: build_encoder(component, modality, data, config.width, "features")
                for modality, component in components.items()
            }
        )
        kind = discovery.load(plait.encoders.chunks, config.action.name, ChunkEncoder)  # type: ignore[type-abstract]
        chunks = discovery.build(kind, config.action, data, config.action_horizon, config.width)
        self.chunk_encoder: ChunkEncoder = chunks
        widths = {name: self._encoder(name).token_spec.width for name in (VISION, LANGUAGE)}
        widths[ACTION] = chunks.token_spec.width
        if config.action_sees_proprio:
            self.join_proprio = Linear(self._encoder(PROPRIO).token_spec.width, widths[ACTION])
        self.projections = nn.ModuleDict(
            {name: _Projection(width, config.width) for name, width in widths.items()}
        )
        names = (SHARED,) if config.shares_projection else ALIGNED
        self.last = nn.ModuleDict({n: Linear(config.width, config.embedding_dim) for n in names})
        self.objective: Objective = build_objective(config.objective)

    def _encoder(self, modality: str) -> Encoder:
        return cast(Encoder, self.encoders[modality])

    def embed_vision(self, observation: Observation) -> Float[Tensor, "batch width"]:
        """Embed the images of all cameras; zero where there are none."""
        return self._project(VISION, self._encoder(VISION)(observation))

    def embed_language(self, observation: Observation) -> Float[Tensor, "batch width"]:
        """Embed the instructions; zero where there are none."""
        return self._project(LANGUAGE, self._encoder(LANGUAGE)(observation))

    def embed_action(
        self, chunk: ActionChunk, observation: Observation
    ) -> Float[Tensor, "batch width"]:
        """Embed action chunks in the environment's own units.

        Args:
            chunk: What was done.
            observation: Where it was done; read only where the tower sees the robot's state.
        """
        real = chunk.mask.unsqueeze(-1).expand_as(chunk.actions)
        actions = self.normalizer.normalize_actions(masked_fill(chunk.actions, real))
        tokens = self.chunk_encoder(ActionChunk(actions, chunk.mask))
        if self.config.action_sees_proprio:
            proprio = self.normalizer.normalize_proprio(observation.proprio)
            state = self._encoder(PROPRIO)(replace(observation, proprio=proprio))
            tokens = Tokens.concatenate(
                [tokens, state.with_values(self.join_proprio(state.values))]
            )
        return self._project(ACTION, tokens)

    def _project(self, modality: str, tokens: Tokens) -> Float[Tensor, "batch width"]:
        last = self.last[SHARED if self.config.shares_projection else modality]
        projected = last(self.projections[modality](tokens))
        has_any = tokens.mask.any(dim=1, keepdim=True)
        # In float32 also under autocast: a logit scale of 100 makes every digit count.
        return F.normalize(projected.float(), dim=1) * has_any

    def embed(self, batch: Batch) -> Embeddings:
        """Embed a batch: vectors of length 1, zero where a modality is absent."""
        observation, chunk = batch.observation, batch.action_chunk
        size = self.config.micro_batch_size or observation.batch_size
        towers: dict[str, Callable[[Batch], Tensor]] = {
            VISION: lambda part: self.embed_vision(part.observation),
            LANGUAGE: lambda part: self.embed_language(part.observation),
            ACTION: lambda part: self.embed_action(part.action_chunk, part.observation),
        }
        values = {name: self._in_parts(tower, batch, size) for name, tower in towers.items()}
        present = {name: values[name].detach().any(dim=1) for name in ALIGNED}
        groups = instruction_groups(observation.instruction).to(chunk.actions.device)
        return Embeddings(values, present, groups)

    def _in_parts(self, tower: Callable[[Batch], Tensor], batch: Batch, size: int) -> Tensor:
        """Encode part by part and again in the backward pass, as GradCache does (Gao et al., 2021).

        The loss needs all embeddings, but the encoders' activations are needed one part at a time.
        """
        if size >= batch.observation.batch_size:
            return tower(batch)
        parts = [
            checkpoint(tower, batch.select(slice(start, start + size)), use_reentrant=False)
            for start in range(0, batch.observation.batch_size, size)
        ]
        return torch.cat(parts)

    def forward(self, batch: Batch) -> ObjectiveLoss:
        """Return the loss of a batch.

        Raises:
            PlaitError: If an embedding is not finite.
        """
        embeddings = self.embed(batch)
        for name, values in embeddings.values.items():
            if not bool(torch.isfinite(values.detach().sum())):
                raise PlaitError(
                    f"the {name} embeddings are not finite; lower the learning rate, or look for "
                    "NaN in the data"
                )
        with torch.autocast(embeddings.groups.device.type, enabled=False):
            loss: ObjectiveLoss = self.objective(embeddings)
        return loss

    def frozen_encoders(self) -> dict[str, tuple[Component, str]]:
        """Return, by modality, the encoders that are not trained, and their level."""
        return {
            modality: (getattr(self.config, modality), "features")
            for modality, encoder in self.encoders.items()
            if getattr(encoder, "is_frozen", False)
        }

    def save(self, folder: Path | str) -> None:
        """Write `aligner.json` and `aligner.safetensors`, whole or not at all.

        Raises:
            OutputError: If the folder cannot be written, or holds anything but an aligner.
        """
        FOLDER.save(Path(folder), self)

    @classmethod
    def load(cls, folder: Path | str) -> "Aligner":
        """Read an aligner that `save` wrote.

        Raises:
            CheckpointError: If it is missing, incomplete, or of another version.
        """
        return FOLDER.load(Path(folder), cls, AlignerConfig)


class _Projection(nn.Module):
    """Tokens of one modality to one vector: learned queries read them, an MLP maps what they read.

    Args:
        token_width: Size of the tokens.
        width: Size of the vector.
    """

    def __init__(self, token_width: int, width: int) -> None:
        super().__init__()
        self.pool = AttentionPool(token_width)
        self.mlp = MLP(self.pool.out_dim, 2 * width, width)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch width"]:
        """Map `[batch, tokens, token_width]` to `[batch, width]`."""
        projected: Tensor = self.mlp(self.pool(tokens))
        return projected


def instruction_groups(instructions: tuple[str, ...]) -> Int[Tensor, " batch"]:
    """Number instructions by their text: the same everywhere, so that processes agree."""
    numbers = {
        text: int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")
        for text in set(instructions)
    }
    return torch.tensor([numbers[text] for text in instructions], dtype=torch.int64)


def build_objective(component: Component) -> Objective:
    """Build what is minimised.

    Raises:
        UnknownNameError: If there is no such objective.
        OptionError: If it has no such option, or refuses its value.
    """
    kind = discovery.load(plait.alignment.objectives, component.name, Objective)  # type: ignore[type-abstract]
    return discovery.build(kind, component)


def build_aligner(
    config: AlignerConfig, data: DataSpec, normalizer: Normalizer, seed: int
) -> Aligner:
    """Build an aligner whose initial weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Aligner(config, data, normalizer)
