"""The bar of one training. Apart from the console, which must not wait for PyTorch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plait.compare.console import progress_bar
from plait.training.loop import Progress, TrainingInterruptedError


@contextmanager
def training_bar(description: str, num_steps: int) -> Iterator[Callable[[Progress], None]]:
    """Show the bar of a training; one that was asked to stop ends as on Ctrl-C, with its message.

    Raises:
        KeyboardInterrupt: Where the training was interrupted, after its checkpoint is written.
    """
    with progress_bar(description, num_steps) as show:
        try:
            yield lambda progress: show(progress.step)
        except TrainingInterruptedError as error:
            raise KeyboardInterrupt(str(error)) from error
