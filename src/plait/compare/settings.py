"""What a comparison is: one frozen value, named presets, and nothing decided later."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from plait.config import (
    AlignConfig,
    AlignerConfig,
    Component,
    DataConfig,
    PolicyConfig,
    RobustConfig,
    RunConfig,
    TrainingConfig,
)
from plait.errors import OptionError, UnknownNameError, require_at_least_one, require_seed
from plait.results import NO_INIT, RETRIEVAL
from plait.training.dropout import EVERY
from plait.types import LANGUAGE, VISION

# Towers aligned on the comparison's own demonstrations; `aligned:NAME` names the objective.
ALIGNED = "aligned"

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


# What robust arms are trained with, besides learned tokens for what is missing. Noise of single
# pixels, late and frozen images are left out: they show how far robustness carries.
ROBUST = RobustConfig(
    modality_dropout={EVERY: 0.1},
    camera_dropout={EVERY: 0.25},
    augmentation=tuple(
        Component(name=name)
        for name in (
            "brightness",
            "contrast",
            "gaussian_blur",
            "gaussian_noise",
            "jpeg",
            "occlusion",
            "camera_shift",
            "camera_rotation",
        )
    ),
    augmentation_probability=0.4,
    augmentation_severity=3,
)


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """How towers are aligned before the policies that start from them are trained.

    Attributes:
        training: How the towers are optimised.
        embedding_dim: Size of the shared space.
        action_horizon: Steps of the action chunks.
        validation_fraction: Share of the episodes held out, to measure retrieval on.
    """

    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(num_steps=1000, batch_size=256)
    )
    embedding_dim: int = AlignerConfig.embedding_dim
    action_horizon: int = AlignerConfig.action_horizon
    validation_fraction: float = 0.02


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Everything that decides the numbers of a comparison.

    Attributes:
        env: Environment id of the closed-loop evaluation, and of the demonstrations to record;
            None where policies are judged on held-out demonstrations alone.
        holdout_env: A second suite with combinations never seen in training, if any.
        data: Folder of a LeRobot dataset; None records demonstrations of `env`.
        fusions: Strategies: file names, or `module:Class`.
        inits: What the encoders start from: `none`, `aligned` (towers aligned on the same
            demonstrations), `aligned:OBJECTIVE`, or a folder of `plait align`.
        fractions: Shares of the training episodes; every arm is trained on each.
        alignment: How towers are aligned.
        has_robust: Whether every strategy is trained a second time, robustly.
        robust: How; those policies also have learned tokens for what is missing.
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
        cameras: Cameras the policies see; those that the environment, or the data, has by default
            where empty.
        image_size: Pixels a side.
        validation_fraction: Share of the episodes held out.
        feature_cache: What tokens of frozen encoders are stored as; `off` for not at all.
        frame_storage: How decoded frames are kept; see `DataConfig`.
        cache_gib: What they may take.
        is_meaningful: False where the numbers are too small to mean anything.
    """

    env: str | None = "tabletop/touch"
    holdout_env: str | None = None
    data: str | None = None
    fusions: tuple[str, ...] = FUSIONS
    inits: tuple[str, ...] = (NO_INIT,)
    fractions: tuple[float, ...] = (1.0,)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    has_robust: bool = False
    robust: RobustConfig = ROBUST
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
    validation_fraction: float = DataConfig.validation_fraction
    feature_cache: str = "fp16"
    frame_storage: str = DataConfig.frame_storage
    cache_gib: float | None = DataConfig.cache_gib
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
        if self.env is None and self.data is None:
            raise OptionError(
                "there is neither an environment nor data; name one with --env, e.g. "
                "tabletop/touch, or demonstrations with --data"
            )
        _refuse_repeats("a strategy is", self.fusions)
        self._validate_starts()
        if not 1 <= self.execution_horizon <= self.policy.action_horizon:
            raise OptionError(
                f"the execution horizon is {self.execution_horizon}, but must lie between 1 and "
                f"the action horizon {self.policy.action_horizon}"
            )

    def _validate_starts(self) -> None:
        """Refuse starts and shares of the demonstrations that do not exist."""
        for name, values in (("init", self.inits), ("fraction", self.fractions)):
            require_at_least_one(f"number of {name}s", len(values))
            _refuse_repeats(f"the same {name} is", values)
        for fraction in self.fractions:
            if not 0 < fraction <= 1:
                raise OptionError(
                    f"a share of the demonstrations is {fraction}, but must be above 0 and at "
                    "most 1"
                )
        for init in self.inits:
            is_known = init == NO_INIT or objective_of(init) is not None
            if not is_known and not Path(init).is_dir():
                raise UnknownNameError("init (or folder of towers)", init, (NO_INIT, ALIGNED))
        if any(objective_of(init) for init in self.inits):
            horizon = self.alignment.action_horizon
            if self.execution_horizon > horizon:
                raise OptionError(
                    f"the execution horizon is {self.execution_horizon}, but aligned chunks have "
                    f"only {horizon} steps"
                )

    @property
    def required_env(self) -> str:
        """The environment, where there must be one.

        Raises:
            OptionError: If there is none.
        """
        if self.env is None:
            raise OptionError("no environment is named; name one with --env, e.g. tabletop/touch")
        return self.env

    def arms(self) -> list["Arm"]:
        """Return every row but the controls: strategies by start, share and training; retrieval."""
        arms = []
        for fraction in self.fractions:
            for init in self.inits:
                names = self.fusions if objective_of(init) is None else (*self.fusions, RETRIEVAL)
                plain = [Arm(fusion=name, init=init, train_fraction=fraction) for name in names]
                arms += plain
                if self.has_robust:
                    # Retrieval predicts nothing, so there is nothing to train otherwise.
                    arms += [replace(a, robust=True) for a in plain if a.fusion != RETRIEVAL]
        return arms


