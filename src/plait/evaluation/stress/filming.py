"""Films of one scene: what people see of it, and below what the policy saw when it last looked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.errors import PlaitError
from plait.evaluation.pictures import Frame, render_frame
from plait.evaluation.rollout import Environment
from plait.evaluation.stress.closed_loop import roll_out
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.policies import Checked, Wrapped
from plait.results import EpisodeResult
from plait.results.stress import Condition
from plait.types import ActionChunk, Observation

SCENE_SIDE_PX = 256
VIEW_SIDE_PX = 128
GAP_PX = 8
# Neither the black of a missing camera nor the white of a table.
GROUND = 96


@dataclass(frozen=True, kw_only=True)
class Film:
    """One scene under one condition.

    Attributes:
        result: How the episode went.
        instruction: What the policy read.
        acted_on: Which object decided the episode; empty where none did or none is told of.
        frames: One a control step, the start included.
    """

    result: EpisodeResult
    instruction: str
    acted_on: str
    frames: tuple[Frame, ...]


def film_scene(
    policy: Checked,
    make_env: Callable[[], Environment],
    condition: Condition,
    seed: int,
    ingredients: Ingredients,
    *,
    execution_horizon: int,
) -> Film:
    """Play a scene under a condition and film it.

    Args:
        policy: Anything that predicts chunks, checked.
        make_env: Makes one environment, with pictures for people if it can.
        condition: What is done.
        seed: Of the scene.
        ingredients: What corruptions need.
        execution_horizon: Steps executed before the policy looks again.

    Raises:
        PlaitError: Of the policy or the environment.
    """
    camera = _Camera()
    (result,) = roll_out(
        _Watched(policy, camera),
        lambda: _Overheard(make_env(), camera),
        condition,
        [seed],
        ingredients,
        execution_horizon=execution_horizon,
        num_parallel=1,
        on_frame=lambda _, env: camera.take(env),
    )
    read = camera.looks[-1][1].instruction[0]
    return Film(
        result=result,
        instruction=read,
        acted_on=str(camera.info.get("object", "")),
        frames=tuple(camera.develop()),
    )


class _Camera:
    """What is noted while a single environment runs."""

    def __init__(self) -> None:
        self.scenes: list[Frame | None] = []
        self.looks: list[tuple[int, Observation]] = []
        self.info: dict[str, Any] = {}

    def take(self, env: Environment) -> None:
        """Note what people see; nothing where the environment cannot draw."""
        try:
            self.scenes.append(render_frame(env))
        except PlaitError:
            self.scenes.append(None)

    def look(self, observation: Observation) -> None:
        """Note what the policy sees."""
        self.looks.append((len(self.scenes) - 1, observation))

    def develop(self) -> list[Frame]:
        """Put what people see over what the policy saw when it last looked, step by step."""
        frames, seen = [], iter(self.looks)
        view = _view(self.looks[0][1])
        following = next(seen, None)
        for step, scene in enumerate(self.scenes):
            while following is not None and following[0] <= step:
                view, following = _view(following[1]), next(seen, None)
            frames.append(view if scene is None else _under(_square(scene, SCENE_SIDE_PX), view))
        return frames


@dataclass(frozen=True)
class _Watched(Wrapped):
    """A policy whose every look is noted: what reaches it, after all that is done to it."""

    camera: _Camera

    def predict(self, observation: Observation) -> ActionChunk:
        self.camera.look(observation)
        return self.policy.predict(observation)


class _Overheard(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment of which it is noted what it says of its episode."""

    def __init__(self, env: Environment, camera: _Camera) -> None:
        super().__init__(env)
        self._camera = camera

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act, and note what is said of it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._camera.info = info
        return observation, reward, bool(terminated), bool(truncated), info


def side_by_side(
    first: Sequence[Frame], second: Sequence[Frame]
) -> list[UInt8[ndarray, "height both_px 3"]]:
    """Show two films of equal size beside one another; the shorter one rests at its end."""
    ends = (first[-1], second[-1])
    frames = []
    for pair in zip_longest(first, second):
        left, right = (end if one is None else one for one, end in zip(pair, ends, strict=True))
        gap = np.full((left.shape[0], GAP_PX, 3), GROUND, np.uint8)
        frames.append(np.concatenate([left, gap, right], axis=1))
    return frames


def _view(observation: Observation) -> UInt8[ndarray, "below_px width_px 3"]:
    """Lay out the newest image of every camera in rows as wide as the scene."""
    images = [
        _square(image[0, -1].movedim(0, -1).numpy(), VIEW_SIDE_PX)
        for image in observation.images.values()
    ]
    blank = np.full_like(images[0], GROUND)
    images += [blank] * (-len(images) % (SCENE_SIDE_PX // VIEW_SIDE_PX))
    in_row = SCENE_SIDE_PX // VIEW_SIDE_PX
    rows = [images[start : start + in_row] for start in range(0, len(images), in_row)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _under(
    scene: UInt8[ndarray, "above_px width_px 3"], view: UInt8[ndarray, "below_px width_px 3"]
) -> Frame:
    gap = np.full((GAP_PX, scene.shape[1], 3), GROUND, np.uint8)
    return np.concatenate([scene, gap, view])


def _square(
    image: UInt8[ndarray, "height width_px 3"], side_px: int
) -> UInt8[ndarray, "side_px side_px 3"]:
    """Fit an image into a square; pixels are enlarged without smoothing."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    fitted = np.asarray(Image.fromarray(image).resize(size, how))
    square = np.full((side_px, side_px, 3), GROUND, np.uint8)
    top, left = (side_px - fitted.shape[0]) // 2, (side_px - fitted.shape[1]) // 2
    square[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return square
