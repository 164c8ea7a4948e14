"""A lock of tasks that many hold together, or one alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class SharedLock:
    """Who comes first is first: those who come to share wait for one who waits to be alone."""

    def __init__(self) -> None:
        self._gate = anyio.Lock()
        self._sharing = 0
        self._left = anyio.Event()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold it together with others."""
        async with self._gate:
            self._sharing += 1
        try:
            yield
        finally:
            self._sharing -= 1
            self._left.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold it while nobody else does."""
        async with self._gate:
            while self._sharing:
                self._left = anyio.Event()
                await self._left.wait()
            yield
