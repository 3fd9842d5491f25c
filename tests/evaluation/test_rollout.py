import numpy as np
import pytest
from evaluation_fakes import EchoPolicy, LineEnv, ObeyingPolicy

from plait.errors import OptionError, PlaitError
from plait.evaluation.rollout import evaluate_policy

SEEDS = [5, 2, 11, 8, 3, 14, 6]


class Factory:
    """Makes environments and remembers them."""

    def __init__(self, **options):
        self.options, self.made = options, []

    def __call__(self):
        self.made.append(LineEnv(**self.options))
        return self.made[-1]


def expected_steps(seed):
    """Steps of 0.25 from (seed % 5) / 10 to the end that the seed's parity names."""
    distance = 1 + (seed % 5) / 10 if seed % 2 else 1 - (seed % 5) / 10
    return int(np.ceil(round(distance / 0.25, 6)))


def test_every_scene_is_played_once_and_reported_in_order():
    factory = Factory()
    results = evaluate_policy(ObeyingPolicy(), factory, SEEDS, execution_horizon=2, num_parallel=3)

    assert [result.seed for result in results] == SEEDS
    assert [result.num_steps for result in results] == [expected_steps(s) for s in SEEDS]
    assert all(result.success and result.outcome == "success" for result in results)
    assert [result.task for result in results] == ["left" if s % 2 else "right" for s in SEEDS]
    assert [result.instruction for result in results][:2] == ["Go left!", "Go right!"]
    # The candidates are told at the reset, not at the last step.
    assert [result.num_candidates for result in results] == [2 + s % 2 for s in SEEDS]
    assert len(factory.made) == 3
    assert sum(env.num_resets for env in factory.made) == len(SEEDS)
    assert all(env.is_closed for env in factory.made)


@pytest.mark.parametrize("num_parallel", [1, 2, 5, 32])
@pytest.mark.parametrize("decay", [None, 0.1])
def test_results_do_not_depend_on_how_many_run_side_by_side(num_parallel, decay):
    def evaluate(number):
        return evaluate_policy(
            ObeyingPolicy(observation_window=2),
            Factory(step_limit=5),
            SEEDS,
            execution_horizon=3,
            num_parallel=number,
            ensemble_decay=decay,
        )

    assert evaluate(num_parallel) == evaluate(3)


def test_no_more_environments_than_scenes():
    factory = Factory()
    evaluate_policy(ObeyingPolicy(), factory, [1, 2], execution_horizon=1)

    assert len(factory.made) == 2


def test_no_scenes_no_environment():
    factory = Factory()

    assert evaluate_policy(ObeyingPolicy(), factory, [], execution_horizon=1) == []
    assert factory.made == []


def test_the_policy_is_called_for_all_at_once():
    policy = EchoPolicy()
    evaluate_policy(policy, Factory(step_limit=4), range(8), execution_horizon=2, num_parallel=4)

    # Echoed actions are huge: every scene but 0 is over at its first step or soon after.
    assert policy.batch_sizes[0] == 4


def test_actions_are_clipped_to_the_action_space():
    factory = Factory(step_limit=3)
    evaluate_policy(EchoPolicy(), factory, [20], execution_horizon=1)

    assert factory.made[0].actions[0].tolist() == [1, 0]


def test_without_the_instruction_the_policy_cannot_obey():
    results = evaluate_policy(
        ObeyingPolicy(),
        Factory(),
        SEEDS,
        execution_horizon=2,
        masked_modalities=("language",),
    )

    assert [result.outcome for result in results] == ["timeout"] * len(SEEDS)
    assert [result.num_steps for result in results] == [12] * len(SEEDS)
    assert results[0].instruction == "Go left!"


def test_progress_is_told_as_episodes_end():
    told = []
    results = evaluate_policy(
        ObeyingPolicy(),
        Factory(),
        SEEDS,
        execution_horizon=2,
        num_parallel=3,
        on_progress=told.append,
    )

    assert sorted(told, key=lambda result: SEEDS.index(result.seed)) == results
    first = min(SEEDS[:3], key=expected_steps)
    assert told[0].seed == first


def test_frames_are_told_after_the_reset_and_every_step():
    frames = []
    results = evaluate_policy(
        ObeyingPolicy(),
        Factory(),
        SEEDS,
        execution_horizon=2,
        num_parallel=2,
        on_frame=lambda seed, env: frames.append((seed, env.steps)),
    )

    for result in results:
        steps = [step for seed, step in frames if seed == result.seed]
        assert steps == list(range(result.num_steps + 1))


def test_an_interrupt_closes_the_environments():
    factory = Factory()

    def interrupt(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_policy(
            ObeyingPolicy(),
            factory,
            SEEDS,
            execution_horizon=1,
            num_parallel=4,
            on_progress=interrupt,
        )
    assert [env.is_closed for env in factory.made] == [True] * 4


def test_an_environment_that_cannot_be_made_closes_the_others():
    made = []

    def make():
        if len(made) == 2:
            raise RuntimeError("out of memory")
        made.append(LineEnv())
        return made[-1]

    with pytest.raises(RuntimeError, match="out of memory"):
        evaluate_policy(ObeyingPolicy(), make, SEEDS, execution_horizon=1)
    assert [env.is_closed for env in made] == [True, True]


def test_repeated_seeds_are_refused():
    with pytest.raises(OptionError, match="scene seeds repeat"):
        evaluate_policy(ObeyingPolicy(), LineEnv, [1, 2, 1], execution_horizon=1)


def test_no_environment_at_all_is_refused():
    with pytest.raises(OptionError, match="num_parallel must be at least 1, but is 0"):
        evaluate_policy(ObeyingPolicy(), LineEnv, [1], execution_horizon=1, num_parallel=0)


def test_an_environment_that_does_not_tell_its_outcome_is_refused():
    factory = Factory(info_keys=("success", "task"))
    with pytest.raises(PlaitError, match=r"info lacks outcome, instruction.*found num_candidates"):
        evaluate_policy(ObeyingPolicy(), factory, [1], execution_horizon=1)
