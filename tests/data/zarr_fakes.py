"""Zarr groups of format 2 written with zarr's own codecs, but by hand: small, and easy to break."""

import json
import zipfile

import numcodecs
import numpy as np

ENDS = (4, 9, 12)
SIZE = (5, 7)


def write_array(folder, values, chunks, *, compressor=None, filters=(), order="C", separator="."):
    """Write an array a file a chunk, chunks at the end filled up with zeros as Zarr does."""
    folder.mkdir(parents=True)
    metadata = {
        "zarr_format": 2,
        "shape": list(values.shape),
        "chunks": list(chunks),
        "dtype": values.dtype.str,
        "compressor": compressor.get_config() if compressor else None,
        "filters": [item.get_config() for item in filters] or None,
        "order": order,
        "fill_value": 0,
        "dimension_separator": separator,
    }
    (folder / ".zarray").write_text(json.dumps(metadata))
    for index in np.ndindex(*(-(-n // c) for n, c in zip(values.shape, chunks, strict=True))):
        low = [i * c for i, c in zip(index, chunks, strict=True)]
        part = values[tuple(slice(a, a + c) for a, c in zip(low, chunks, strict=True))]
        chunk = np.zeros(chunks, values.dtype)
        chunk[tuple(slice(n) for n in part.shape)] = part
        content = chunk.tobytes(order=order)
        for item in filters:
            content = item.encode(content)
        path = folder / separator.join(map(str, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(compressor.encode(content) if compressor else content))


def pusht(seed=0):
    """Arrays as PushT has them: images as floats."""
    rng = np.random.default_rng(seed)
    return {
        "img": rng.integers(0, 256, (ENDS[-1], *SIZE, 3)).astype(np.float32),
        "state": rng.normal(size=(ENDS[-1], 5)).astype(np.float32),
        "action": rng.normal(size=(ENDS[-1], 2)).astype(np.float32),
    }


def umi(seed=0):
    """Arrays as UMI has them: no action."""
    rng = np.random.default_rng(seed)
    return {
        "camera0_rgb": rng.integers(0, 256, (ENDS[-1], *SIZE, 3), dtype=np.uint8),
        "robot0_eef_pos": rng.normal(size=(ENDS[-1], 3)),
        "robot0_eef_rot_axis_angle": rng.normal(size=(ENDS[-1], 3)),
        "robot0_gripper_width": rng.normal(size=(ENDS[-1], 1)),
    }


def write_group(folder, arrays, *, ends=ENDS, compressor=None, **options):
    if compressor is None:
        compressor = numcodecs.Blosc("zstd")
    folder.mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    for name, values in arrays.items():
        chunks = (5, *(max(1, size - 2) for size in values.shape[1:]))
        write_array(folder / "data" / name, values, chunks, compressor=compressor, **options)
    write_array(folder / "meta/episode_ends", np.array(ends, np.int64), (2,))
    return folder


def zipped(folder):
    """Put a group into a zip file beside it."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w") as file:
        for item in sorted(folder.rglob("*")):
            if item.is_file():
                file.write(item, item.relative_to(folder).as_posix())
    return path
