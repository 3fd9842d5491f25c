"""Moving pictures of rollouts, for a report: which scenes to show, and showing them.

Scenes are played again after the evaluation rather than filmed during it: rendering every episode
would cost more than the evaluation itself.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.errors import PlaitError
from plait.evaluation.files import write_bytes_atomically
from plait.evaluation.rollout import Environment, evaluate_policy
from plait.execution import PredictsChunks
from plait.results import EpisodeResult, RolloutPicture

FOLDER = "rollouts"
FRAMES_PER_SECOND = 10
LAST_FRAME_MS = 1000
# A policy's arithmetic may differ in its last bits from that of the whole batch, and a scene on
# the edge may then end otherwise; more than so many are not tried.
MAX_TRIES = 5
MAX_SIDE_PX = 256
MAX_BYTES = 150_000
# Tried in this order until a file is small enough: WebP quality, and which share of the frames.
ENCODINGS = ((75, 1), (50, 1), (50, 2), (30, 2), (20, 4))

Frame = UInt8[ndarray, "height width_px 3"]


def choose_scenes(
    episodes: Mapping[str, Sequence[EpisodeResult]], *, num_successes: int, num_failures: int
) -> dict[str, tuple[int, ...]]:
    """Choose the scenes to show of every arm: some it solved, then some it did not.

    Scenes on which the arms disagree come first, the more evenly the better, and all arms choose
    by the same order, so the same scene tends to be shown for each of them.

    Args:
        episodes: Per arm, the results of its evaluation.
        num_successes: Most solved scenes to show of an arm.
        num_failures: Most failed scenes to show of an arm.

    Returns:
        Per arm, scene seeds.
    """
    votes: dict[int, list[bool]] = {}
    for results in episodes.values():
        for result in results:
            votes.setdefault(result.seed, []).append(result.success)

    def interest(result: EpisodeResult) -> tuple[int, int]:
        successes = sum(votes[result.seed])
        return -successes * (len(votes[result.seed]) - successes), result.seed

    chosen = {}
    for arm, results in episodes.items():
        ranked = sorted(results, key=interest)
        solved = [result.seed for result in ranked if result.success][:num_successes]
        failed = [result.seed for result in ranked if not result.success][:num_failures]
        chosen[arm] = tuple(solved + failed)
    return chosen


def choose_across_tasks(
    episodes: Sequence[EpisodeResult], *, num_successes: int, num_failures: int
) -> tuple[int, ...]:
    """Choose the scenes to show of one policy: of different tasks, those it does worst first.

    Args:
        episodes: Of its evaluation.
        num_successes: Most solved scenes to show.
        num_failures: Most failed scenes to show.

    Returns:
        Scene seeds, failures first.
    """
    by_task: dict[str, list[EpisodeResult]] = {}
    for episode in episodes:
        by_task.setdefault(episode.task, []).append(episode)
    worst_first = sorted(by_task.items(), key=lambda item: (_share(item[1]), item[0]))

    def scenes(number: int, *, success: bool) -> list[int]:
        # Each task's first scene, then each one's second, and so on.
        ranked = [
            (turn, place, each.seed)
            for place, (_, own) in enumerate(worst_first)
            for turn, each in enumerate(each for each in own if each.success == success)
        ]
        return [seed for _, _, seed in sorted(ranked)[:number]]

    return (*scenes(num_failures, success=False), *scenes(num_successes, success=True))


def _share(episodes: Sequence[EpisodeResult]) -> float:
    return sum(episode.success for episode in episodes) / len(episodes)


def record_pictures(
    policy: PredictsChunks,
    make_env: Callable[[], Environment],
    seeds: Sequence[int],
    folder: Path,
    *,
    execution_horizon: int,
    frame_stride: int = 1,
    ensemble_decay: float | None = None,
    masked_modalities: Sequence[str] = (),
) -> tuple[RolloutPicture, ...]:
    """Play scenes again and write an animated WebP of each into `folder/rollouts`.

    Args:
        policy: Anything that predicts chunks.
        make_env: Makes an environment whose `render()` returns an RGB array.
        seeds: Scenes to show.
        folder: Folder of the result that will name the pictures.
        execution_horizon: As in the evaluation.
        frame_stride: Control steps from one frame to the next; the last step is always shown.
        ensemble_decay: As in the evaluation.
        masked_modalities: As in the evaluation.

    Returns:
        One picture a seed, with the outcome it shows.

    Raises:
        PlaitError: If the environment does not render.
        OutputError: If the folder cannot be written.
    """
    reels = {seed: _Reel(frame_stride) for seed in seeds}
    results = evaluate_policy(
        policy,
        make_env,
        seeds,
        execution_horizon=execution_horizon,
        num_parallel=4,
        ensemble_decay=ensemble_decay,
        masked_modalities=masked_modalities,
        on_frame=lambda seed, env: reels[seed].take(env),
        on_progress=lambda result: reels[result.seed].finish(),
    )
    return tuple(_write(result, reels[result.seed].frames, folder) for result in results)


class _Reel:
    """The frames of one episode.

    Args:
        stride: Control steps from one frame to the next.
    """

    def __init__(self, stride: int) -> None:
        self.frames: list[Frame] = []
        self._stride, self._num_steps = stride, 0
        self._env: Environment | None = None

    def take(self, env: Environment) -> None:
        """Take a frame if it is time."""
        self._env = None if self._num_steps % self._stride == 0 else env
        self._num_steps += 1
        if self._env is None:
            self.frames.append(render_frame(env))

    def finish(self) -> None:
        """Take the last frame, unless it has just been taken."""
        if self._env is not None:
            self.frames.append(render_frame(self._env))


def _write(result: EpisodeResult, frames: Sequence[Frame], folder: Path) -> RolloutPicture:
    file = f"{FOLDER}/scene_{result.seed}.webp"
    write_bytes_atomically(folder / file, encode_animation(frames, 1000 // FRAMES_PER_SECOND))
    return RolloutPicture(
        file=file,
        seed=result.seed,
        task=result.task,
        instruction=result.instruction,
        success=result.success,
        outcome=result.outcome,
    )


def encode_animation(frames: Sequence[Frame], frame_ms: int, max_bytes: int = MAX_BYTES) -> bytes:
    """Encode frames as a WebP that loops and rests on its last frame.

    Quality is lowered, then frames are left out, until the file is small enough; the least of
    these settings is taken as it comes.

    Args:
        frames: At least one.
        frame_ms: How long each is shown.
        max_bytes: Size aimed at.
    """
    encoded = b""
    for quality, stride in ENCODINGS:
        # Count strides from the end: the last frame shows how it ended.
        kept = [Image.fromarray(frame) for frame in frames[::-1][::stride][::-1]]
        durations = [frame_ms * stride] * (len(kept) - 1) + [LAST_FRAME_MS]
        buffer = io.BytesIO()
        kept[0].save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=kept[1:],
            duration=durations,
            loop=0,
            quality=quality,
            method=3,
        )
        encoded = buffer.getvalue()
        if len(encoded) <= max_bytes:
            break
    return encoded


def render_frame(env: Environment) -> Frame:
    """Take a picture of an environment as people see it, at most 256 pixels a side.

    Raises:
        PlaitError: If the environment draws no RGB images.
    """
    frame = env.render()
    if not isinstance(frame, ndarray) or frame.dtype != np.uint8 or frame.shape[2:] != (3,):
        raise PlaitError(
            f"the environment's render() returned {_describe(frame)}, not an RGB image; make it "
            "with render_mode='rgb_array'"
        )
    if max(frame.shape) <= MAX_SIDE_PX:
        return frame.copy()
    image = Image.fromarray(frame)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return np.asarray(image)


def _describe(frame: object) -> str:
    if isinstance(frame, ndarray):
        return f"an array of {frame.dtype} with shape {frame.shape}"
    return "nothing" if frame is None else f"a {type(frame).__name__}"
