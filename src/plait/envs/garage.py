"""Simulators that nobody uses now: to build one takes long, to keep one takes memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

# Of the machine's memory; processes that work side by side thus leave room for one another.
SHARE_LEFT_FREE = 0.3
MEMORY_FILE = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")


@runtime_checkable
class Parked(Protocol):
    """What a garage holds; `task` is what it was built for."""

    task: Any

    def close(self) -> None:
        """Free what it holds outside Python; it is not used again."""


K = TypeVar("K")
S = TypeVar("S", bound=Parked)


class Garage(Generic[K, S]):
    """Keeps simulators by task. Those that have been idle longest make room.

    Where tasks take turns and not all of them have room, every episode begins with building one.

    Args:
        build: Makes a simulator of a task.
        fewest: How many are kept however short memory is.
        most: How many are kept at most.
        most_per_task: How many of them of one task.
    """

    def __init__(
        self, build: Callable[[K], S], *, fewest: int, most: int, most_per_task: int
    ) -> None:
        self._build = build
        self._fewest, self._most, self._most_per_task = fewest, most, most_per_task
        self._idle: list[S] = []  # the longest idle first

    def take(self, task: K) -> S:
        """Return a simulator of the task; it must be reset."""
        for number, idle in enumerate(self._idle):
            if idle.task == task:
                return self._idle.pop(number)
        return self._build(task)

    def give_back(self, simulator: S) -> None:
        """Keep a simulator for the next who needs one, if there is room."""
        if sum(idle.task == simulator.task for idle in self._idle) >= self._most_per_task:
            simulator.close()
            return
        self._idle.append(simulator)
        while len(self._idle) > self._fewest and (
            len(self._idle) > self._most or is_memory_short()
        ):
            self._idle.pop(0).close()


def is_memory_short() -> bool:
    """Whether less memory is available than should be left free, or nobody says."""
    try:
        lines = MEMORY_FILE.read_text(encoding="ascii").splitlines()
    except OSError:
        return True
    amounts = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    is_short = amounts["MemAvailable"] < SHARE_LEFT_FREE * amounts["MemTotal"]
    return is_short or _is_container_full()


def _is_container_full() -> bool:
    """Whether a container that may use a part of the machine's memory has used most of that."""
    try:
        limit, used, stat = (
            (CONTAINER / name).read_text(encoding="ascii")
            for name in ("memory.max", "memory.current", "memory.stat")
        )
    except OSError:
        return False
    # Copies of files that would be given up at once.
    cached = dict(line.split() for line in stat.splitlines()).get("inactive_file", "0")
    if not limit.strip().isdigit():  # `max`: no limit
        return False
    return int(used) - int(cached) > (1 - SHARE_LEFT_FREE) * int(limit)
