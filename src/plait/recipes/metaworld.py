"""What was trained for the figures on Meta-World; `benchmarks/metaworld.py` runs it.

Everything was chosen on validation episodes and on scenes from `VALIDATION_SEED` on. The scenes of
the final evaluation (`plait evaluate`'s own first seed) were played once, at the end.
`docs/log.md` tells what else was tried.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig

# Scenes on which choices are made, far from those of the demonstrations and the final evaluation.
VALIDATION_SEED = 3_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """From nothing to a policy.

    Attributes:
        env: Environment id.
        num_demonstrations: Episodes to record, 50 a task.
        noise: Share of the recorded steps whose executed action is disturbed.
        image_size: Height and width of the pictures in pixels.
        policy: What is woven.
        training: How it is optimised.
        execution_horizon: Steps of a chunk that are executed before the next look.
        num_threads: Threads of the training.
    """

    env: str
    num_demonstrations: int
    noise: float = 0.2
    image_size: int = 96
    policy: PolicyConfig
    training: TrainingConfig
    execution_horizon: int = 4
    num_threads: int = 2

    def run(self, data: Path) -> RunConfig:
        """Spell out the training on recorded demonstrations."""
        return RunConfig(
            data=DataConfig(
                path=str(data),
                image_size=self.image_size,
                validation_fraction=0.02,
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
    width=128,
    action_horizon=8,
)
TRAINING = TrainingConfig(
    num_steps=4000,
    batch_size=128,
    learning_rate=1e-3,
    warmup_steps=200,
    image_shift=4,
    precision="bf16",
    ema_decay=0.999,
    validation_interval=400,
)
MT10 = Recipe(env="metaworld/MT10", num_demonstrations=500, policy=POLICY, training=TRAINING)
MT50 = Recipe(
    env="metaworld/MT50",
    num_demonstrations=2500,
    policy=POLICY,
    training=replace(TRAINING, num_steps=24_000),
)
RECIPES = {"MT10": MT10, "MT50": MT50}
