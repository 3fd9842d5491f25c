"""The objects that flow through Plait, each a frozen dataclass; `docs/contracts.md` draws them.

Axis words: batch, window (past steps seen), horizon (future steps predicted), tokens, width (the
token axis of a model), height, width_px, action_dim, proprio_dim. Every mask is True = real.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

VISION = "vision"
LANGUAGE = "language"
PROPRIO = "proprio"
MODALITIES = (VISION, LANGUAGE, PROPRIO)


@dataclass(frozen=True)
class Tokens:
    """A sequence of token values with the mask that says which are real.

    Attributes:
        values: Token values.
        mask: True where the token is real; padding and absent modalities are False.
    """

    values: Float[Tensor, "batch tokens width"]
    mask: Bool[Tensor, "batch tokens"]

    @classmethod
    def concatenate(cls, parts: "list[Tokens]") -> "Tokens":
        """Join token sequences of equal width along the token axis."""
        values = torch.cat([part.values for part in parts], dim=1)
        return cls(values, torch.cat([part.mask for part in parts], dim=1))

    def with_values(self, values: Float[Tensor, "batch tokens new_width"]) -> "Tokens":
        """Keep the mask and replace the values."""
        return Tokens(values, self.mask)


@dataclass(frozen=True)
class TokenSpec:
    """What an encoder will produce, known before any data: the fusion is built from it.

    Attributes:
        width: Size of the last axis.
        grid: Rows and columns of the tokens of one view, for images; None for sequences.
        num_views: How many grids follow one another (cameras × window steps); 1 for sequences.
    """

    width: int
    grid: tuple[int, int] | None = None
    num_views: int = 1


@dataclass(frozen=True)
class Observation:
    """One step, or a window of steps, by modality, for a batch of samples.

    The set of modalities and cameras of a model is fixed; absence is a False in a mask, never a
    missing key. A camera is absent where its `camera_mask` is False.

    Attributes:
        images: Per camera, uint8 RGB in [0, 255].
        instruction: One natural-language command a sample.
        proprio: Robot state in its own units, not normalised.
        modality_mask: Per modality, True where it is present.
        camera_mask: Per camera, True where its image is real.
        features: Per camera, the tokens that a frozen encoder made of exactly these images before;
            an encoder that is not frozen ignores them. Whoever changes an image drops them.
    """

    images: Mapping[str, UInt8[Tensor, "batch window 3 height width_px"]]
    instruction: tuple[str, ...]
    proprio: Float[Tensor, "batch window proprio_dim"]
    modality_mask: Mapping[str, Bool[Tensor, " batch"]]
    camera_mask: Mapping[str, Bool[Tensor, " batch"]]
    features: Mapping[str, Float[Tensor, "batch window tokens width"]] = field(default_factory=dict)

    @classmethod
    def complete(
        cls,
        images: Mapping[str, UInt8[Tensor, "batch window 3 height width_px"]],
        instruction: tuple[str, ...],
        proprio: Float[Tensor, "batch window proprio_dim"],
    ) -> "Observation":
        """Build an observation in which everything is present."""
        present = torch.ones(len(instruction), dtype=torch.bool, device=proprio.device)
        return cls(
            images,
            instruction,
            proprio,
            dict.fromkeys(MODALITIES, present),
            dict.fromkeys(images, present),
        )

    @property
    def batch_size(self) -> int:
        """Number of samples."""
        return len(self.instruction)

    def without(self, modality: str) -> "Observation":
        """Mark a modality as absent in every sample; its values stay but must not be read."""
        absent = torch.zeros_like(self.modality_mask[modality])
        return replace(self, modality_mask={**self.modality_mask, modality: absent})

    def select(self, rows: slice) -> "Observation":
        """Keep some samples."""
        selected = self.map_tensors(lambda tensor: tensor[rows])
        return replace(selected, instruction=self.instruction[rows])

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> "Observation":
        """Apply a function to every tensor, e.g. to move it to a device."""
        return replace(
            self,
            images={camera: function(image) for camera, image in self.images.items()},
            proprio=function(self.proprio),
            modality_mask={key: function(mask) for key, mask in self.modality_mask.items()},
            camera_mask={key: function(mask) for key, mask in self.camera_mask.items()},
            features={key: function(tokens) for key, tokens in self.features.items()},
        )


@dataclass(frozen=True)
class ActionChunk:
    """A sequence of future actions with the mask of those that were really recorded.

    Attributes:
        actions: Actions in the environment's own units.
        mask: True where the action lies inside the episode.
    """

    actions: Float[Tensor, "batch horizon action_dim"]
    mask: Bool[Tensor, "batch horizon"]


@dataclass(frozen=True)
class Batch:
    """What a training step consumes: observations and the actions that followed them."""

    observation: Observation
    action_chunk: ActionChunk

    def select(self, rows: slice) -> "Batch":
        """Keep some samples."""
        chunk = ActionChunk(self.action_chunk.actions[rows], self.action_chunk.mask[rows])
        return Batch(self.observation.select(rows), chunk)

    def to(self, device: torch.device | str) -> "Batch":
        """Move every tensor to a device; images stay uint8 on the way."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        chunk = ActionChunk(move(self.action_chunk.actions), move(self.action_chunk.mask))
        return replace(self, observation=self.observation.map_tensors(move), action_chunk=chunk)


@dataclass(frozen=True)
class Fused:
    """What a fusion returns and a head consumes.

    A feature-level fusion returns one group. A decision-level fusion returns one group a modality:
    the head predicts from each and adds the predictions with these weights, which sum to 1 over
    the groups (all zero only where no modality is present).

    Attributes:
        groups: Token groups of equal width, never empty.
        weights: Weight of each group, per sample.
        losses: Extra scalar losses, already scaled by the strategy, added to the head's loss.
        diagnostics: What the report may show, per sample: modality usage, attention maps.
    """

    groups: tuple[Tokens, ...]
    weights: Float[Tensor, "batch groups"]
    losses: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)
    diagnostics: Mapping[str, Shaped[Tensor, "batch *axes"]] = field(default_factory=dict)

    @classmethod
    def single(
        cls,
        tokens: Tokens,
        *,
        losses: Mapping[str, Float[Tensor, ""]] | None = None,
        diagnostics: Mapping[str, Shaped[Tensor, "batch *axes"]] | None = None,
    ) -> "Fused":
        """Wrap one token group with weight 1."""
        weights = torch.ones_like(tokens.values[:, :1, 0])
        return cls((tokens,), weights, losses or {}, diagnostics or {})
