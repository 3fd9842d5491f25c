"""What a recipe is: everything from an empty folder to a policy, and how it is then played."""

from dataclasses import dataclass
from pathlib import Path

from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig

# First scenes: of those on which choices are made, and of those that are played once, at the end.
# Earlier recipes were played on the scenes from 1,000,000 and from 2,000,000 on, and their failures
# were looked at.
VALIDATION_SEED = 3_000_000
FINAL_SEED = 4_000_000
# Words and state scale and shift every layer of the trunk, on a grid fine enough to tell where a
# puck is. Huber, near the mean: with the absolute error, the median, a policy stands still where
# the expert turns from one way to another (docs/log.md).
POLICY = PolicyConfig(
    fusion=Component(name="film", options={"num_blocks": 4, "hidden_dim": 256}),
    vision=Component(name="conv", options={"stem_channels": [64]}),
    head=Component(name="regression", options={"hidden_dim": 256, "num_queries": 32}),
    width=96,
    action_horizon=8,
)
# Shifted pictures: what holds in them is where things are relative to the hand, and not where they
# are in the picture (docs/log.md).
TRAINING = TrainingConfig(
    num_steps=20_000,
    batch_size=128,
    learning_rate=1.5e-3,
    warmup_steps=300,
    image_shift=4,
    precision="bf16",
    ema_decay=0.999,
    validation_interval=500,
    checkpoint_interval=1000,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """From nothing to a policy.

    Attributes:
        env: Environment id.
        num_demonstrations: Episodes to record.
        noise: Share of the recorded steps whose executed action is disturbed.
        cameras: What the policy sees through.
        image_size: Height and width of the pictures in pixels.
        policy: What is woven.
        training: How it is optimised.
        execution_horizon: Steps of a chunk that are executed before the next look.
        num_processes: Processes that train together, one thread each.
    """

    env: str
    num_demonstrations: int
    noise: float
    cameras: tuple[str, ...]
    image_size: int
    policy: PolicyConfig
    training: TrainingConfig
    execution_horizon: int
    num_processes: int = 2

    def run(self, data: Path) -> RunConfig:
        """Spell out the training on recorded demonstrations."""
        return RunConfig(
            data=DataConfig(
                path=str(data),
                cameras=self.cameras,
                image_size=self.image_size,
                # Pictures are read at random, many times: decoding them anew costs more than disk.
                frame_storage="raw",
            ),
            policy=self.policy,
            training=self.training,
        )
