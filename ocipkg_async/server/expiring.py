"""Removes uploads that nobody goes on with (C-33)."""

import asyncio  # a task that outlives the call that starts it, and has an owner all the same
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from ..errors import StorageError
from .receiving import discard
from .sessions import Sessions

LOOKS = 4
"""How often uploads are looked at within the time that they may be idle."""


@asynccontextmanager
async def expiring(sessions: Sessions, *, on_warning: Callable[[str], None]) -> AsyncIterator[None]:
    """Remove idle uploads for as long as the block runs.

    Args:
        sessions: the open uploads.
        on_warning: told of a file that cannot be removed.
    """
    task = asyncio.create_task(_expire(sessions, on_warning))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _expire(sessions: Sessions, on_warning: Callable[[str], None]) -> None:
    while True:
        await anyio.sleep(sessions.idle_s / LOOKS)
        for session in sessions.expired():
            try:
                await discard(session)
            except StorageError as error:
                on_warning(f"{error}: {session.file} takes space until the registry starts again")
