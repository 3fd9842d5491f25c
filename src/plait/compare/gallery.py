"""Animated rollouts of every arm, on scenes where the arms disagree."""

from collections.abc import Sequence
from dataclasses import replace

from plait.compare.arm import RESULT_FILE, PlayedJob
from plait.compare.console import progress_bar
from plait.compare.environment import frame_stride
from plait.evaluation.pictures import choose_scenes, record_pictures
from plait.results import RunResult, load_result, save_result


def add_pictures(jobs: Sequence[PlayedJob]) -> list[RunResult]:
    """Play a few scenes of every arm's first seed again and add the pictures to its result.

    Arms that have theirs are left alone, so that an interrupted call goes on.
    """
    results = [load_result(job.folder / RESULT_FILE, RunResult) for job in jobs]
    first_seed = min(job.seed for job in jobs)
    shown = [index for index, job in enumerate(jobs) if job.seed == first_seed]
    num_pictures = jobs[0].settings.num_pictures
    scenes = choose_scenes(
        {results[index].arm: results[index].episodes for index in shown},
        num_successes=num_pictures,
        num_failures=num_pictures,
    )
    with progress_bar("film rollouts", len(shown)) as show:
        for done, index in enumerate(shown):
            if not results[index].pictures and scenes[results[index].arm]:
                results[index] = _film(jobs[index], results[index], scenes[results[index].arm])
            show(done + 1)
    return results


def _film(job: PlayedJob, result: RunResult, seeds: Sequence[int]) -> RunResult:
    settings, policy = job.settings, job.load_policy()
    env = settings.required_env
    pictures = record_pictures(
        policy,
        job.env_factory(policy, env, has_pictures=True),
        seeds,
        job.folder,
        execution_horizon=settings.execution_horizon,
        frame_stride=frame_stride(env),
        masked_modalities=job.masked,
    )
    result = replace(result, pictures=pictures)
    save_result(job.folder / RESULT_FILE, result)
    return result
