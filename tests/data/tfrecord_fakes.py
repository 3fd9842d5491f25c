"""TFRecord files and examples written for tests, with code of their own."""

import io
import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

BRIDGE = Path(__file__).parent / "fixtures/bridge_two_episodes"
RECORDS = "bridge_dataset-train.tfrecord-00000-of-00001"
TEXT = {"text": {}}
IMAGE = {"image": {"shape": {"dimensions": ["4", "6", "3"]}, "dtype": "uint8"}}


def crc32c(data):
    """Bit by bit, as the definition has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data):
    header = struct.pack("<Q", len(data))
    return b"".join(
        [header, struct.pack("<I", masked(header)), data, struct.pack("<I", masked(data))]
    )


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, content, kind=2):
    head = varint(number << 3 | kind)
    return head + varint(len(content)) + content if kind == 2 else head + content


def example(features):
    """Lists of bytes, of floats or of integers by name, as a tf.train.Example."""
    entries = b""
    for name, values in features.items():
        if isinstance(values[0], bytes):
            feature = field(1, b"".join(field(1, value) for value in values))
        elif isinstance(values[0], float):
            feature = field(2, field(1, struct.pack(f"<{len(values)}f", *values)))
        else:
            feature = field(3, field(1, b"".join(map(varint, values))))
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def write_tfds(folder, examples, steps, *, split="train", shards=1):
    """Write a dataset of one split.

    Args:
        folder: Where.
        examples: Features of each record by name.
        steps: Features of a step as features.json has them: {name: node}.
        split: Name of the split.
        shards: Number of files, one episode or more each.
    """
    folder.mkdir(parents=True)
    tree = {}
    for name, node in steps.items():
        *parents, leaf = name.split("/")
        place = tree
        for parent in parents:
            branch = place.setdefault(parent, {"featuresDict": {"features": {}}})
            place = branch["featuresDict"]["features"]
        place[leaf] = node
    nested = {"sequence": {"feature": {"featuresDict": {"features": tree}}}}
    content = {"featuresDict": {"features": {"steps": nested}}}
    (folder / "features.json").write_text(json.dumps(content))
    for index in range(shards):
        path = folder / f"fake-{split}.tfrecord-{index:05d}-of-{shards:05d}"
        part = examples[index::shards] if index else examples[::shards]
        path.write_bytes(b"".join(record(example(features)) for features in part))
    return folder


def tensor(*shape, dtype="float32", encoding="none"):
    return {
        "tensor": {
            "shape": {"dimensions": [str(size) for size in shape]},
            "dtype": dtype,
            "encoding": encoding,
        }
    }


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return pixels, buffer.getvalue()


def fake_example(seed, steps=3, **changes):
    rng = np.random.default_rng(seed)
    return {
        "steps/action": rng.normal(size=2 * steps).astype(np.float32).tolist(),
        "steps/observation/state": rng.normal(size=3 * steps).astype(np.float32).tolist(),
        "steps/observation/front": [picture(seed + step)[1] for step in range(steps)],
        "steps/language_instruction": [f"do {seed}".encode()] * steps,
    } | changes
