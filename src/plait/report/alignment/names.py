"""What modalities and directions of retrieval are called."""

NAMES = {"vision": "vision", "language": "text", "action": "action"}


def direction(query: str, target: str) -> str:
    """Name a direction of retrieval: `vision → text`."""
    return f"{NAMES.get(query, query)} → {NAMES.get(target, target)}"
