"""Small comparisons written by hand, with every number in the test that uses it."""

from plait.results import (
    ArmSummary,
    Comparison,
    Cost,
    CurvePoint,
    DatasetSummary,
    Machine,
    PairedComparison,
    Rate,
    RunResult,
)

MACHINE = Machine(platform="Linux", processor="p", num_cores=2, python="3.11", packages={})


def rate(successes: int, trials: int, low: float, high: float) -> Rate:
    return Rate(successes=successes, trials=trials, rate=successes / trials, low=low, high=high)


def cost(latency_ms: float = 2.0, num_parameters: int = 500_000) -> Cost:
    return Cost(
        num_parameters=num_parameters,
        flops_per_action_chunk=40_000_000,
        latency_ms_median=latency_ms,
        latency_ms_p99=2 * latency_ms,
        train_seconds=60.0 * latency_ms,
        train_samples_per_second=1000.0,
    )


def arm(
    name: str,
    success: Rate,
    *,
    control: str | None = None,
    latency_ms: float = 2.0,
    num_parameters: int = 500_000,
    seed_rates: tuple[float, ...] = (0.5,),
    chance: float = 0.25,
    holdout: Rate | None = None,
    per_task: dict[str, Rate] | None = None,
    outcomes: dict[str, int] | None = None,
) -> ArmSummary:
    return ArmSummary(
        arm=name,
        fusion=name.split(",")[0],
        control=control,
        success=success,
        per_task=per_task or {"touch": success},
        outcomes=outcomes or {"success": success.successes},
        seed_rates=seed_rates,
        chance=chance,
        cost=cost(latency_ms, num_parameters),
        validation_action_error=0.1,
        holdout=holdout,
    )


def pair(
    first: str, second: str, first_only: int, second_only: int, difference: float, p_value: float
) -> PairedComparison:
    return PairedComparison(
        first=first,
        second=second,
        first_only=first_only,
        second_only=second_only,
        difference=difference,
        low=difference - 0.05,
        high=difference + 0.05,
        p_value=p_value,
        differs=p_value < 0.05,
    )


def compared(
    arms: tuple[ArmSummary, ...],
    pairs: tuple[PairedComparison, ...] = (),
    *,
    is_meaningful: bool = True,
) -> Comparison:
    return Comparison(
        title="A comparison",
        command="plait compare",
        env="tabletop/touch",
        preset="default" if is_meaningful else "smoke",
        is_meaningful=is_meaningful,
        dataset=DatasetSummary(
            path="data",
            fingerprint="f00d",
            num_episodes=10,
            num_steps=100,
            cameras=("base",),
            tasks=("touch",),
            is_recorded_here=True,
        ),
        arms=arms,
        comparisons=pairs,
        runs=(),
        settings={},
        total_seconds=60.0,
        machine=MACHINE,
    )


def run(name: str, seed: int, losses: dict[int, float | None]) -> RunResult:
    return RunResult(
        arm=name,
        fusion=name,
        control=None,
        seed=seed,
        cost=cost(),
        curve=tuple(
            CurvePoint(step=step, train_loss=2.0, validation_loss=loss, seconds=1.0)
            for step, loss in losses.items()
        ),
        episodes=(),
        validation_action_error=0.1,
        machine=MACHINE,
    )