def objective_of(init: str) -> str | None:
    """Return the objective that towers are aligned with here; None for no or given towers."""
    if init == ALIGNED:
        return AlignerConfig().objective.name
    start = f"{ALIGNED}:"
    return init.removeprefix(start) if init.startswith(start) else None


def _refuse_repeats(name: str, values: Sequence[object]) -> None:
    if len(set(values)) != len(values):
        raise OptionError(f"{name} named twice: {', '.join(map(str, values))}")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of the comparison: a strategy, possibly as a control.

    Attributes:
        fusion: Name of the strategy, or `retrieval`.
        control: None, or a key of `CONTROLS`.
        init: What its encoders start from.
        train_fraction: Share of the training episodes that it learns from.
        robust: Whether it is trained for missing and noisy modalities.
    """

    fusion: str
    control: str | None = None
    init: str = NO_INIT
    train_fraction: float = 1.0
    robust: bool = False

    @property
    def name(self) -> str:
        """Name in tables: `film`, `film, aligned, 10% of the data`, `film, robust`."""
        parts = [self.fusion]
        if self.init != NO_INIT:
            parts.append(self.init if objective_of(self.init) else f"from {Path(self.init).name}")
        if self.train_fraction < 1:
            parts.append(f"{100 * self.train_fraction:g}% of the data")
        if self.robust:
            parts.append("robust")
        if self.control:
            parts.append(self.control.replace("_", " "))
        return ", ".join(parts)

    @property
    def folder(self) -> str:
        """Name as a folder."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-")


def run_config(
    settings: CompareSettings,
    arm: Arm,
    seed: int,
    data_path: str,
    policy: PolicyConfig,
    init: str = "",
) -> RunConfig:
    """Spell out one training of the comparison; `init` is the folder of its towers, if any."""
    training = replace(settings.training, seed=seed)
    if arm.robust:
        training = replace(training, robust=settings.robust)
        policy = replace(policy, missing_tokens=True)
    return RunConfig(
        data=data_config(settings, data_path, arm.train_fraction),
        policy=policy,
        training=training,
        masked=CONTROLS[arm.control] if arm.control else (),
        init=init,
    )


def align_config(
    settings: CompareSettings, init: str, train_fraction: float, seed: int, data_path: str
) -> AlignConfig:
    """Spell out one alignment of the comparison: the same encoders on the same share of data."""
    data = data_config(settings, data_path, train_fraction)
    policy, alignment = settings.policy, settings.alignment
    return AlignConfig(
        data=replace(data, validation_fraction=alignment.validation_fraction),
        aligner=AlignerConfig(
            objective=Component(name=objective_of(init) or ""),
            vision=policy.vision,
            language=policy.language,
            proprio=policy.proprio,
            width=policy.width,
            embedding_dim=alignment.embedding_dim,
            action_horizon=alignment.action_horizon,
        ),
        training=replace(alignment.training, seed=seed),
    )


def data_config(settings: CompareSettings, path: str, train_fraction: float) -> DataConfig:
    """Spell out how the demonstrations of the comparison are read and divided."""
    return DataConfig(
        path=path,
        cameras=settings.cameras,
        image_size=settings.image_size,
        validation_fraction=settings.validation_fraction,
        feature_cache=settings.feature_cache,
        frame_storage=settings.frame_storage,
        cache_gib=settings.cache_gib,
        train_fraction=train_fraction,
    )


def _brief() -> TrainingConfig:
    return TrainingConfig(
        num_steps=12,
        batch_size=16,
        warmup_steps=2,
        validation_interval=4,
        checkpoint_interval=6,
    )


def _smoke() -> CompareSettings:
    return CompareSettings(
        num_demonstrations=24,
        num_evaluation_episodes=6,
        num_pictures=1,
        training=_brief(),
        alignment=AlignmentSettings(training=_brief(), validation_fraction=0.2),
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
