"""The films of an evaluation: scenes that failed and scenes that succeeded, played again."""

from collections.abc import Callable, Sequence

from plait.compare.console import progress_bar
from plait.evaluation.pictures import choose_across_tasks
from plait.results import EpisodeResult, RolloutPicture

# A policy's arithmetic may differ in its last bits from that of the whole batch, and a scene on
# the edge may then end otherwise; another one is played in its place, so many times.
MAX_TRIES = 5

FilmScenes = Callable[[Sequence[int]], Sequence[RolloutPicture]]


def film_evaluation(
    film: FilmScenes,
    episodes: Sequence[EpisodeResult],
    number: int,
    before: Sequence[RolloutPicture] = (),
) -> tuple[RolloutPicture, ...]:
    """Film failures and successes, each of which ends as it did in the evaluation.

    Args:
        film: Plays scenes again, given their seeds; returns a picture of each.
        episodes: Of the evaluation.
        number: Films of failures, and of successes; fewer where scenes keep ending otherwise.
        before: Films of an earlier call; they are not made again.

    Returns:
        The films, failures first; then those that ended otherwise than in the evaluation.
    """
    outcomes = {episode.seed: episode.success for episode in episodes}
    filmed = {picture.seed: picture for picture in before}

    def ends_otherwise(seed: int) -> bool:
        return seed in filmed and filmed[seed].success != outcomes[seed]

    chosen: tuple[int, ...] = ()
    for _ in range(MAX_TRIES):
        eligible = [episode for episode in episodes if not ends_otherwise(episode.seed)]
        chosen = choose_across_tasks(eligible, num_successes=number, num_failures=number)
        waiting = [seed for seed in chosen if seed not in filmed]
        if not waiting:
            break
        with progress_bar("film scenes", len(waiting)) as show:
            filmed |= {picture.seed: picture for picture in film(waiting)}
            show(len(waiting))
    shown = [seed for seed in chosen if not ends_otherwise(seed)]
    return tuple(filmed[seed] for seed in (*shown, *filter(ends_otherwise, filmed)))
