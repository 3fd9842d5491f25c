"""Demonstrations of the scripted expert, recorded with a progress bar."""

import json
from pathlib import Path
from typing import Any

from plait.compare.console import progress_bar
from plait.compare.workers import worker_count
from plait.data.dataset import Demonstrations
from plait.data.lerobot.format import INFO_FILE
from plait.data.record import Recording, record
from plait.envs import family_of, make_env
from plait.envs.demonstrate import ExpertEpisodes
from plait.errors import (
    OptionError,
    OutputError,
    UnknownNameError,
    require_at_least_one,
    require_seed,
)
from plait.results import DatasetSummary, write_text_atomically

STORAGES = ("image", "video")


def record_demonstrations(
    env: str,
    root: Path,
    *,
    num_episodes: int,
    noise: float | None = None,
    cameras: tuple[str, ...] = (),
    image_size: int | None = None,
    storage: str = "image",
    seed: int = 0,
    num_workers: int | None = None,
    render: str | None = None,
) -> dict[str, Any]:
    """Record the scripted expert into a LeRobot v3 dataset; an interrupted call goes on.

    Args:
        env: Environment id, e.g. `tabletop/pick`.
        root: Folder of the dataset.
        num_episodes: Successful episodes to record.
        noise: Share of the steps with injected noise; the environment's usual one where None.
        cameras: Cameras to record; those that the environment shows by default where empty.
        image_size: Height and width of the images in pixels, likewise.
        storage: `image` or `video`.
        seed: Seed of the first scene.
        num_workers: Processes; one a core where None.
        render: `opengl` or `raycast`, where an environment knows several ways of taking pictures.

    Raises:
        PlaitError: Of the options or the output folder.
    """
    require_at_least_one("number of episodes", num_episodes)
    num_workers = worker_count(num_workers)
    require_seed(seed)
    if storage not in STORAGES:
        raise UnknownNameError("storage", storage, STORAGES)
    family = family_of(env)
    noise = family.default_noise if noise is None else noise
    image_size = family.default_image_size if image_size is None else image_size
    if not 0 <= noise <= 1:
        raise OptionError(f"the noise is {noise}, but must be a share of the steps, 0 to 1")
    options: dict[str, Any] = {} if render is None else {"render": render}
    made = make_env(
        env, image_size=image_size, **({"cameras": cameras} if cameras else {}), **options
    )
    cameras = tuple(made.observation_space["images"])  # type: ignore[index]
    made.close()
    view = family.view(options)
    episodes = ExpertEpisodes(env, noise, cameras, image_size, view)
    settings = {"env": env, "noise": noise, "cameras": list(cameras), "image_size": image_size}
    if view:
        settings["view"] = dict(view)
    recording = Recording(
        episodes,
        settings,
        root,
        num_episodes,
        seed=seed,
        fps=family.fps,
        storage=storage,
        robot_type=family.robot_type,
        origin=settings if view else None,
    )
    with progress_bar(f"record {env}", num_episodes) as show:
        record(
            recording,
            num_workers=num_workers,
            on_progress=lambda done: show(min(done, num_episodes)),
        )
    return {"dataset": str(root), "env": env, "episodes": num_episodes, "cameras": list(cameras)}


def record_once(env: str, root: Path, num_workers: int | None = None, **options: Any) -> None:
    """Record demonstrations, unless they stand there already.

    Args:
        env: Environment id.
        root: Folder of the dataset.
        num_workers: Processes; one a core where None.
        options: Of `record_demonstrations`, those that decide what is recorded.

    Raises:
        OutputError: If the folder holds demonstrations recorded with other settings.
    """
    path = root.with_name(f"{root.name}.json")
    text = json.dumps({"env": env, **options}, indent=2) + "\n"
    if not is_recorded(root):
        record_demonstrations(env, root, num_workers=num_workers, **options)
        write_text_atomically(path, text)
    elif path.exists() and path.read_text(encoding="utf-8") != text:
        raise OutputError(
            f"{root} holds demonstrations recorded with other settings (see {path}); choose "
            "another folder with --out, or delete it"
        )


def is_recorded(root: Path) -> bool:
    """Whether a finished dataset stands there."""
    return (root / INFO_FILE).exists()


def describe_dataset(path: str, data: Demonstrations, *, is_recorded_here: bool) -> DatasetSummary:
    """Say for the record which demonstrations were learned from."""
    return DatasetSummary(
        path=path,
        fingerprint=data.fingerprint,
        num_episodes=data.num_episodes,
        num_steps=data.num_steps,
        cameras=tuple(data.cameras),
        tasks=tuple(data.instructions),
        is_recorded_here=is_recorded_here,
    )
