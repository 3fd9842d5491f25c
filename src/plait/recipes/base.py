"""What a recipe is: everything from an empty folder to a policy, and how it is then played."""

from dataclasses import dataclass
from pathlib import Path

from plait.config import DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.envs import family_of

# First scenes: of those on which choices are made, and of those that are played once, at the end.
# An earlier recipe was played on the scenes from 1,000,000 on, and its failures were looked at.
VALIDATION_SEED = 3_000_000
FINAL_SEED = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """From nothing to a policy.

    Attributes:
        env: Environment id; as many demonstrations are recorded as is usual there.
        noise: Share of the recorded steps whose executed action is disturbed.
        cameras: What the policy sees through.
        image_size: Height and width of the pictures in pixels.
        policy: What is woven.
        training: How it is optimised.
        execution_horizon: Steps of a chunk that are executed before the next look.
        num_processes: Processes that train together, one thread each.
    """

    env: str
    noise: float = 0.2
    cameras: tuple[str, ...]
    image_size: int
    policy: PolicyConfig
    training: TrainingConfig
    execution_horizon: int
    num_processes: int = 2

    @property
    def num_demonstrations(self) -> int:
        """Episodes to record."""
        return family_of(self.env).num_demonstrations(self.env.partition("/")[2])

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
