"""The images of a LeRobot dataset, decoded in the order of the steps: from videos or from rows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, UInt8
from numpy import ndarray

from plait.data.episode import decode_image
from plait.data.lerobot.episodes import ABSENT, EpisodeTable, Span
from plait.data.lerobot.format import INFO_FILE
from plait.data.lerobot.json_files import COPY_AGAIN
from plait.data.lerobot.tables import PARQUET_ERRORS, damaged, refuse_false_claims
from plait.data.video import read_video
from plait.errors import DataError

ROWS_PER_READ = 256
IMAGES_PER_TASK = 32


@dataclass(frozen=True)
class Sizes:
    """Sizes of a camera's images as (height, width) in pixels.

    Attributes:
        recorded: As `info.json` says.
        wanted: To average down to; the recorded one where they are equal.
    """

    recorded: tuple[int, int]
    wanted: tuple[int, int]

    @property
    def absent(self) -> UInt8[ndarray, "height width_px 3"]:
        """What stands for an image that was not recorded."""
        return np.zeros((*self.wanted, 3), dtype=np.uint8)


def video_frames(
    span: Span, episodes: EpisodeTable, sizes: Sizes
) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
    """Decode the frames of some episodes from the file they share.

    Raises:
        DataError: If the file is missing or damaged, or has too few frames.
    """
    if span.path is None:
        for _ in range(int(episodes.lengths[span.episodes.start : span.episodes.stop].sum())):
            yield sizes.absent
        return
    frames = read_video(span.path, sizes.wanted, sizes.recorded)
    position = 0
    for index, start in zip(span.episodes, span.starts.tolist(), strict=True):
        length = int(episodes.lengths[index])
        if start == ABSENT:
            for _ in range(length):
                yield sizes.absent
            continue
        if start < position:
            found = f"episode {index} from frame {start} of {span.path.name}"
            raise DataError(episodes.path, found, f"frame {position} or later", COPY_AGAIN)
        for _ in islice(frames, start - position):
            pass
        count = 0
        for frame in islice(frames, length):
            count += 1
            yield frame
        if count != length:
            found = f"{count} frames of episode {index}"
            raise DataError(span.path, found, f"{length}, one a step", COPY_AGAIN)
        position = start + length


def absent_images(path: Path, key: str) -> Bool[ndarray, " rows"]:
    """Say of every row of a file whether its image was not recorded: null, image and name.

    Raises:
        DataError: If the file is missing or damaged, or has no such column.
    """
    try:
        with pq.ParquetFile(path) as file:
            require_images(path, file, key)
            refuse_false_claims(path, file)
            # LeRobot names every image. Only where a name lacks are the images themselves read.
            names = _null_rows(file, key, "path")
            return names & _null_rows(file, key, "bytes") if names.any() else names
    except PARQUET_ERRORS as error:
        raise damaged(path, error) from error


def require_images(path: Path, file: pq.ParquetFile, key: str) -> None:
    """Refuse a file without a column of images.

    Raises:
        DataError: Naming what is there instead.
    """
    if key not in file.schema_arrow.names:
        raise DataError(path, f"no column {key!r}", "the images", COPY_AGAIN)
    kind = file.schema_arrow.field(key).type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise DataError(path, f"{key} of type {kind}", "images, in `bytes`", COPY_AGAIN)


def _null_rows(file: pq.ParquetFile, key: str, name: str) -> Bool[ndarray, " rows"]:
    """Say of every row whether a field of an image is null, or the image as a whole."""
    if file.schema_arrow.field(key).type.get_field_index(name) < 0:
        return np.ones(file.metadata.num_rows, dtype=np.bool_)
    found = [np.zeros(0, dtype=np.bool_)]
    for batch in file.iter_batches(batch_size=ROWS_PER_READ, columns=[f"{key}.{name}"]):
        images = batch.column(0)
        found.append(_is_null(images) | _is_null(images.field(name)))
    return np.concatenate(found)


def _is_null(values: pa.Array) -> Bool[ndarray, " rows"]:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)


def embedded_images(
    path: Path,
    key: str,
    present: Bool[ndarray, " rows"],
    sizes: Sizes,
    pool: ThreadPoolExecutor,
) -> Iterator[UInt8[ndarray, "height width_px 3"]]:
    """Decode the images in one parquet file; decompression leaves the interpreter's lock.

    Args:
        path: The file.
        key: The column.
        present: Which rows have an image.
        sizes: Of the images.
        pool: What decodes.

    Raises:
        DataError: Naming the row, if an image is missing or damaged.
    """
    row = 0
    for contents in _read_contents(path, key):
        starts = range(0, len(contents), IMAGES_PER_TASK)
        parts = [contents[start : start + IMAGES_PER_TASK] for start in starts]
        for images in pool.map(lambda part: [_decode(content, sizes) for content in part], parts):
            for image in images:
                if not present[row]:
                    image = sizes.absent
                elif isinstance(image, str):
                    raise _no_image(path, key, row, image)
                row += 1
                yield image


class RowImages:
    """A parquet file opened to read single images by their row.

    Args:
        path: The file.
        key: The column.
        sizes: Of the images.

    Raises:
        DataError: If the file is missing or damaged, or has no such column.
    """

    def __init__(self, path: Path, key: str, sizes: Sizes) -> None:
        self.path, self.key, self.sizes = path, key, sizes
        try:
            self._file = pq.ParquetFile(path)
            require_images(path, self._file, key)
            refuse_false_claims(path, self._file)
        except PARQUET_ERRORS as error:
            raise damaged(path, error) from error
        metadata = self._file.metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *counts])
        self._group, self._contents = -1, pa.nulls(0)

    def frame(self, place: int) -> UInt8[ndarray, "height width_px 3"]:
        """Decode the image of one row; the others of its row group are then at hand.

        Raises:
            DataError: If the file is damaged, or the image is.
        """
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        try:
            if group != self._group:
                table = self._file.read_row_group(group, columns=[self.key])
                self._contents = table.column(0).combine_chunks().field("bytes")
                self._group = group
            content = self._contents[place - int(self._starts[group])].as_py()
        except PARQUET_ERRORS as error:
            raise damaged(self.path, error) from error
        image = _decode(content, self.sizes)
        if isinstance(image, str):
            raise _no_image(self.path, self.key, place, image)
        return image

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _no_image(path: Path, key: str, row: int, problem: str) -> DataError:
    found = f"the image {key} in row {row} is {problem}"
    return DataError(path, found, f"a whole image of the size in {INFO_FILE}", COPY_AGAIN)


def _read_contents(path: Path, key: str) -> Iterator[list[bytes | None]]:
    try:
        with pq.ParquetFile(path) as file:
            refuse_false_claims(path, file)
            for batch in file.iter_batches(batch_size=ROWS_PER_READ, columns=[key]):
                yield batch.column(0).field("bytes").to_pylist()
    except PARQUET_ERRORS as error:
        raise damaged(path, error) from error


def _decode(content: bytes | None, sizes: Sizes) -> ndarray | str:
    """Decode an image; a text says what is wrong with one that cannot be."""
    try:
        return decode_image(content or b"", sizes.wanted, sizes.recorded)
    except ValueError as error:
        return str(error)
    except OSError:
        return "missing or damaged"
