"""One run of the comparison: get the policy of one arm and seed, evaluate it, write its result.

`result.json` is written last and whole: where it exists the run is done and is not done again.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.compare.environment import EnvFactory, max_parallel, view_of
from plait.compare.settings import (
    CONTROLS,
    Arm,
    CompareSettings,
    align_config,
    objective_of,
    run_config,
)
from plait.compare.towers import Towers
from plait.compare.workers import Report
from plait.config import PolicyConfig
from plait.evaluation.cost import CountsParameters, measure_cost
from plait.evaluation.diagnostics import fusion_diagnostics
from plait.evaluation.offline import action_error
from plait.evaluation.rollout import evaluate_policy
from plait.evaluation.sensitivity import sensitivity_diagnostic
from plait.execution import PredictsChunks
from plait.policy import Policy
from plait.results import (
    Cost,
    CurvePoint,
    Diagnostic,
    EpisodeResult,
    RunResult,
    describe_machine,
    save_result,
)
from plait.retrieval import RetrievalPolicy
from plait.training.loop import Progress
from plait.training.run import POLICY_FOLDER, train
from plait.types import Batch

RESULT_FILE = "result.json"
# Scenes of the evaluation, far from the seeds of recorded demonstrations.
EVALUATION_SEED = 1_000_000
HOLDOUT_SEED = 2_000_000
# Share of a run's progress bar that the training fills.
TRAINING_SHARE = 0.9


@dataclass(frozen=True)
class Obtained:
    """A policy that is ready to be evaluated, and how it came about.

    Attributes:
        policy: Predicts chunks.
        curve: Of its training.
        seconds: Wall time of everything that was learned for it.
        samples_per_second: Consumed in training.
        validation: Held-out batches.
    """

    policy: CountsParameters
    curve: tuple[CurvePoint, ...]
    seconds: float
    samples_per_second: float
    validation: Sequence[Batch]

    def cost(self) -> Cost:
        """Measure what the policy takes to ask, beside what it took to train."""
        inference = measure_cost(self.policy, self.validation[0].observation)
        return Cost(
            num_parameters=inference.num_parameters,
            flops_per_action_chunk=inference.flops_per_action_chunk,
            latency_ms_median=inference.latency_ms_median,
            latency_ms_p99=inference.latency_ms_p99,
            train_seconds=self.seconds,
            train_samples_per_second=self.samples_per_second,
        )


@dataclass(frozen=True)
class PlayedJob(ABC):
    """A picklable run: call it with a progress report in any process.

    Args:
        settings: The comparison.
        arm: Which arm.
        seed: Training seed.
        data_path: Folder of the demonstrations.
        folder: Where everything of this run goes.
        towers: Folder of the alignment it starts from, if any.
    """

    settings: CompareSettings
    arm: Arm
    seed: int
    data_path: str
    folder: Path
    towers: Path | None

    @property
    def title(self) -> str:
        """Name on the progress bar."""
        return f"{self.arm.name}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether its result stands there."""
        return (self.folder / RESULT_FILE).exists()

    def __call__(self, report: Report) -> None:
        """Get the policy, evaluate it, and write `result.json`."""
        obtained = self.obtain(report)
        episodes = self._evaluate(
            obtained.policy, self.settings.required_env, EVALUATION_SEED, report
        )
        held_out: list[EpisodeResult] = []
        if self.settings.holdout_env is not None:
            env = self.settings.holdout_env
            held_out = self._evaluate(obtained.policy, env, HOLDOUT_SEED, report)
        save_result(self.folder / RESULT_FILE, self._result(obtained, episodes, held_out))

    @abstractmethod
    def obtain(self, report: Report) -> Obtained:
        """Train the policy, or make it otherwise."""

    @abstractmethod
    def load_policy(self) -> PredictsChunks:
        """Read the policy of a finished run."""

    @abstractmethod
    def diagnose(self, obtained: Obtained) -> tuple[Diagnostic, ...]:
        """Return what the report shows of the inside of the policy."""

    def _evaluate(
        self, policy: PredictsChunks, env: str, first_seed: int, report: Report
    ) -> list[EpisodeResult]:
        done: list[EpisodeResult] = []
        total = self.settings.num_evaluation_episodes

        def on_progress(result: EpisodeResult) -> None:
            done.append(result)
            successes = sum(episode.success for episode in done)
            share = TRAINING_SHARE + (1 - TRAINING_SHARE) * len(done) / total
            report("evaluating", share, f"{successes} of {len(done)}")

        return evaluate_policy(
            policy,
            self.env_factory(policy, env),
            range(first_seed, first_seed + total),
            execution_horizon=self.settings.execution_horizon,
            num_parallel=max_parallel(env),
            masked_modalities=self.masked,
            on_progress=on_progress,
        )

    def env_factory(
        self, policy: PredictsChunks, env: str, *, has_pictures: bool = False
    ) -> EnvFactory:
        """Return what makes an environment that shows what the policy was trained on."""
        settings = self.settings
        return EnvFactory(env, settings.cameras, settings.image_size, has_pictures, view_of(policy))

    @property
    def masked(self) -> tuple[str, ...]:
        """Modalities hidden from this arm."""
        return CONTROLS[self.arm.control] if self.arm.control else ()

    def _result(
        self, obtained: Obtained, episodes: list[EpisodeResult], held_out: list[EpisodeResult]
    ) -> RunResult:
        policy, validation = obtained.policy, obtained.validation
        return RunResult(
            arm=self.arm.name,
            fusion=self.arm.fusion,
            control=self.arm.control,
            seed=self.seed,
            cost=obtained.cost(),
            curve=obtained.curve,
            episodes=tuple(episodes),
            holdout_episodes=tuple(held_out),
            validation_action_error=action_error(policy, validation).mean,
            diagnostics=self.diagnose(obtained),
            machine=describe_machine(),
            init=self.arm.init,
            train_fraction=self.arm.train_fraction,
            robust=self.arm.robust,
        )


