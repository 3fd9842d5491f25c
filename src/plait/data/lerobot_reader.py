"""Read a LeRobot v3.0 dataset from a local folder, checking it as it is read.

Numbers of all files go into contiguous arrays; images stay on disk until `frames` decodes them.
Paths come from the templates in `info.json`, never from a guess.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray
from PIL import Image, UnidentifiedImageError

from plait.data.lerobot_format import ACTION, IMAGE_PREFIX, INFO_FILE, STATE, TASKS_FILE
from plait.data.video import read_video
from plait.errors import DataError

NOT_A_DATASET = "a LeRobot v3.0 dataset (a folder with meta/info.json)"
COPY_AGAIN = "Copy or record the dataset again"


@dataclass(frozen=True)
class LeRobotReader:
    """A dataset that was opened and checked.

    Attributes:
        root: Its folder.
        info: What `meta/info.json` says.
        proprio: All steps' states.
        action: All steps' actions.
        task_index: Which of `tasks` each step belongs to.
        tasks: Instructions.
        episode_bounds: First step and the step after the last, of every episode.
        data_files: Files with the rows, in order.
    """

    root: Path
    info: dict[str, Any]
    proprio: Float32[ndarray, "steps proprio_dim"]
    action: Float32[ndarray, "steps action_dim"]
    task_index: Int64[ndarray, " steps"]
    tasks: tuple[str, ...]
    episode_bounds: Int64[ndarray, "episodes 2"]
    data_files: tuple[Path, ...]

    @classmethod
    def open(cls, root: Path) -> "LeRobotReader":
        """Open and check a dataset.

        Raises:
            DataError: Naming the file, what was found, what was expected, and what to do.
        """
        info = _read_info(root)
        episodes = _read_episodes(root, info)
        files = _data_files(root, info, episodes)
        tables = [_read_table(path) for path in files]
        table = pa.concat_tables(tables)
        expected = int(info["total_frames"])
        if table.num_rows != expected:
            found = f"{table.num_rows} steps in the data files"
            raise DataError(root, found, f"{expected}, as {INFO_FILE} says", COPY_AGAIN)
        lengths = np.array([row["length"] for row in episodes], dtype=np.int64)
        ends = np.cumsum(lengths)
        if not len(lengths) or ends[-1] != expected:
            found = f"episodes of {ends[-1] if len(ends) else 0} steps together"
            raise DataError(root, found, f"{expected}, as {INFO_FILE} says", COPY_AGAIN)
        bounds = np.stack([ends - lengths, ends], axis=1)
        proprio = _matrix(files[0], table, info, STATE)
        action = _matrix(files[0], table, info, ACTION)
        for key, values in ((STATE, proprio), (ACTION, action)):
            _refuse_nan(root, key, values, bounds)
        task_index = table["task_index"].to_numpy().astype(np.int64)
        tasks = _read_tasks(root, int(task_index.max()) + 1)
        return cls(root, info, proprio, action, task_index, tasks, bounds, tuple(files))

    @property
    def fps(self) -> int:
        """Steps a second."""
        return int(self.info["fps"])

    @property
    def cameras(self) -> tuple[str, ...]:
        """Camera names, in the order of `info.json`."""
        kinds = ("image", "video")
        return tuple(
            key.removeprefix(IMAGE_PREFIX)
            for key, feature in self.info["features"].items()
            if feature["dtype"] in kinds
        )

    def feature(self, camera: str) -> tuple[str, dict[str, Any]]:
        """Return the full key of a camera and its description."""
        features = self.info["features"]
        key = camera if camera in features else IMAGE_PREFIX + camera
        return key, features[key]

    def source_files(self, camera: str) -> tuple[Path, ...]:
        """Return the files that hold a camera's frames, in order."""
        key, feature = self.feature(camera)
        if feature["dtype"] == "image":
            return self.data_files
        places = sorted(
            {
                (row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"])
                for row in _read_episodes(self.root, self.info)
            }
        )
        template = self.info["video_path"]
        return tuple(
            self.root / template.format(video_key=key, chunk_index=chunk, file_index=file)
            for chunk, file in places
        )

    def frames(self, camera: str) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
        """Decode every frame of a camera, in the order of the steps.

        Raises:
            DataError: If a file is missing or damaged.
        """
        key, feature = self.feature(camera)
        for path in self.source_files(camera):
            if feature["dtype"] == "video":
                yield from read_video(path)
            else:
                yield from _embedded_images(path, key)


def _read_info(root: Path) -> dict[str, Any]:
    path = root / INFO_FILE
    if not root.is_dir():
        partial = root.with_name(root.name + ".partial")
        todo = "Its recording was interrupted: run it again" if partial.exists() else ""
        raise DataError(root, "no such folder", NOT_A_DATASET, todo)
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", NOT_A_DATASET) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON ({error})", NOT_A_DATASET, COPY_AGAIN) from error
    version = str(info.get("codebase_version", "none"))
    if not version.startswith("v3."):
        raise DataError(path, f"LeRobot version {version}", "v3.0", "Convert it with LeRobot first")
    for field in ("features", "fps", "total_frames", "total_episodes", "data_path"):
        if field not in info:
            raise DataError(path, f"no field {field!r}", "it, as in every v3.0 dataset", COPY_AGAIN)
    for key in (STATE, ACTION):
        if key not in info["features"]:
            known = ", ".join(info["features"])
            raise DataError(path, f"no feature {key!r} among {known}", "state and action")
    return dict(info)


