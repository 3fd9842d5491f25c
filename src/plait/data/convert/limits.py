"""Whether a claimed size is plausible, asked before memory is given to it."""

from pathlib import Path

from plait.data.convert.base import COPY_AGAIN
from plait.errors import DataError

# A header of a few bytes can claim anything. Below this no claim does harm.
HARMLESS_BYTES = 256 << 20
# Deflate, the densest of the usual codecs on real pictures, gains at most this factor.
MAX_EXPANSION = 1032


def refuse_implausible(where: Path | str, field: str, claimed: int, stored: int) -> None:
    """Refuse a claim that what is stored cannot fill.

    Args:
        where: File and record, for the message.
        field: What claims it.
        claimed: Bytes that are claimed.
        stored: Bytes that are there, compressed perhaps.

    Raises:
        DataError: If the claim is not plausible.
    """
    if not 0 <= claimed <= HARMLESS_BYTES + MAX_EXPANSION * stored:
        found = f"{field} claims {claimed:,} bytes, but {stored:,} are stored"
        raise DataError(where, found, "data of the size that is claimed", COPY_AGAIN)
