"""Which scenes of an evaluation are shown, where some end otherwise when they are played again."""

from evaluate_fakes import episodes_of

from plait.compare.evaluation_films import film_evaluation
from plait.evaluation.pictures import MAX_TRIES
from plait.results import RolloutPicture

# Scenes 0 to 3 of a task that fails six times of ten succeed, 4 to 9 fail.
EPISODES = episodes_of({"reach": 4})


class Camera:
    """Films; the scenes in `otherwise` end otherwise than in the evaluation."""

    def __init__(self, otherwise=()):
        self.otherwise = otherwise
        self.calls = []

    def __call__(self, seeds):
        self.calls.append(list(seeds))
        return [self.picture(seed) for seed in seeds]

    def picture(self, seed):
        success = EPISODES[seed].success != (seed in self.otherwise)
        return RolloutPicture(
            file=f"rollouts/scene_{seed}.webp",
            seed=seed,
            task="reach",
            instruction="Reach.",
            success=success,
            outcome="success" if success else "timeout",
        )


def seeds_of(pictures):
    return [picture.seed for picture in pictures]


def test_scenes_that_end_as_before_are_filmed_once():
    camera = Camera()
    assert seeds_of(film_evaluation(camera, EPISODES, 2)) == [4, 5, 0, 1]
    assert camera.calls == [[4, 5, 0, 1]]


def test_another_scene_takes_the_place_of_one_that_ends_otherwise():
    camera = Camera(otherwise=(4, 6, 0))
    pictures = film_evaluation(camera, EPISODES, 2)
    assert camera.calls == [[4, 5, 0, 1], [6, 2], [7]]
    assert seeds_of(pictures) == [5, 7, 1, 2, 4, 0, 6]
    assert [picture.success for picture in pictures[:4]] == [False, False, True, True]


def test_what_was_filmed_before_is_not_filmed_again():
    first = film_evaluation(Camera(otherwise=(4, 0)), EPISODES, 1)
    camera = Camera(otherwise=(4, 0))
    assert film_evaluation(camera, EPISODES, 1, first) == first
    assert not camera.calls
    assert seeds_of(film_evaluation(camera, EPISODES, 2, first))[:4] == [5, 6, 1, 2]
    assert camera.calls == [[6, 2]]


def test_it_does_not_go_on_for_ever():
    camera = Camera(otherwise=range(10))
    pictures = film_evaluation(camera, EPISODES, 1)
    assert len(camera.calls) == MAX_TRIES
    assert all(picture.success != EPISODES[picture.seed].success for picture in pictures)
    assert film_evaluation(Camera(), EPISODES, 0) == ()
