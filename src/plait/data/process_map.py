"""A function applied to many items by a few fresh processes, which may die or be stopped."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from plait.errors import PlaitError

Item = TypeVar("Item")
Made = TypeVar("Made")


class WorkerDiedError(PlaitError):
    """A worker process that ended without an answer: killed, or crashed in a library."""

    def __init__(self, exit_code: int | None) -> None:
        self.exit_code = exit_code
        super().__init__(
            f"a worker process ended unexpectedly (exit code {exit_code}; -9 means that "
            "memory ran out). Finished work is kept: run the same command to go on. A script "
            'that starts workers needs `if __name__ == "__main__":`'
        )


class WorkersSilentError(PlaitError):
    """Worker processes of which none has answered for longer than may be."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no worker process has answered for {seconds:g} s; all were stopped")


@dataclass(frozen=True)
class _Failure:
    """An error as text: exceptions with their own constructors do not survive pickling."""

    text: str
    is_user_error: bool


def process_map(
    function: Callable[[Item], Made],
    items: Sequence[Item],
    num_workers: int,
    max_silence_s: float | None = None,
) -> Iterator[Made]:
    """Yield results as they come, not in order; leaving the loop stops the processes at once.

    Args:
        function: What to apply; picklable.
        items: To what.
        num_workers: Processes.
        max_silence_s: Seconds to wait for the next result; without end where None.

    Raises:
        PlaitError: The function's own.
        WorkersSilentError: If there is no result for that long.
        WorkerDiedError: If a process died.
        RuntimeError: With the traceback of any other error of the function.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(items))
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(num_workers, len(items))):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=_serve, args=(function, theirs), daemon=True
            )
            process.start()
            # Only the process must hold its end, or its death would go unnoticed.
            theirs.close()
            workers[ours] = process
            _send(ours, waiting.pop())
        busy = set(workers)
        while busy:
            ready = wait(list(busy), max_silence_s)
            if not ready and max_silence_s is not None:
                raise WorkersSilentError(max_silence_s)
            for connection in [worker for worker in workers if worker in ready]:
                yield _receive(connection, workers[connection])
                if waiting:
                    _send(connection, waiting.pop())
                else:
                    busy.discard(connection)
    finally:
        for connection, process in workers.items():
            connection.close()
            process.terminate()
        for process in workers.values():
            process.join()


def _send(connection: Connection, item: Any) -> None:
    # A process that died between two items is reported by `_receive`, which comes next.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(item)


def _receive(connection: Connection, process: BaseProcess) -> Any:
    try:
        reply = connection.recv()
    except (EOFError, ConnectionResetError) as error:
        process.join()
        raise WorkerDiedError(process.exitcode) from error
    if isinstance(reply, _Failure):
        raise (PlaitError if reply.is_user_error else RuntimeError)(reply.text)
    return reply


def _serve(function: Callable[[Any], Any], connection: Connection) -> None:
    """Entry of a worker process: answer until the parent hangs up."""
    # Ctrl-C reaches every process of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            connection.send(_answer(function, connection.recv()))
    except (EOFError, OSError):
        # The parent has hung up, or is gone: nobody waits for more.
        return


def _answer(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except PlaitError as error:
        return _Failure(str(error), is_user_error=True)
    except Exception:
        return _Failure(traceback.format_exc(), is_user_error=False)
