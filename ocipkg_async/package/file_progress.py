"""Events about one file that is pushed, from what the store reads of it."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..content import ByteStream, FileSource
from ..events import Finished, OnEvent, Progressed, Skipped, Started
from ..spec import Descriptor

PROGRESS_BYTES = 4 << 20
"""How often progress is told: a hop to the event loop costs more than a megabyte of hashing."""


class FileProgress:
    """Tells how far one file is."""

    def __init__(self, on_event: OnEvent, descriptor: Descriptor, name: str) -> None:
        self._on_event = on_event
        self._done = self._told = 0
        about: dict[str, Any] = {"action": "upload", "descriptor": descriptor, "name": name}
        self._started = functools.partial(Started, **about, total=descriptor.size)
        self._progressed = functools.partial(Progressed, **about, total=descriptor.size)
        self._finished = functools.partial(Finished, **about, done=descriptor.size)
        self._skipped = functools.partial(Skipped, **about, reason="exists")

    def started(self) -> None:
        """It is read from its first byte, perhaps once more."""
        self._done = self._told = 0
        self._on_event(self._started())

    def moved(self, count: int) -> None:
        """So many bytes more were read."""
        self._done += count
        if self._done - self._told >= PROGRESS_BYTES:
            self._told = self._done
            self._on_event(self._progressed(done=self._done))

    def finished(self) -> None:
        """It is there."""
        self._on_event(self._finished())

    def skipped(self) -> None:
        """It was there."""
        self._on_event(self._skipped())


class CountedSource:
    """A source that tells what was read of it."""

    reopenable = True

    def __init__(self, source: FileSource, progress: FileProgress) -> None:
        self._source = source
        self._progress = progress
        self.size = source.size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open a stream at the first byte."""
        self._progress.started()
        async with self._source.open() as stream:
            yield _CountedStream(stream, self._progress)


class _CountedStream:
    def __init__(self, stream: ByteStream, progress: FileProgress) -> None:
        self._stream = stream
        self._progress = progress

    async def read(self, max_bytes: int, /) -> bytes:
        data = await self._stream.read(max_bytes)
        self._progress.moved(len(data))
        return data
