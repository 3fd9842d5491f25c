"""The policy under stress: a folder or a user's own, checked at every prediction, or blindfolded.

load_policy("outputs/film/policy")
load_policy("my_module:make_policy")     # any callable that returns something that predicts
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from plait.discovery import import_own
from plait.errors import PlaitError, ShapeError
from plait.execution import PredictsChunks, mask_modalities
from plait.policy import Policy
from plait.retrieval import ALIGNER_FOLDER, LIBRARY_FILE, RetrievalPolicy
from plait.types import ActionChunk, Observation

PROMISED = ("cameras", "observation_window", "action_horizon", "predict")
DEFAULT_IMAGE_SIZE = 64


class RefusedError(PlaitError):
    """A policy that would not read an observation, such as one with words it does not know."""


@dataclass(frozen=True)
class Wrapped:
    """A policy around another one, of which it keeps cameras, window and horizon.

    Args:
        policy: Anything that predicts chunks.
    """

    policy: PredictsChunks

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras it reads."""
        return tuple(self.policy.cameras)

    @property
    def observation_window(self) -> int:
        """Past steps it sees."""
        return self.policy.observation_window

    @property
    def action_horizon(self) -> int:
        """Steps per action chunk."""
        return self.policy.action_horizon


@dataclass(frozen=True)
class Checked(Wrapped):
    """A policy whose every prediction is checked.

    Args:
        name: What errors call it.
        action_dim: Size of an action; not checked where None.
    """

    name: str
    action_dim: int | None = None

    @property
    def image_size(self) -> int:
        """Height and width of the images it wants, in pixels."""
        return int(getattr(self.policy, "image_size", DEFAULT_IMAGE_SIZE))

    def predict(self, observation: Observation) -> ActionChunk:
        """Predict, and refuse what cannot be executed.

        Raises:
            RefusedError: If the policy refuses the observation.
            ShapeError: If a prediction has another shape than it promised.
            PlaitError: If it is no `ActionChunk`, or holds NaN or infinity.
        """
        try:
            with torch.no_grad():
                chunk = self.policy.predict(observation)
        except PlaitError as error:
            raise RefusedError(str(error)) from error
        self._check(chunk, observation.batch_size)
        return chunk

    def _check(self, chunk: object, batch_size: int) -> None:
        if not isinstance(chunk, ActionChunk):
            raise PlaitError(
                f"{self.name} predicted a {type(chunk).__name__}; predict() must return a "
                "plait.types.ActionChunk of actions [batch, horizon, action_dim] and their mask"
            )
        found = tuple(chunk.actions.shape)
        expected = (batch_size, self.action_horizon, self.action_dim or "action_dim")
        if len(found) != 3 or found[0] != batch_size or found[2] != (self.action_dim or found[2]):
            raise ShapeError(f"what {self.name} predicted", found, expected)
        if found[1] < self.action_horizon:
            todo = f"It promises an action_horizon of {self.action_horizon}; predict as many steps"
            raise ShapeError(f"what {self.name} predicted", found, expected, todo)
        if not bool(torch.isfinite(chunk.actions).all()):
            raise PlaitError(
                f"{self.name} predicted NaN or infinity; its training has diverged, its weights "
                "are damaged, or it read what a mask says is absent"
            )


@dataclass(frozen=True)
class Withheld(Wrapped):
    """A policy from which modalities or cameras are withheld: masked, and blank besides.

    Args:
        modalities: Withheld modalities.
        missing_cameras: Withheld cameras.
    """

    modalities: tuple[str, ...] = ()
    missing_cameras: tuple[str, ...] = ()

    def predict(self, observation: Observation) -> ActionChunk:
        """Predict from what is left."""
        observation = without_cameras(observation, self.missing_cameras)
        return self.policy.predict(mask_modalities(observation, self.modalities))


def without_cameras(observation: Observation, cameras: tuple[str, ...]) -> Observation:
    """Mark cameras as absent in every sample, and blacken their images."""
    black = {camera: torch.zeros_like(observation.images[camera]) for camera in cameras}
    absent = {camera: torch.zeros_like(observation.camera_mask[camera]) for camera in cameras}
    return replace(
        observation,
        images={**observation.images, **black},
        camera_mask={**observation.camera_mask, **absent},
    )


def load_policy(name: str, action_dim: int | None = None) -> Checked:
    """Load a saved policy or retrieval policy, or call a user's function that makes one.

    Args:
        name: A folder, or `module:function`.
        action_dim: Size of an action, if it is to be checked.

    Raises:
        CheckpointError: If a folder holds no whole policy.
        PlaitError: If a function cannot be found, or returns something that cannot predict.
    """
    if is_own(name):
        return Checked(_make_own(name), name, action_dim)
    if (Path(name) / LIBRARY_FILE).exists():
        return Checked(RetrievalPolicy.load(name), name, action_dim)
    return Checked(Policy.load(Path(name)), name, action_dim)


def is_own(name: str) -> bool:
    """Say whether a name is `module:function` rather than a folder."""
    return ":" in name and not Path(name).exists()


def policy_fingerprint(name: str) -> str:
    """Return what changes with a saved policy; of a user's own, its name is all there is."""
    if is_own(name):
        return name
    folder, digest = Path(name), hashlib.sha256()
    towers = [folder / LIBRARY_FILE, *sorted((folder / ALIGNER_FOLDER).glob("aligner.*"))]
    for path in (*sorted(folder.glob("policy.*")), *filter(Path.exists, towers)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _make_own(name: str) -> Any:
    module_name, _, function_name = name.partition(":")
    module = import_own(module_name, name)
    make = getattr(module, function_name, None)
    if not callable(make):
        raise PlaitError(f"{module_name} has no function {function_name!r} that makes a policy")
    policy = make()
    lacking = [each for each in PROMISED if not hasattr(policy, each)]
    if lacking:
        raise PlaitError(
            f"what {name} returned lacks {', '.join(lacking)}; it must have "
            f"{', '.join(PROMISED)}, as plait.execution.PredictsChunks says"
        )
    return policy
