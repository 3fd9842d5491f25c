"""A policy without a fusion or a head: of all action chunks it knows, the one nearest to the query.

query = (vision + text) / ‖vision + text‖      library = action embeddings of demonstrations

What an alignment knows, put to work without any training for control: a baseline for policies that
start from the same towers. It cannot do what nobody demonstrated, and copies one chunk as it was.
"""

from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from plait.aligner import Aligner
from plait.alignment.losses import fused_query
from plait.errors import CheckpointError, PlaitError, ShapeError
from plait.model_folder import save_tensors
from plait.types import ActionChunk, Observation

ALIGNER_FOLDER = "aligner"
LIBRARY_FILE = "library.safetensors"


class RetrievalPolicy(nn.Module):
    """Looks an action chunk up by what is seen and said.

    Args:
        aligner: The towers.
        keys: Action embeddings of the library, unit vectors.
        actions: Their chunks, in the environment's own units.
        mask: True where a chunk has a recorded action.

    Raises:
        PlaitError: If the library is empty.
        ShapeError: If the parts of the library do not fit the towers or one another.
    """

    keys: Tensor
    actions: Tensor
    mask: Tensor

    def __init__(
        self,
        aligner: Aligner,
        keys: Float[Tensor, "items width"],
        actions: Float[Tensor, "items horizon action_dim"],
        mask: Bool[Tensor, "items horizon"],
    ) -> None:
        super().__init__()
        if not len(keys):
            raise PlaitError("the library is empty; there is no action chunk to retrieve")
        chunk = (len(keys), aligner.config.action_horizon, aligner.data.action_dim)
        for name, part, expected in (
            ("keys", keys, (len(keys), aligner.config.embedding_dim)),
            ("actions", actions, chunk),
            ("mask", mask, chunk[:2]),
        ):
            if tuple(part.shape) != expected:
                raise ShapeError(f"{name} of the library", tuple(part.shape), expected)
        self.aligner = aligner
        self.register_buffer("keys", keys)
        self.register_buffer("actions", actions)
        self.register_buffer("mask", mask)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras the towers read, in order."""
        return self.aligner.data.cameras

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return self.aligner.data.image_size

    @property
    def observation_window(self) -> int:
        """Past steps the towers see."""
        return self.aligner.data.observation_window

    @property
    def action_horizon(self) -> int:
        """Steps per action chunk."""
        return self.aligner.config.action_horizon

    def num_parameters(self) -> int:
        """Count the parameters of the towers; the library is data."""
        return sum(parameter.numel() for parameter in self.aligner.parameters())

    @torch.no_grad()
    def predict(self, observation: Observation) -> ActionChunk:
        """Return the chunk whose embedding is nearest to vision and text together.

        Where one of the two is missing the other asks alone.
        """
        self.aligner.eval()
        query = fused_query(
            self.aligner.embed_vision(observation), self.aligner.embed_language(observation)
        )
        found = (query @ self.keys.T).argmax(dim=1)
        return ActionChunk(self.actions[found], self.mask[found])

    def save(self, folder: Path | str) -> None:
        """Write the towers and then the library: a folder with both is whole.

        Raises:
            OutputError: If the folder cannot be written.
        """
        folder = Path(folder)
        self.aligner.save(folder / ALIGNER_FOLDER)
        library = {"keys": self.keys, "actions": self.actions, "mask": self.mask}
        tensors = {name: part.detach().cpu().contiguous() for name, part in library.items()}
        save_tensors(folder / LIBRARY_FILE, tensors, {}, what="library")

    @classmethod
    def load(cls, folder: Path | str) -> "RetrievalPolicy":
        """Read what `save` wrote.

        Raises:
            CheckpointError: If it is missing or damaged.
        """
        path = Path(folder) / LIBRARY_FILE
        aligner = Aligner.load(Path(folder) / ALIGNER_FOLDER)
        try:
            library = load_file(path)
            return cls(aligner, library["keys"], library["actions"], library["mask"]).eval()
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such file; the policy is incomplete") from error
        except (SafetensorError, OSError, KeyError) as error:
            raise CheckpointError(f"{path}: not a whole library ({error})") from error
        except PlaitError as error:
            raise CheckpointError(f"{path}: {error}") from error
