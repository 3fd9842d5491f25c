"""Five slips of the fingers: `TYPOS[kind](word, rng)` returns a misspelt word of four letters up.

The first and the last letter stay, but for a neighbouring key and a letter repeated. A slip that
cannot change a word (all of its inner letters are the same) returns it as it is.
"""

from collections.abc import Callable

import numpy as np

# Rows of a keyboard and how far each is shifted to the right, in keys.
ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))


def _neighbours() -> dict[str, str]:
    """For every key, the keys that touch it."""
    places = {
        key: (row, column + shift)
        for row, (keys, shift) in enumerate(ROWS)
        for column, key in enumerate(keys)
    }
    return {
        key: "".join(
            other
            for other, (other_row, other_column) in places.items()
            if other != key and abs(other_row - row) <= 1 and abs(other_column - column) <= 1
        )
        for key, (row, column) in places.items()
    }


NEIGHBOURS = _neighbours()


def swap_neighbours(word: str, rng: np.random.Generator) -> str:
    """Swap two inner letters that follow one another and differ."""
    places = [i for i in range(1, len(word) - 2) if word[i] != word[i + 1]]
    if not places:
        return word
    at = _draw(places, rng)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def shuffle_middle(word: str, rng: np.random.Generator) -> str:
    """Shuffle the inner letters until their order is another."""
    middle = word[1:-1]
    shuffled = middle
    while shuffled == middle and len(set(middle)) > 1:
        shuffled = "".join(middle[i] for i in rng.permutation(len(middle)))
    return word[0] + shuffled + word[-1]


def neighbouring_key(word: str, rng: np.random.Generator) -> str:
    """Hit the key beside a letter's own."""
    places = [i for i, letter in enumerate(word) if letter.lower() in NEIGHBOURS]
    if not places:
        return word
    at = _draw(places, rng)
    keys = NEIGHBOURS[word[at].lower()]
    key = keys[int(rng.integers(len(keys)))]
    return word[:at] + (key.upper() if word[at].isupper() else key) + word[at + 1 :]


def repeat_letter(word: str, rng: np.random.Generator) -> str:
    """Hold a key for too long."""
    at = int(rng.integers(len(word)))
    return word[: at + 1] + word[at:]


def omit_letter(word: str, rng: np.random.Generator) -> str:
    """Miss an inner letter."""
    at = int(rng.integers(1, len(word) - 1))
    return word[:at] + word[at + 1 :]


def _draw(places: list[int], rng: np.random.Generator) -> int:
    return places[int(rng.integers(len(places)))]


TYPOS: dict[str, Callable[[str, np.random.Generator], str]] = {
    "swap_neighbours": swap_neighbours,
    "shuffle_middle": shuffle_middle,
    "neighbouring_key": neighbouring_key,
    "repeat_letter": repeat_letter,
    "omit_letter": omit_letter,
}