@dataclass(frozen=True)
class ArmJob(PlayedJob):
    """Trains a policy from demonstrations, from aligned towers or from nothing.

    Args:
        policy: The policy with the arm's fusion, already matched in size.
    """

    policy: PolicyConfig

    def obtain(self, report: Report) -> Obtained:
        """Train the policy."""

        def on_progress(progress: Progress) -> None:
            share = TRAINING_SHARE * progress.step / progress.num_steps
            report("training", share, f"loss {progress.loss:.4f}")

        init = "" if self.towers is None else str(self.towers)
        run = run_config(self.settings, self.arm, self.seed, self.data_path, self.policy, init)
        trained = train(run, self.folder, on_progress=on_progress)
        position, batch_size = trained.position, self.settings.training.batch_size
        return Obtained(
            trained.policy,
            position.curve,
            position.seconds + self._aligning_seconds(),
            batch_size * position.step / position.seconds,
            trained.validation,
        )

    def _aligning_seconds(self) -> float:
        """Return what the towers took; those that the user brought cost this comparison nothing."""
        if self.towers is None or objective_of(self.arm.init) is None:
            return 0.0
        return Towers(self.towers).seconds

    def load_policy(self) -> Policy:
        """Read the trained policy."""
        return Policy.load(self.folder / POLICY_FOLDER)

    def diagnose(self, obtained: Obtained) -> tuple[Diagnostic, ...]:
        """Return how sensitive the policy is to each modality, and what its fusion says."""
        policy, validation = obtained.policy, obtained.validation
        assert isinstance(policy, Policy)
        diagnostics: tuple[Diagnostic, ...] = (sensitivity_diagnostic(policy, validation),)
        if self.arm.control is None:
            diagnostics += fusion_diagnostics(policy, validation[0].observation, self.folder)
        return diagnostics


@dataclass(frozen=True)
class RetrievalJob(PlayedJob):
    """Plays the towers themselves: the nearest action chunk of the demonstrations they know."""

    def obtain(self, report: Report) -> Obtained:
        """Embed the library of action chunks."""
        assert self.towers is not None
        report("embedding", 0.0, "")
        towers = Towers(self.towers)
        config = align_config(
            self.settings, self.arm.init, self.arm.train_fraction, self.seed, self.data_path
        )
        policy, validation = towers.retrieval_policy(config)
        policy.save(self.folder / POLICY_FOLDER)
        samples = config.training.batch_size * towers.result.num_steps
        return Obtained(
            policy, towers.result.curve, towers.seconds, samples / towers.seconds, validation
        )

    def load_policy(self) -> RetrievalPolicy:
        """Read the towers and their library."""
        return RetrievalPolicy.load(self.folder / POLICY_FOLDER)

    def diagnose(self, obtained: Obtained) -> tuple[Diagnostic, ...]:
        """Return how sensitive the retrieved actions are to each modality."""
        return (sensitivity_diagnostic(obtained.policy, obtained.validation),)
