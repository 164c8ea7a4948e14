"""Files that are read again when they change: password file, certificate and key."""

import asyncio  # a task that outlives the call that starts it, and has an owner all the same
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from ..content import run_in_thread
from ..errors import InvalidArgumentError

POLL_S = 1.0
"""How often the files are looked at: two calls of the system."""

Seen = tuple[tuple[int, ...] | None, ...]


@asynccontextmanager
async def kept_fresh(
    files: Sequence[Path],
    load: Callable[[], Awaitable[None]],
    *,
    on_warning: Callable[[str], None],
) -> AsyncIterator[None]:
    """Load files now, and again whenever one has changed.

    They are loaded when they have stayed as they are from one look to the next, so that a file
    that is being written, or a key whose certificate is yet to come, is not taken for broken.

    Args:
        files: the files.
        load: reads them; when it raises `InvalidArgumentError`, what was there before is kept.
        on_warning: told of a change that could not be loaded.

    Raises:
        InvalidArgumentError: from the first load.
    """
    settling = Settling(await run_in_thread(_look, files))
    await load()
    task = asyncio.create_task(_watch(files, settling, load, on_warning))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Settling:
    """Tells when files have changed and have come to rest.

    Args:
        seen: how they were when they were loaded.
    """

    def __init__(self, seen: Seen) -> None:
        self._loaded: Seen = seen
        self._last: Seen = seen

    def look(self, seen: Seen) -> bool:
        """Whether to load them, which counts as done."""
        rested = seen == self._last and seen != self._loaded
        self._last = seen
        if rested:
            self._loaded = seen
        return rested


async def _watch(
    files: Sequence[Path],
    settling: Settling,
    load: Callable[[], Awaitable[None]],
    on_warning: Callable[[str], None],
) -> None:
    while True:
        await anyio.sleep(POLL_S)
        if settling.look(await run_in_thread(_look, files)):
            try:
                await load()
            except InvalidArgumentError as error:
                on_warning(f"{error}; what was there before stays in force")


def _look(files: Sequence[Path]) -> Seen:
    return tuple(map(_state, files))


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # loading says why
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