def _read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    if columns is None:
        columns = [STATE, ACTION, "episode_index", "task_index"]
    try:
        return pq.read_table(path, columns=columns or None)
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "a parquet file", COPY_AGAIN) from error
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(path, f"damaged ({reason})", "a whole parquet file", COPY_AGAIN) from error


def _read_episodes(root: Path, info: dict[str, Any]) -> list[dict[str, Any]]:
    files = sorted((root / "meta" / "episodes").glob("chunk-*/file-*.parquet"))
    if not files:
        raise DataError(root / "meta" / "episodes", "no file", "the episodes' table", COPY_AGAIN)
    rows: list[dict[str, Any]] = []
    for path in files:
        table = _read_table(path, [])
        kept = [name for name in table.column_names if not name.startswith("stats/")]
        rows += table.select(kept).to_pylist()
    expected = int(info["total_episodes"])
    if len(rows) != expected:
        found = f"{len(rows)} episodes"
        raise DataError(files[0], found, f"{expected}, as {INFO_FILE} says", COPY_AGAIN)
    return sorted(rows, key=lambda row: int(row["episode_index"]))


def _data_files(root: Path, info: dict[str, Any], episodes: list[dict[str, Any]]) -> list[Path]:
    places = sorted({(row["data/chunk_index"], row["data/file_index"]) for row in episodes})
    template = info["data_path"]
    return [
        root / template.format(chunk_index=chunk, file_index=file, episode_chunk=chunk)
        for chunk, file in places
    ]


def _matrix(path: Path, table: pa.Table, info: dict[str, Any], key: str) -> ndarray:
    column = table[key].combine_chunks()
    dim = int(info["features"][key]["shape"][0])
    flat = column.flatten() if pa.types.is_nested(column.type) else column
    values = flat.to_numpy(zero_copy_only=False).astype(np.float32)
    if len(values) != table.num_rows * dim:
        found = f"{key} with {len(values) / max(table.num_rows, 1):g} numbers a step"
        raise DataError(path, found, f"{dim}, as {INFO_FILE} says", COPY_AGAIN)
    return values.reshape(-1, dim)


def _refuse_nan(root: Path, key: str, values: ndarray, bounds: ndarray) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return
    step, dim = bad[0]
    episode = int(np.searchsorted(bounds[:, 1], step, side="right"))
    where = f"episode {episode}, step {step - bounds[episode, 0]}: {key}[{dim}]"
    todo = f"{len(bad)} numbers of {key} are like that; remove these episodes"
    raise DataError(root, f"{where} is {values[step, dim]}", "a finite number", todo)


def _read_tasks(root: Path, num_tasks: int) -> tuple[str, ...]:
    path = root / TASKS_FILE
    table = _read_table(path, [])
    name = "task" if "task" in table.column_names else "__index_level_0__"
    if name not in table.column_names or "task_index" not in table.column_names:
        raise DataError(path, f"columns {table.column_names}", "task and task_index", COPY_AGAIN)
    rows = dict(zip(table["task_index"].to_pylist(), table[name].to_pylist(), strict=True))
    missing = [index for index in range(num_tasks) if index not in rows]
    if missing:
        raise DataError(path, f"no task {missing[0]}", f"{num_tasks} tasks", COPY_AGAIN)
    return tuple(str(rows[index]) for index in range(num_tasks))


def _embedded_images(path: Path, key: str) -> Iterator[ndarray]:
    try:
        file = pq.ParquetFile(path)
        for group in file.iter_batches(batch_size=256, columns=[key]):
            for value in group.column(0).field("bytes"):
                yield _decode(path, key, value.as_py())
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(path, f"damaged ({reason})", "a whole parquet file", COPY_AGAIN) from error


def _decode(path: Path, key: str, content: bytes | None) -> ndarray:
    try:
        return np.asarray(Image.open(io.BytesIO(content or b"")).convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(path, f"an image of {key} is damaged", "a PNG", COPY_AGAIN) from error
