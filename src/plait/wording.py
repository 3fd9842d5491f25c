"""How counts, shares and lists are written in sentences, the same everywhere."""

from collections.abc import Sequence

# Episodes named one by one in a sentence.
FEW = 5


def percent(share: float) -> str:
    """Write a share as `62.5%`."""
    return f"{100 * share:.1f}%"


def counted(number: int, noun: str) -> str:
    """Write `1 episode`, `2,400 episodes`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listing(names: Sequence[str]) -> str:
    """Join names as `a`, `a and b` or `a, b and c`; with `;` where a name holds a comma."""
    if len(names) < 2:
        return "".join(names)
    comma = "; " if any("," in name for name in names) else ", "
    return f"{comma.join(names[:-1])} and {names[-1]}"


def few(items: Sequence[int | str]) -> str:
    """Write `3`, `3 and 7` or `0, 1, 2, 3, 4 and 12 others`."""
    names = [str(item) for item in items[:FEW]]
    rest = len(items) - len(names)
    if rest:
        names.append(f"{rest:,} {'other' if rest == 1 else 'others'}")
    return listing(names)


def some(noun: str, items: Sequence[int | str]) -> str:
    """Write `episode 3` or `episodes 3 and 7`, and so on as `few` does."""
    return f"{noun}{'' if len(items) == 1 else 's'} {few(items)}"
