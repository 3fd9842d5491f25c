"""Fill the feature cache once, before the trainings that share it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from plait.compare.console import progress_bar
from plait.config import RunConfig
from plait.data.dataset import Demonstrations
from plait.policy import build_policy, sketch_policy
from plait.training.batches import describe_data
from plait.training.run import prepare_features


def encode_once(runs: Sequence[RunConfig], data: Demonstrations) -> None:
    """Encode the dataset with the frozen encoders of some trainings, each kind once.

    Trainings whose encoders differ in nothing share their tokens, whatever their fusion and seed.

    Raises:
        PlaitError: Of the encoders, or of the cache.
    """
    done: list[object] = []
    for run in runs:
        spec = describe_data(data, run.data.image_size)
        # Weights are read only where there is something to encode.
        frozen = sketch_policy(run.policy, spec).frozen_encoders()
        if not frozen or frozen in done:
            continue
        done.append(frozen)
        policy = build_policy(run.policy, spec, None, run.training.seed)
        with bar_when_needed("encode frames") as show:
            prepare_features(policy, data, run, show)


@contextmanager
def bar_when_needed(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar as soon as there is progress; none where everything is there already."""
    with ExitStack() as stack:
        bars: list[Callable[..., None]] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(progress_bar(description, total)))
            bars[0](done, total=total)

        yield show
