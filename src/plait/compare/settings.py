"""What a comparison is: one frozen value, named presets, and nothing decided later."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.errors import OptionError, UnknownNameError, require_at_least_one, require_seed
from plait.types import LANGUAGE, VISION

# The dearest first, so that no core waits long for the last run.
FUSIONS = (
    "early",
    "graph",
    "bottleneck",
    "mixture",
    "transformer",
    "cross_attention",
    "low_rank_tensor",
    "late",
    "film",
    "concat",
)
# The strategy whose size all others are brought to.
REFERENCE = Component(name="film")
CONTROLS: Mapping[str, tuple[str, ...]] = {
    "instruction_masked": (LANGUAGE,),
    "images_masked": (VISION,),
}


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Everything that decides the numbers of a comparison.

    Attributes:
        env: Environment id of the closed-loop evaluation, and of the demonstrations to record.
        holdout_env: A second suite with combinations never seen in training, if any.
        data: Folder of a LeRobot dataset; None records demonstrations of `env`.
        fusions: Strategies: file names, or `module:Class`.
        has_controls: Whether the best strategy is trained again with a modality masked.
        num_seeds: Trainings per arm, with seeds `seed`, `seed + 1`, ...
        num_demonstrations: Episodes to record.
        noise: Share of the recorded steps with injected noise.
        num_evaluation_episodes: Scenes per suite and training seed, the same for every arm.
        num_pictures: Rollouts shown per arm and outcome.
        seed: First training seed; also of the demonstrations.
        policy: What all policies share; its fusion is replaced by each strategy in turn.
        training: How every policy is trained.
        execution_horizon: Steps of a chunk that are executed before the next look.
        cameras: Cameras the policies see; all where empty.
        image_size: Pixels a side.
        feature_cache: What tokens of frozen encoders are stored as; `off` for not at all.
        is_meaningful: False where the numbers are too small to mean anything.
    """

    env: str = "tabletop/touch"
    holdout_env: str | None = None
    data: str | None = None
    fusions: tuple[str, ...] = FUSIONS
    has_controls: bool = True
    num_seeds: int = 1
    num_demonstrations: int = 8000
    noise: float = 0.1
    num_evaluation_episodes: int = 200
    num_pictures: int = 2
    seed: int = 0
    policy: PolicyConfig = field(default_factory=lambda: PolicyConfig(fusion=REFERENCE))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    execution_horizon: int = 2
    cameras: tuple[str, ...] = ("base",)
    image_size: int = 64
    feature_cache: str = "fp16"
    is_meaningful: bool = True

    def validate(self) -> None:
        """Refuse numbers that make no comparison.

        Raises:
            OptionError: Naming the option, its value and what it must be.
        """
        at_least_one = {
            "seeds": self.num_seeds,
            "demonstrations": self.num_demonstrations,
            "evaluation episodes": self.num_evaluation_episodes,
            "steps": self.training.num_steps,
            "fusions": len(self.fusions),
        }
        for name, value in at_least_one.items():
            require_at_least_one(f"number of {name}", value)
        require_seed(self.seed)
        if len(set(self.fusions)) != len(self.fusions):
            raise OptionError(f"a strategy is named twice: {', '.join(self.fusions)}")
        if not 1 <= self.execution_horizon <= self.policy.action_horizon:
            raise OptionError(
                f"the execution horizon is {self.execution_horizon}, but must lie between 1 and "
                f"the action horizon {self.policy.action_horizon}"
            )


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of the comparison: a strategy, possibly as a control.

    Attributes:
        fusion: Name of the strategy.
        control: None, or a key of `CONTROLS`.
    """

    fusion: str
    control: str | None = None

    @property
    def name(self) -> str:
        """Name in tables: `film`, or `film, instruction masked`."""
        return f"{self.fusion}, {self.control.replace('_', ' ')}" if self.control else self.fusion

    @property
    def folder(self) -> str:
        """Name as a folder."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-")


def run_config(
    settings: CompareSettings, arm: Arm, seed: int, data_path: str, policy: PolicyConfig
) -> RunConfig:
    """Spell out one training of the comparison."""
    return RunConfig(
        data=DataConfig(
            path=data_path,
            cameras=settings.cameras,
            image_size=settings.image_size,
            feature_cache=settings.feature_cache,
        ),
        policy=policy,
        training=replace(settings.training, seed=seed),
        masked=CONTROLS[arm.control] if arm.control else (),
    )


def _smoke() -> CompareSettings:
    return CompareSettings(
        num_demonstrations=24,
        num_evaluation_episodes=6,
        num_pictures=1,
        training=TrainingConfig(
            num_steps=12,
            batch_size=16,
            warmup_steps=2,
            validation_interval=4,
            checkpoint_interval=6,
        ),
        is_meaningful=False,
    )


PRESETS: Mapping[str, CompareSettings] = {
    "default": CompareSettings(),
    "smoke": _smoke(),
    "full": CompareSettings(
        env="tabletop/all",
        holdout_env="tabletop/all-holdout",
        cameras=("base", "wrist"),
        num_demonstrations=8000,
        num_evaluation_episodes=300,
        num_pictures=4,
        policy=PolicyConfig(fusion=REFERENCE, action_horizon=8),
        training=TrainingConfig(num_steps=20_000, warmup_steps=500, validation_interval=1000),
        execution_horizon=4,
    ),
}


def preset(name: str) -> CompareSettings:
    """Return the settings of a preset.

    Raises:
        UnknownNameError: If there is no such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[name]


def parse_duration(text: str) -> float:
    """Read `90s`, `10m`, `1.5h` or `1h30m` as seconds.

    Raises:
        OptionError: If the text is no duration.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise OptionError(f"the budget is {text!r}, but must be a duration such as 90s, 10m or 2h")
    seconds = sum(float(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)
    if not seconds:
        raise OptionError(f"the budget is {text!r}, but must be more than nothing")
    return seconds
