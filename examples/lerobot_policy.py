"""Any policy of LeRobot (ACT, Diffusion, VQ-BeT, SmolVLA ...) behind Plait's interface.

    LEROBOT_POLICY=outputs/act/checkpoints/last/pretrained_model \
        plait stress examples.lerobot_policy:make_policy --env tabletop/touch --data demos

Runs where both are installed; `docs/stress.md` says how. Three variables of the environment:

- LEROBOT_POLICY: the folder with `config.json`, weights and processors.
- LEROBOT_CAMERAS: where the policy calls a camera otherwise, e.g. `base=observation.images.top`.
- LEROBOT_DEVICE: where it runs; `cpu` by default.
"""

import os
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.utils import populate_queues
from torch import Tensor
from torch.nn import functional as F

from plait.errors import CheckpointError, OptionError
from plait.types import ActionChunk, Observation

IMAGES, STATE = "observation.images", "observation.state"


class LeRobotPolicy:
    """Predicts action chunks; nothing is remembered from one call to the next.

    Plait keeps the chunks and the past observations of each episode itself, and asks for many
    episodes at once, so LeRobot's own queues are emptied before every prediction.

    Args:
        folder: A policy saved with its processors, as `lerobot-train` does.
        cameras: Per camera of Plait, the policy's key; `observation.images.CAMERA` where empty.
        device: Where the policy runs.

    Raises:
        CheckpointError: If the folder holds no such policy.
        OptionError: If the cameras are not those of the policy.
    """

    def __init__(
        self, folder: Path, cameras: dict[str, str] | None = None, device: str = "cpu"
    ) -> None:
        if not (folder / "config.json").exists():
            raise CheckpointError(f"{folder} holds no policy of LeRobot: no config.json")
        config = PreTrainedConfig.from_pretrained(folder, local_files_only=True)
        config.device = device
        self._policy = get_policy_class(config.type).from_pretrained(folder, config=config)
        self._before, self._after = make_pre_post_processors(
            config,
            pretrained_path=str(folder),
            preprocessor_overrides={"device_processor": {"device": device}},
        )
        keys = list(config.image_features)
        self._keys = cameras or {key.removeprefix(f"{IMAGES}."): key for key in keys}
        if sorted(self._keys.values()) != sorted(keys):
            raise OptionError(
                f"the policy reads {', '.join(keys)}, but the cameras given are for "
                f"{', '.join(self._keys.values())}; name each once in LEROBOT_CAMERAS"
            )
        self._sizes = {key: tuple(config.image_features[key].shape[1:]) for key in keys}
        self._state_dim = config.robot_state_feature.shape[0] if config.robot_state_feature else 0
        self.cameras = tuple(self._keys)
        self.image_size = max((max(size) for size in self._sizes.values()), default=64)
        self.observation_window = config.n_obs_steps
        self.action_horizon = self._chunk(self._blank()).shape[1]

    def predict(self, observation: Observation) -> ActionChunk:
        """Predict the chunks of a batch, in the environment's own units."""
        actions = self._chunk(observation).float().cpu()
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))

    def _chunk(self, observation: Observation) -> Tensor:
        """Return actions [batch, horizon, action_dim]."""
        self._policy.reset()
        # Policies that sample start from the same noise at every look: what changes an action is
        # then what was seen.
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            for step in range(self.observation_window):
                batch = self._before(self._batch(observation, step))
                # LeRobot's own batches have one, even where there is none yet.
                batch.pop("action", None)
                if self.observation_window > 1:
                    batch = self._queue(batch)
            return self._after(self._policy.predict_action_chunk(batch))

    def _queue(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Let the policy see one step of the window, as its `select_action` would."""
        views = [batch[key] for key in self._keys.values()]
        batch = {**batch, IMAGES: torch.stack(views, dim=-4)}
        self._policy._queues = populate_queues(self._policy._queues, batch)
        return batch

    def _batch(self, observation: Observation, step: int) -> dict[str, Any]:
        """Return one step of the window the way LeRobot's datasets hand it out."""
        batch: dict[str, Any] = {"task": list(observation.instruction)}
        for camera, key in self._keys.items():
            image = observation.images[camera][:, step].float() / 255
            if image.shape[2:] != self._sizes[key]:
                image = F.interpolate(image, self._sizes[key], mode="area")
            batch[key] = image
        if self._state_dim:
            batch[STATE] = observation.proprio[:, step]
        return batch

    def _blank(self) -> Observation:
        """Return a black observation, to find out how many actions come back."""
        shape = (1, self.observation_window)
        size = (3, self.image_size, self.image_size)
        images = {camera: torch.zeros(*shape, *size, dtype=torch.uint8) for camera in self.cameras}
        return Observation.complete(images, ("",), torch.zeros(*shape, self._state_dim))


def make_policy() -> LeRobotPolicy:
    """Load the policy that the environment's variables name.

    Raises:
        OptionError: If `LEROBOT_POLICY` is not set, or `LEROBOT_CAMERAS` is no list of pairs.
    """
    folder = os.environ.get("LEROBOT_POLICY")
    if not folder:
        raise OptionError("LEROBOT_POLICY is not set; it names the folder of LeRobot's policy")
    pairs = [pair.partition("=") for pair in os.environ.get("LEROBOT_CAMERAS", "").split(",")]
    cameras = {camera: key for camera, _, key in pairs if camera}
    if not all(cameras.values()):
        raise OptionError("LEROBOT_CAMERAS must be like base=observation.images.top,wrist=...")
    return LeRobotPolicy(Path(folder), cameras, os.environ.get("LEROBOT_DEVICE", "cpu"))
