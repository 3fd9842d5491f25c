"""Keep the weights that did best on held-out data, and stop when they no longer get better.

The scores stand in the learning curve, which is part of the checkpoint; so a resumed training
decides as an uninterrupted one does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from plait.errors import CheckpointError, require_at_least_one
from plait.model_folder import save_tensors
from plait.results import CurvePoint

BEST_FILE = "best.safetensors"


@dataclass(frozen=True)
class Watch:
    """What decides which weights are kept.

    Attributes:
        score: Measures the model as it stands; higher is better.
        patience: Validations without a better score after which the training ends; 0 for never.
    """

    score: Callable[[], float]
    patience: int = 0

    def __post_init__(self) -> None:
        if self.patience:
            require_at_least_one("patience", self.patience)


class BestWeights:
    """The best weights so far, on disk.

    Args:
        watch: What is measured.
        folder: Where they are kept.
        module: Whose weights.
    """

    def __init__(self, watch: Watch, folder: Path, module: nn.Module) -> None:
        self.watch, self.path, self.module = watch, folder / BEST_FILE, module

    def measure(self, curve: Sequence[CurvePoint]) -> float:
        """Score the module as it stands, and keep it where nothing on the curve was as good.

        Raises:
            OutputError: If the weights cannot be written.
        """
        self.module.eval()
        score = self.watch.score()
        earlier = [point.score for point in curve if point.score is not None]
        if not earlier or score > max(earlier):
            state = self.module.state_dict()
            tensors = {k: v.contiguous() for k, v in state.items()}
            save_tensors(self.path, tensors, {}, what="best weights")
        return score

    def is_stale(self, curve: Sequence[CurvePoint]) -> bool:
        """Say whether the last better score is too long ago."""
        scores = [point.score for point in curve if point.score is not None]
        return bool(
            self.watch.patience
            and scores
            and len(scores) - 1 - scores.index(max(scores)) >= self.watch.patience
        )

    def restore(self) -> None:
        """Put the best weights into the module.

        Raises:
            CheckpointError: If they are gone or damaged.
        """
        try:
            self.module.load_state_dict(load_file(self.path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.path}: the best weights of this training cannot be read ({error}); delete "
                "the folder to train from the start"
            ) from error


def best_step(curve: Sequence[CurvePoint]) -> int:
    """Return the step with the best score; the last one where nothing was scored."""
    scored = [point for point in curve if point.score is not None]
    if not scored:
        return curve[-1].step if curve else 0
    return max(scored, key=lambda point: (point.score or 0.0, -point.step)).step
