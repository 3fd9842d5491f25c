"""What an instruction is made of, so that one can ask which part of it was understood."""

from plait.envs.tabletop.grammar import parse
from plait.errors import UnknownNameError


def factors_of(instruction: str) -> dict[str, str] | None:
    """Take an instruction apart: its verb, and colour and shape of the object acted on.

    Where that object goes is left out: not every verb says it.

    Returns:
        Values by factor; None for a sentence that the grammar does not have.
    """
    try:
        task = parse(instruction)
    except UnknownNameError:
        return None
    return {"verb": task.verb, "colour": task.thing.colour, "object": task.thing.shape}
