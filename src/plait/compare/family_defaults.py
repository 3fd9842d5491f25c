"""What a comparison takes from the family of its environment; the presets are the tabletop's."""

from dataclasses import replace
from pathlib import Path

from plait.compare.settings import CompareSettings
from plait.data.lerobot.format import INFO_FILE
from plait.data.lerobot.info import camera_keys, frame_size, read_info
from plait.envs import family_of


def in_environment(settings: CompareSettings, env: str, data: Path | None) -> CompareSettings:
    """Move settings to an environment; to one of another family with that family's defaults.

    Args:
        settings: Of a preset.
        env: Environment id.
        data: Demonstrations to train on, if any: pictures keep the size they were recorded in.

    Raises:
        UnknownNameError: If there is no such environment.
        DataError: If the demonstrations cannot be read.
    """
    family = family_of(env)
    if settings.env is not None and family_of(settings.env) is family:
        return replace(settings, env=env)
    return replace(
        settings,
        env=env,
        holdout_env=None,
        cameras=family.default_cameras,
        image_size=_recorded_size(data) or family.default_image_size,
        noise=family.default_noise,
        num_demonstrations=family.num_demonstrations(env.partition("/")[2]),
    )


def _recorded_size(data: Path | None) -> int | None:
    """Return the larger side of recorded pictures; None where they differ or nothing says so."""
    if data is None or not (data / INFO_FILE).exists():
        return None
    path, features = data / INFO_FILE, read_info(data)["features"]
    sizes = {max(frame_size(path, key, features[key])) for _, key in camera_keys(features)}
    return sizes.pop() if len(sizes) == 1 else None
