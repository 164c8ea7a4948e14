"""Asking a registry where a broken upload stands, and what to make of the answer (D-61, D-62)."""

from enum import Enum, auto

import anyio

from ...errors import OCIError
from ...transport import failure_of
from .open_upload import OpenUpload

WORTH_ASKING_BYTES = 16 << 20
"""Sending less of a PUT again costs no more than finding out what the registry has."""
_SETTLING = 50
_SETTLING_S = 0.1


class Standing(Enum):
    """What is known of an upload after asking."""

    FOUND = auto()
    """It goes on where the session stands now,"""
    UNKNOWN = auto()
    """it does not, for all that can be told,"""
    LOST = auto()
    """and the registry treats every broken upload so."""


async def find_place(
    upload: OpenUpload,
    *,
    reached: int,
    cut: bool = False,
    misplaced: bool = False,
    raising: bool = False,
) -> Standing:
    """Ask where an upload stands.

    Args:
        upload: whose session stands there afterwards.
        reached: what the registry may have at most.
        cut: the connection broke, so that the answer shows what the registry makes of that.
        misplaced: the registry said that it stands elsewhere.
        raising: pass on that the registry cannot be reached.

    Raises:
        TransportError, RegistryError: only if `raising`.
    """
    before = upload.session.offset
    try:
        known = await (_ask_until_it_stands(upload) if cut else upload.ask())
    except OCIError as error:
        if not failure_of(error).retryable:
            return Standing.LOST if cut else Standing.UNKNOWN
        if raising:
            raise
        return Standing.UNKNOWN
    offset = upload.session.offset
    if not known or not 0 < offset <= reached:
        # Nothing, or what cannot be: of so much it would be a wonder.
        return Standing.LOST if cut and reached >= WORTH_ASKING_BYTES else Standing.UNKNOWN
    if misplaced and offset == before:
        # What was sent to where the registry says to stand was not misplaced: it counts wrongly.
        return Standing.LOST
    return Standing.FOUND


async def _ask_until_it_stands(upload: OpenUpload) -> bool:
    """Ask until two answers agree: a registry may still take in what came before the cut.

    What is sent meanwhile is refused, or mixed up with that.
    """
    last: tuple[bool, int] | None = None
    for _ in range(_SETTLING):
        known = await upload.ask()
        if (known, upload.session.offset) == last:
            break
        last = known, upload.session.offset
        await anyio.sleep(_SETTLING_S)
    return last is not None and last[0]
