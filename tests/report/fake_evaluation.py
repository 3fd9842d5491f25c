"""Evaluations written by hand: what a policy, and each control, solves of ten of each task."""

from plait.evaluation.rates import compare_with_controls, summarise_condition
from plait.results import EpisodeResult, Machine
from plait.results.evaluation import EvaluationResult

MACHINE = Machine(platform="Linux", processor="p", num_cores=2, python="3.11", packages={})
GROUPS = {
    "difficulty": {"easy": ("reach", "push"), "very_hard": ("stack",)},
    "shared scene": {"puck": ("reach", "push")},
}
CONTROLS = ("instruction_masked", "images_masked")


def episodes_of(successes):
    """Make the episodes of tasks, in turn."""
    return [
        EpisodeResult(
            seed=10 * place + index,
            task=task,
            instruction=f"{task} it",
            success=index < count,
            outcome="success" if index < count else "timeout",
            num_steps=5,
            num_candidates=1,
        )
        for place, (task, count) in enumerate(successes.items())
        for index in range(10)
    ]


def result_of(*successes, groups=GROUPS, pictures=(), is_view_of_training=True):
    """Make a result of the policy as it is, and of its controls."""
    conditions = [
        summarise_condition(episodes_of(each), groups, control=name, masked=(), seconds=2.0)
        for name, each in zip((None, *CONTROLS), successes, strict=False)
    ]
    return EvaluationResult(
        command="plait evaluate outputs/film/policy",
        policy="outputs/film/policy",
        env="metaworld/MT10",
        execution_horizon=4,
        first_seed=0,
        num_scenes=len(conditions[0].episodes),
        conditions=tuple(conditions),
        comparisons=compare_with_controls(conditions, groups),
        pictures=pictures,
        view={"renderer": "opengl"},
        is_view_of_training=is_view_of_training,
        settings={"env": "metaworld/MT10"},
        num_processes=2,
        total_seconds=60.0,
        machine=MACHINE,
    )
