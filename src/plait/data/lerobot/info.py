"""What `meta/info.json` says of a LeRobot dataset, checked before anything relies on it."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from plait.data.files import beside
from plait.data.lerobot.format import ACTION, IMAGE_PREFIX, INFO_FILE, ORIGIN, STATE
from plait.data.lerobot.json_files import COPY_AGAIN, read_object
from plait.errors import DataError

A_DATASET = "a LeRobot dataset (a folder with meta/info.json)"
SAID = f"as {INFO_FILE} says"
VERSIONS = "v2.0, v2.1 or v3.0"
# Names of the same two features in datasets made for openpi.
STATE_KEYS, ACTION_KEYS = (STATE, "state"), (ACTION, "actions")
MAX_SIDE_PX = 2**16 - 1
# JSON numbers beyond this are not whole numbers any more.
MAX_COUNT = 2**53
NUMBER_FORMAT = re.compile(r"0?[0-9]{0,2}d?")


# What RLDS, HDF5 and Zarr recordings look like from outside.
CONVERTIBLE = ("*.tfrecord*", "*/*.tfrecord*", "*.hdf5", "*.h5", "*.zarr*", ".zgroup")


def read_info(root: Path) -> dict[str, Any]:
    """Read `meta/info.json` and check that it is of a dataset that can be read.

    Raises:
        DataError: If it is missing, damaged, of another version, or incomplete.
    """
    path = root / INFO_FILE
    unfinished = [beside(root, suffix) for suffix in (".recording", ".partial")]
    is_unfinished = any(folder.exists() for folder in unfinished)
    todo = "Its recording was interrupted: run it again" if is_unfinished else ""
    if not root.is_dir():
        raise DataError(root, "no such folder", A_DATASET, todo)
    if not is_unfinished and any(any(root.glob(pattern)) for pattern in CONVERTIBLE):
        todo = "It may be of a format that plait convert reads"
    info = read_object(path, A_DATASET, todo)
    version = info.get("codebase_version", "none")
    if not isinstance(version, str) or not version.startswith(("v2.", "v3.")):
        todo = "Convert it with LeRobot's own scripts"
        raise DataError(path, f"LeRobot version {version}", VERSIONS, todo)
    for name in ("features", "fps", "total_frames", "total_episodes", "data_path"):
        if name not in info:
            found, expected = f"no field {name!r}", f"it, as in every {version} dataset"
            raise DataError(path, found, expected, COPY_AGAIN)
    _check_number(path, info, "fps")
    for name in ("total_frames", "total_episodes", *({"chunks_size"} & set(info))):
        _check_number(path, info, name)
        if info[name] != int(info[name]) or info[name] > MAX_COUNT:
            raise DataError(path, f"{name} = {info[name]!r}", "a whole number", COPY_AGAIN)
        info[name] = int(info[name])
    _check_features(path, info["features"])
    return info


def recorded_view(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how pictures were taken, which Plait writes where a simulator knows several ways."""
    origin = info.get(ORIGIN)
    view = origin.get("view") if isinstance(origin, Mapping) else None
    return view if isinstance(view, Mapping) else {}


def is_v2(info: dict[str, Any]) -> bool:
    """Whether a dataset has one file an episode, as before version 3."""
    return str(info["codebase_version"]).startswith("v2.")


