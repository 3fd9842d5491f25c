"""`plait train`."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from plait.cli.options import Learning, Parts, Robustness, print_summary


@dataclass(frozen=True, kw_only=True)
class Train(Learning):
    """Train one policy on a LeRobot dataset."""

    fusion: str = "film"
    """Fusion strategy, or module:Class."""
    parts: Parts = field(default_factory=Parts)
    out: Path = Path("outputs/train")
    """Folder of the checkpoint, the metrics and the policy."""
    width: int = 64
    """Size of the token axis."""
    action_horizon: int = 4
    """Steps per action chunk."""
    init: Path | None = None
    """Folder of aligned towers (see plait align) to start the encoders from."""
    train_fraction: float = 1.0
    """Share of the training episodes to learn from."""
    robustness: Robustness = field(default_factory=Robustness)

    def run(self) -> None:
        """Train, with a progress bar."""
        from plait.compare.single import train_one
        from plait.config import Component, PolicyConfig, RunConfig

        policy = PolicyConfig(
            fusion=Component(name=self.fusion),
            width=self.width,
            action_horizon=self.action_horizon,
            missing_tokens=self.robustness.missing_tokens,
            **self.parts.given(),
        )
        run = RunConfig(
            data=self.data_config(self.parts, train_fraction=self.train_fraction),
            policy=policy,
            training=replace(self.training_config(), robust=self.robustness.config()),
            init="" if self.init is None else str(self.init),
        )
        summary = train_one(run, self.out, tensorboard=self.tensorboard)
        print_summary(summary, as_json=self.json)
