"""Framing and examples of TFRecord: known vectors, an independent writer, every kind of damage."""

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfrecord_fakes import BRIDGE, RECORDS, crc32c, example, field, record, varint

from plait.data.convert import tfrecord
from plait.data.convert.example import ExampleError, parse_example
from plait.data.convert.tfrecord import index_records, read_record
from plait.errors import DataError


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        # RFC 3720, appendix B.4, and the check value of every catalogue.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_the_checksum_has_its_known_values(data, crc):
    assert tfrecord.crc32c(data) == crc


@pytest.mark.parametrize("length", [1023, 1024, 1025, 2048, 4095, 4097, 9001])
def test_the_checksum_in_parts_is_that_bit_by_bit(length):
    data = random.Random(length).randbytes(length)
    assert tfrecord.crc32c(data) == crc32c(data)


def read_all(path):
    offsets = index_records(path)
    return [read_record(path, index, int(offset)) for index, offset in enumerate(offsets)]


def test_records_are_found_and_read_in_order(tmp_path):
    contents = [b"", b"one", bytes(5000)]
    path = tmp_path / "records"
    path.write_bytes(b"".join(map(record, contents)))
    assert read_all(path) == contents


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda b: b[:-1], r"records, record 1: claims 3 bytes, but 2 are left in the file"),
        (lambda b: b[:25], r"record 1: 6 bytes; expected a header of 12"),
        (lambda b: b"x" + b[1:], r"record 0: the length's checksum is wrong"),
        (lambda b: b[:-6] + b"x" + b[-5:], r"record 1: the data's checksum is wrong"),
    ],
)
def test_damage_is_one_sentence(tmp_path, edit, message):
    path = tmp_path / "records"
    path.write_bytes(edit(record(b"abc") + record(b"def")))
    with pytest.raises(DataError, match=message):
        read_all(path)


def test_a_claim_of_ten_gigabytes_is_refused(tmp_path):
    header = struct.pack("<Q", 10**10)
    whole = record(b"")
    path = tmp_path / "records"
    path.write_bytes(header + struct.pack("<I", tfrecord.masked_crc32c(header)) + whole * 60)
    with pytest.raises(DataError, match=r"record 0: claims 10,000,000,000 bytes, but 956 are left"):
        index_records(path)


values = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=10), values, max_size=4))
def test_examples_come_back_as_written(features):
    read = parse_example(example(features))
    assert {name: list(found) for name, found in read.items()} == features


def test_unpacked_numbers_are_read_too():
    floats = b"".join(field(1, struct.pack("<f", x), kind=5) for x in (1.5, -2.0))
    integers = b"".join(field(1, varint(x), kind=0) for x in (3, 300))
    entries = field(1, field(1, b"f") + field(2, field(2, floats)))
    entries += field(1, field(1, b"i") + field(2, field(3, integers)))
    read = parse_example(field(1, entries))
    assert np.array_equal(read["f"], np.float32([1.5, -2]))
    assert np.array_equal(read["i"], [3, 300])


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff\xff\xff\xff\xff\x7f",
        b"\x0a\x05abc",
        b"\x0f",
        b"\x08" + b"\xff" * 11,
        field(1, field(1, field(1, b"\xff\xfe"))),
        field(1, field(1, field(1, b"f") + field(2, field(2, field(1, b"abc"))))),
        field(1, field(1, field(1, b"i") + field(2, field(3, field(1, b"\x80"))))),
        field(1, field(1, field(1, b"x") + field(2, field(7, b"")))),
    ],
)
def test_a_damaged_example_is_refused(data):
    with pytest.raises(ExampleError):
        parse_example(data)


def test_any_bytes_are_an_example_or_refused():
    """Truncations and flips of a real record end quickly, in one way or the other."""
    path = BRIDGE / RECORDS
    whole = read_record(path, 0, 0)
    rng = random.Random(0)
    refused = 0
    for _ in range(200):
        data = bytearray(whole[: rng.randrange(len(whole))])
        for _ in range(3):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            parse_example(bytes(data))
        except ExampleError:
            refused += 1
    assert refused > 100
