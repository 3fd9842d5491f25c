"""Processes that train one policy together, each on its part of every batch.

All start from the same weights, average their gradients in every step, and so stay the same. On a
CPU two processes of one thread do more than one process of two threads: they meet once a step
instead of at every layer.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from plait.errors import CheckpointError, OptionError, PlaitError, require_at_least_one


@dataclass(frozen=True)
class Workers:
    """Which of the processes that train together this one is.

    Attributes:
        rank: Its number; 0 is the one that writes what is kept.
        size: How many they are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "Workers":
        """Return this process's place, alone where nobody joined."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, batch_size: int) -> int:
        """Return the samples of a batch that are this process's.

        Raises:
            OptionError: If they cannot be divided evenly.
        """
        if batch_size % self.size:
            raise OptionError(
                f"a batch of {batch_size} cannot be divided evenly among {self.size} processes"
            )
        return batch_size // self.size

    def turn(self, index: int) -> int:
        """Return a number that no other process has in any step; the step's own if alone."""
        return index * self.size + self.rank

    def folder(self, folder: Path) -> Path:
        """Return where this process keeps its checkpoint."""
        return folder if self.rank == 0 else folder / f"rank-{self.rank}"

    @torch.no_grad()
    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by the mean over the processes."""
        if self.size == 1:
            return
        # A parameter that a process did not use has no gradient there, but may have one elsewhere.
        trained = [p for p in module.parameters() if p.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in trained if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)]
        )

    def require_together(self, step: int) -> None:
        """Refuse to go on where the processes' checkpoints are of different steps.

        Raises:
            CheckpointError: Naming the first and the last step, in all of them.
        """
        if self.size == 1:
            return
        ends = torch.tensor([step, -step])
        dist.all_reduce(ends, op=dist.ReduceOp.MIN)
        first, last = int(ends[0]), -int(ends[1])
        if first != last:
            raise CheckpointError(
                f"the {self.size} processes have checkpoints of different steps, {first} to "
                f"{last}: some were stopped while they saved, or were not there before; go on "
                "with as many processes as before, or delete the folder to train from the start"
            )

    def any(self, is_so: bool) -> bool:  # noqa: FBT001
        """Say whether it is so in any process; they must all ask."""
        if self.size == 1:
            return is_so
        flag = torch.tensor(float(is_so))
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag)


def train_together(function: Callable[[], object], num_processes: int) -> None:
    """Call a function in so many processes that train together; in this one if it is one.

    Args:
        function: Picklable; trains, and learns its place from `Workers.current()`.
        num_processes: How many; one thread each where there are several.

    Raises:
        PlaitError: If one of them fails.
    """
    require_at_least_one("number of processes", num_processes)
    if num_processes == 1:
        function()
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    try:
        spawn(_join, args=(num_processes, address, function), nprocs=num_processes)
    except (ProcessRaisedException, ProcessExitedException) as error:
        raise PlaitError(f"a process of the training failed: {error}") from error


def _join(rank: int, size: int, address: str, function: Callable[[], object]) -> None:
    """Entry of a process."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size)
    try:
        function()
    finally:
        dist.destroy_process_group()
