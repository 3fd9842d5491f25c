"""One run of the comparison: train one arm with one seed, evaluate it, write its result.

`result.json` is written last and whole: where it exists the run is done and is not done again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.compare.settings import CONTROLS, Arm, CompareSettings, run_config
from plait.compare.workers import Report
from plait.config import PolicyConfig
from plait.envs import make_env
from plait.evaluation.cost import measure_cost
from plait.evaluation.diagnostics import fusion_diagnostics
from plait.evaluation.offline import action_error
from plait.evaluation.rollout import Environment, evaluate_policy
from plait.evaluation.sensitivity import sensitivity_diagnostic
from plait.policy import Policy
from plait.results import Cost, Diagnostic, EpisodeResult, RunResult, describe_machine, save_result
from plait.training.loop import Progress
from plait.training.run import TrainedRun, train

RESULT_FILE = "result.json"
# Scenes of the evaluation, far from the seeds of recorded demonstrations.
EVALUATION_SEED = 1_000_000
HOLDOUT_SEED = 2_000_000
# Share of a run's progress bar that the training fills.
TRAINING_SHARE = 0.9


@dataclass(frozen=True)
class ArmJob:
    """A picklable run: call it with a progress report in any process.

    Args:
        settings: The comparison.
        arm: Which arm.
        seed: Training seed.
        data_path: Folder of the demonstrations.
        policy: The policy with the arm's fusion, already matched in size.
        folder: Where everything of this run goes.
    """

    settings: CompareSettings
    arm: Arm
    seed: int
    data_path: str
    policy: PolicyConfig
    folder: Path

    def __call__(self, report: Report) -> None:
        """Train, evaluate, and write `result.json`."""

        def on_progress(progress: Progress) -> None:
            share = TRAINING_SHARE * progress.step / progress.num_steps
            report("training", share, f"loss {progress.loss:.4f}")

        run = run_config(self.settings, self.arm, self.seed, self.data_path, self.policy)
        trained = train(run, self.folder, on_progress=on_progress)
        episodes = self._evaluate(trained.policy, self.settings.env, EVALUATION_SEED, report)
        held_out: list[EpisodeResult] = []
        if self.settings.holdout_env is not None:
            env = self.settings.holdout_env
            held_out = self._evaluate(trained.policy, env, HOLDOUT_SEED, report)
        save_result(self.folder / RESULT_FILE, self._result(trained, episodes, held_out))

    def _evaluate(
        self, policy: Policy, env: str, first_seed: int, report: Report
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
            EnvFactory(env, self.settings.cameras, self.settings.image_size),
            range(first_seed, first_seed + total),
            execution_horizon=self.settings.execution_horizon,
            masked_modalities=self.masked,
            on_progress=on_progress,
        )

    @property
    def masked(self) -> tuple[str, ...]:
        """Modalities hidden from this arm."""
        return CONTROLS[self.arm.control] if self.arm.control else ()

    def _result(
        self, trained: TrainedRun, episodes: list[EpisodeResult], held_out: list[EpisodeResult]
    ) -> RunResult:
        policy, position, validation = trained.policy, trained.position, trained.validation
        training = self.settings.training
        inference = measure_cost(policy, validation[0].observation)
        diagnostics: tuple[Diagnostic, ...] = (sensitivity_diagnostic(policy, validation),)
        if self.arm.control is None:
            observation = validation[0].observation
            diagnostics += fusion_diagnostics(policy, observation, self.folder)
        return RunResult(
            arm=self.arm.name,
            fusion=self.arm.fusion,
            control=self.arm.control,
            seed=self.seed,
            cost=Cost(
                num_parameters=inference.num_parameters,
                flops_per_action_chunk=inference.flops_per_action_chunk,
                latency_ms_median=inference.latency_ms_median,
                latency_ms_p99=inference.latency_ms_p99,
                train_seconds=position.seconds,
                train_samples_per_second=training.batch_size * position.step / position.seconds,
            ),
            curve=position.curve,
            episodes=tuple(episodes),
            holdout_episodes=tuple(held_out),
            validation_action_error=action_error(policy, validation).mean,
            diagnostics=diagnostics,
            machine=describe_machine(),
        )


@dataclass(frozen=True)
class EnvFactory:
    """Makes the environment of an evaluation; picklable."""

    env: str
    cameras: tuple[str, ...]
    image_size: int
    has_pictures: bool = False

    def __call__(self) -> Environment:
        """Make one environment, with a larger view for people where pictures are wanted."""
        options: dict[str, Any] = {"image_size": self.image_size}
        if self.cameras:
            options["cameras"] = self.cameras
        if self.has_pictures:
            options["render_mode"] = "rgb_array"
        return make_env(self.env, **options)
