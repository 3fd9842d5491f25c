"""Datasets of which it is known by construction whether language can be ignored."""

import numpy as np

from plait.data.dataset import Demonstrations
from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter

SIZE, LENGTH = 16, 3
TEXTS = ("go left", "go right")


def blank(rng):
    """A grey image with a little noise."""
    return 100 + rng.integers(0, 8, (SIZE, SIZE, 3))


def blob(image, row, column, colour=(250, 40, 40)):
    image[row : row + 4, column : column + 4] = colour


def episode(rng, text, image, first_action, state=None):
    """Some steps of one image; the second action dimension never changes."""
    state = rng.normal(size=2) if state is None else state
    action = np.zeros((LENGTH, 2))
    action[:, 0] = first_action
    return EpisodeData(
        {"base": np.repeat(image[None].astype(np.uint8), LENGTH, axis=0)},
        np.repeat(np.asarray(state, np.float32)[None], LENGTH, axis=0),
        action.astype(np.float32),
        text,
    )


def painted(rng, index):
    """The place of the blob is what is asked for, and what is done."""
    side, image = index % 2, blank(rng)
    blob(image, int(rng.integers(0, 12)), 1 + 10 * side)
    return episode(rng, TEXTS[side], image, 2 * side - 1)


def obeyed(rng, index):
    """What is done follows from the instruction alone, which nothing else tells."""
    side, image = index % 2, blank(rng)
    blob(image, int(rng.integers(0, 12)), int(rng.integers(0, 12)))
    return episode(rng, TEXTS[side], image, 2 * side - 1)


def bound(rng, index):
    """Go towards the blob or away from it: neither sight nor word says anything by itself."""
    side, column, image = index % 2, int(rng.integers(0, 12)), blank(rng)
    blob(image, int(rng.integers(0, 12)), column)
    return episode(rng, TEXTS[side], image, (2 * side - 1) * (column - 5.5) / 5.5)


def idle_words(rng, index):
    """What is done follows from the state; the instruction means nothing."""
    state, image = rng.normal(size=2), blank(rng)
    blob(image, int(rng.integers(0, 12)), int(rng.integers(0, 12)))
    return episode(rng, TEXTS[index % 2], image, state[0], state)


def one_instruction(rng, index):
    made = bound(rng, index)
    return EpisodeData(made.images, made.proprio, made.action, TEXTS[0])


def all_different(rng, index):
    made = obeyed(rng, index)
    return EpisodeData(made.images, made.proprio, made.action, f"do thing {index}")


def without_words(rng, index):
    made = obeyed(rng, index)
    return EpisodeData(made.images, made.proprio, made.action, "")


def write(root, make, num_episodes=120):
    rng = np.random.default_rng(1)
    with LeRobotWriter(root, fps=10) as writer:
        for index in range(num_episodes):
            writer.add(make(rng, index))
    return root


def demonstrations(root, make, num_episodes=120):
    return Demonstrations.open(write(root, make, num_episodes), action_horizon=2)
