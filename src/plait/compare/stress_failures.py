"""The films of a stress test's most instructive failures, one picture and one record each.

A failure whose record stands there is not filmed again.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from plait.compare.console import progress_bar
from plait.compare.environment import EnvFactory, frame_stride, view_of
from plait.compare.stress_cells import Setup
from plait.evaluation.files import write_bytes_atomically
from plait.evaluation.pictures import FRAMES_PER_SECOND, MAX_TRIES, encode_animation
from plait.evaluation.stress.failures import Lost, choose_failures
from plait.evaluation.stress.filming import Film, film_scene, side_by_side
from plait.evaluation.stress.grid import CLEAN_CONDITION
from plait.results import load_result, save_result
from plait.results.stress import Cell, Condition, Failure

FAILURES_FOLDER = "failures"
MAX_BYTES = 250_000

FilmScene = Callable[[Condition, int], Film]


def film_failures(
    setup: Setup, cells: Sequence[Cell], folder: Path
) -> tuple[tuple[Failure, ...], list[str]]:
    """Play the most instructive failures again, beside their undisturbed successes.

    Args:
        setup: What is played.
        cells: Of the closed loop; nothing is filmed without any.
        folder: Of the stress test.

    Returns:
        The failures, and plain sentences on those that could not be shown.

    Raises:
        PlaitError: Of the policy, the environment or the folder.
    """
    chosen = choose_failures(cells) if cells else []
    waiting = [lost for lost in chosen if _record(folder, lost) is None]
    if waiting:
        _film_all(setup, waiting, folder)
    records = [_record(folder, lost) for lost in chosen]
    notes = [
        f"No failure is shown of {lost.condition.key}: its scenes ended otherwise when they were "
        "played again one by one."
        for lost, record in zip(chosen, records, strict=True)
        if record is None
    ]
    return tuple(record for record in records if record is not None), notes


def _film_all(setup: Setup, waiting: Sequence[Lost], folder: Path) -> None:
    policy = setup.load()
    make_env = EnvFactory(
        setup.env or "",
        policy.cameras,
        policy.image_size,
        has_pictures=True,
        view=view_of(policy),
    )

    # The same scene may be lost under several conditions.
    @cache
    def film(condition: Condition, seed: int) -> Film:
        horizon = setup.execution_horizon
        return film_scene(
            policy, make_env, condition, seed, setup.closed, execution_horizon=horizon
        )

    with progress_bar("film failures", len(waiting)) as show:
        for index, lost in enumerate(waiting):
            for seed in list(lost.outcomes)[:MAX_TRIES]:
                if _film_one(film, lost, seed, folder, frame_stride(setup.env or "")):
                    break
            show(index + 1)


def _film_one(film: FilmScene, lost: Lost, seed: int, folder: Path, stride: int) -> bool:
    """Film a scene both ways; False where it does not end as its cells say."""
    own, failed = film(CLEAN_CONDITION, seed), film(lost.condition, seed)
    if not own.result.success or failed.result.outcome != lost.outcomes[seed]:
        return False
    path = folder / FAILURES_FOLDER / f"{lost.condition.key}-{seed}"
    # Counted from the end: the last frames show how both ended.
    frames = side_by_side(own.frames, failed.frames)[::-1][::stride][::-1]
    picture = encode_animation(frames, 1000 // FRAMES_PER_SECOND, MAX_BYTES)
    write_bytes_atomically(path.with_name(f"{path.name}.webp"), picture)
    record = Failure(
        condition=lost.condition,
        seed=seed,
        file=f"{FAILURES_FOLDER}/{path.name}.webp",
        instruction=failed.instruction,
        own_instruction=own.instruction,
        outcome=failed.result.outcome,
        acted_on=failed.acted_on,
        num_steps=failed.result.num_steps,
        num_own_steps=own.result.num_steps,
        num_alike=lost.num_alike,
        num_solved=lost.num_solved,
    )
    save_result(path.with_name(f"{path.name}.json"), record)
    return True


def _record(folder: Path, lost: Lost) -> Failure | None:
    """Read the record of the first scene that has one."""
    for path in _paths(folder, lost):
        if path.exists():
            return load_result(path, Failure)
    return None


def _paths(folder: Path, lost: Lost) -> Iterator[Path]:
    for seed in list(lost.outcomes)[:MAX_TRIES]:
        yield folder / FAILURES_FOLDER / f"{lost.condition.key}-{seed}.json"
