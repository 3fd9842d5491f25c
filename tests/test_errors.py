"""Errors survive the way from a worker process, and every text says what to do."""

import errno
import pickle

import pytest

from plait.errors import DataError, OptionError, ShapeError, UnknownNameError, user_error_text

ERRORS = [
    DataError("demos/x.parquet", "3 rows", "5", "Record it again"),
    OptionError("the seed is -1"),
    ShapeError("proprio", (3, 2), (3, 8)),
    UnknownNameError("fusion", "flim", ["film", "late"], hint="See plait list"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_can_be_sent_between_processes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__dict__ == error.__dict__
    assert user_error_text(copy) == str(error)


def test_a_full_disk_is_the_users_to_mend_and_other_failures_are_bugs():
    full = OSError(errno.ENOSPC, "No space left on device", "runs/checkpoint")
    assert user_error_text(full) == "the disk is full (runs/checkpoint); free some space"
    assert user_error_text(OSError(errno.EIO, "Input/output error")) is None
    assert user_error_text(ValueError("a bug")) is None
