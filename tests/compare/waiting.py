"""Waits for what another process does."""

import time


def wait_until(is_true, seconds=240.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
