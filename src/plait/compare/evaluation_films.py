"""The films of an evaluation: scenes that failed and scenes that succeeded, played again."""

from collections.abc import Callable, Sequence

from plait.compare.console import progress_bar
from plait.evaluation.pictures import MAX_TRIES, choose_across_tasks
from plait.results import EpisodeResult, RolloutPicture
from plait.results.evaluation import seeds_ending_otherwise

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
    filmed = {picture.seed: picture for picture in before}
    otherwise = seeds_ending_otherwise(episodes, before)
    chosen: tuple[int, ...] = ()
    for _ in range(MAX_TRIES):
        eligible = [episode for episode in episodes if episode.seed not in otherwise]
        chosen = choose_across_tasks(eligible, num_successes=number, num_failures=number)
        waiting = [seed for seed in chosen if seed not in filmed]
        if not waiting:
            break
        with progress_bar("film scenes", len(waiting)) as show:
            filmed |= {picture.seed: picture for picture in film(waiting)}
            show(len(waiting))
        otherwise = seeds_ending_otherwise(episodes, filmed.values())
    shown = [seed for seed in chosen if seed not in otherwise]
    return tuple(filmed[seed] for seed in (*shown, *otherwise))
