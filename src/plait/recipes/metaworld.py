"""What was trained for the figures on Meta-World; `benchmarks/metaworld.py` runs it.

Everything was chosen on validation episodes and on scenes from `VALIDATION_SEED` on. The scenes of
the final evaluation (from `plait.compare.arm.EVALUATION_SEED` on) were played once, at the end.
`docs/log.md` tells what else was tried, and what failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.envs.metaworld.family import DEMONSTRATIONS_PER_TASK

# Scenes on which choices are made, far from those of the demonstrations and the final evaluation.
VALIDATION_SEED = 3_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """From nothing to a policy.

    Attributes:
        env: Environment id.
        num_tasks: Tasks of the environment; 50 demonstrations of each are recorded.
        noise: Share of the recorded steps whose executed action is disturbed.
        cameras: What the policy sees through.
        image_size: Height and width of the pictures in pixels.
        policy: What is woven.
        training: How it is optimised.
        execution_horizon: Steps of a chunk that are executed before the next look.
        num_processes: Processes that train together, one thread each.
    """

    env: str
    num_tasks: int
    noise: float = 0.2
    cameras: tuple[str, ...] = ("corner2", "corner2_hand")
    image_size: int = 80
    policy: PolicyConfig
    training: TrainingConfig
    execution_horizon: int = 4
    num_processes: int = 2

    @property
    def num_demonstrations(self) -> int:
        """Episodes to record."""
        return DEMONSTRATIONS_PER_TASK * self.num_tasks

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


# Words and state scale and shift every layer of the trunk, on a grid fine enough to tell where a
# puck of four pixels is; absolute error, because the experts' actions are mostly at a limit.
POLICY = PolicyConfig(
    fusion=Component(name="film", options={"num_blocks": 4, "hidden_dim": 256}),
    vision=Component(name="conv", options={"stem_channels": [64]}),
    head=Component(name="regression", options={"loss": "l1", "hidden_dim": 256, "num_queries": 32}),
    width=96,
    action_horizon=8,
)
# Shifted pictures are what matters most: what holds in them is where things are relative to the
# hand, and not where they are in the picture (docs/log.md).
TRAINING = TrainingConfig(
    num_steps=25_000,
    batch_size=128,
    learning_rate=1.5e-3,
    warmup_steps=500,
    image_shift=6,
    precision="bf16",
    ema_decay=0.999,
    validation_interval=1000,
    checkpoint_interval=1000,
)
MT50 = Recipe(env="metaworld/MT50", num_tasks=50, policy=POLICY, training=TRAINING)
MT10 = Recipe(
    env="metaworld/MT10",
    num_tasks=10,
    policy=POLICY,
    training=replace(TRAINING, num_steps=14_000),
)
RECIPES: Mapping[str, Recipe] = {"MT10": MT10, "MT50": MT50}