def _check_number(path: Path, info: dict[str, Any], name: str) -> None:
    value = info[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # JSON written by Python may hold NaN, which is neither below 1 nor above.
    if not is_number or not 1 <= value < math.inf:
        raise DataError(path, f"{name} = {value!r}", "a number from 1", COPY_AGAIN)


def _check_features(path: Path, features: Any) -> None:
    if not isinstance(features, dict):
        raise DataError(path, f"features as a {type(features).__name__}", "an object", COPY_AGAIN)
    for key, feature in features.items():
        if not isinstance(feature, dict) or "dtype" not in feature:
            raise DataError(path, f"{key} without a dtype", "dtype and shape", COPY_AGAIN)
    for names in (STATE_KEYS, ACTION_KEYS):
        key = numbers_key(features, names)
        if key is None:
            known = ", ".join(features)
            expected = f"{STATE} and {ACTION} (or {STATE_KEYS[1]} and {ACTION_KEYS[1]})"
            raise DataError(path, f"no feature {names[0]!r} among {known}", expected)
        shape = features[key].get("shape")
        if not (isinstance(shape, list) and len(shape) == 1 and _is_size(shape[0], MAX_COUNT)):
            raise DataError(path, f"{key} of shape {shape}", "a shape of one number")
    cameras = list(camera_keys(features))
    for name in {camera for camera, _ in cameras}:
        keys = [key for camera, key in cameras if camera == name]
        if len(keys) > 1:
            raise DataError(path, f"{' and '.join(keys)}", f"one feature for the camera {name}")


def numbers_key(features: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of some names that is a feature; None where none is."""
    return next((name for name in names if name in features), None)


def camera_keys(features: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each camera with its feature's key, in order; depth is no picture, and left out."""
    for key, feature in features.items():
        if feature["dtype"] in ("image", "video") and not _is_depth(feature):
            yield key.removeprefix(IMAGE_PREFIX), key


def _is_depth(feature: dict[str, Any]) -> bool:
    info = feature.get("info") or feature.get("video_info")
    if not isinstance(info, dict):
        return False
    return bool(info.get("is_depth_map") or info.get("video.is_depth_map"))


def frame_size(path: Path, key: str, feature: dict[str, Any]) -> tuple[int, int]:
    """Return the height and width of a camera's images in pixels.

    Args:
        path: `info.json`, for the message.
        key: Key of the feature.
        feature: Its description.

    Raises:
        DataError: If it does not say.
    """
    shape, names = feature.get("shape"), flat_names(feature.get("names"))
    if not (isinstance(shape, list) and len(shape) == 3):
        raise DataError(path, f"{key} of shape {shape}", "height, width and channels")
    # Every order occurs; the names decide where there are any, the channels otherwise.
    if len(names) == 3 and "height" in names and "width" in names:
        sides = shape[names.index("height")], shape[names.index("width")]
    else:
        first = names[0] if names else None
        channels_first = first in ("channel", "channels") or (
            first is None and shape[0] in (1, 3) and shape[2] not in (1, 3)
        )
        sides = (shape[1], shape[2]) if channels_first else (shape[0], shape[1])
    if not all(_is_size(side, MAX_SIDE_PX) for side in sides):
        raise DataError(path, f"{key} of shape {shape}", f"sides of 1 to {MAX_SIDE_PX} pixels")
    return sides


def flat_names(names: Any) -> list[str]:
    """Return names of axes or dimensions from a list, a list of lists, or an object of either.

    Some have an object of names and their places.
    """
    if isinstance(names, dict):
        has_places = bool(names) and all(isinstance(place, int) for place in names.values())
        names = sorted(names, key=names.__getitem__) if has_places else list(names.values())
    if isinstance(names, list):
        return [name for part in names for name in flat_names(part)]
    return [names] if isinstance(names, str) else []


def _is_size(value: Any, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= limit


def fill_template(root: Path, template: Any, **values: int | str) -> Path:
    """Return the file that a template of `info.json` names.

    Raises:
        DataError: If the template asks for something else, or leads out of the dataset.
    """
    path = root / INFO_FILE
    expected = f"a template of {', '.join(values)}"
    if not isinstance(template, str):
        raise DataError(path, f"path {template!r}", expected, COPY_AGAIN)
    try:
        for _, name, spec, conversion in Formatter().parse(template):
            is_plain = not conversion and NUMBER_FORMAT.fullmatch(spec or "")
            if name is not None and (name not in values or not is_plain):
                raise ValueError(name)
        name = template.format(**values)
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(path, f"path {template!r}", expected, COPY_AGAIN) from error
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise DataError(path, f"path {name!r}", "a path inside the dataset's folder")
    return root / name
