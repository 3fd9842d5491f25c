"""A LeRobot dataset of the Hugging Face hub as a local folder: only the files that are read."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plait.data.files import beside
from plait.data.lerobot.info import A_DATASET, camera_keys, read_info
from plait.errors import DataError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
METADATA = "meta/*"


def local_folder(root: Path, cameras: Sequence[str] = ()) -> Path:
    """Return a folder as it is, and the id of a dataset on the hub as the folder of its download.

    What is there already, the hub's client does not download again.

    Args:
        root: A folder, or `owner/name` where there is no such folder.
        cameras: Cameras whose videos are needed; all where empty.

    Raises:
        DataError: If there is neither folder nor dataset, or no network.
    """
    is_unfinished = any(beside(root, suffix).exists() for suffix in (".recording", ".partial"))
    if root.exists() or is_unfinished or not HUB_ID.fullmatch(root.as_posix()):
        return root
    info = read_info(_download(root, [METADATA]))
    return _download(root, [METADATA, *_patterns(info, cameras)])


def _patterns(info: dict[str, Any], cameras: Sequence[str]) -> Iterator[str]:
    """Yield patterns of the files with the rows and of the videos of some cameras."""
    yield _pattern(str(info["data_path"]))
    template = info.get("video_path")
    for camera, key in camera_keys(info["features"]):
        is_video = info["features"][key]["dtype"] == "video"
        if template and is_video and (not cameras or camera in cameras):
            yield _pattern(str(template).replace("{video_key}", key))


def _pattern(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "*", template)


def _download(root: Path, patterns: list[str]) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        expected = f"{A_DATASET}; or the id of one on the Hugging Face hub"
        todo = "For the latter, run: pip install 'plait[hub]'"
        raise DataError(root, "no such folder", expected, todo) from error
    try:
        folder = snapshot_download(root.as_posix(), repo_type="dataset", allow_patterns=patterns)
    except Exception as error:
        # The client raises errors of its own, of its HTTP library's and of the system's.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        found = f"no such folder, and nothing from the hub ({lines[0].rstrip('.')})"
        todo = "Copy the dataset here, or look at the id and the network"
        raise DataError(root, found, f"{A_DATASET}, or the id of one on the hub", todo) from error
    return Path(folder)
