"""Ctrl-C asks a long job to stop at the next safe point; a second one stops it at once."""

import signal
import threading
from types import FrameType
from typing import Any


class GracefulStop:
    """Context in which the first SIGINT or SIGTERM only sets `is_requested`."""

    def __init__(self) -> None:
        self.is_requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "GracefulStop":
        """Take over the signals, where this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
