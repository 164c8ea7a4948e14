"""A file that is pushed, counted as the store reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..content import ByteStream, FileSource, Meter


class CountedSource:
    """A source that counts what is read of it.

    Args:
        source: what is read.
        meter: counts; it starts again with each opening.
    """

    reopenable = True

    def __init__(self, source: FileSource, meter: Meter) -> None:
        self._source = source
        self._meter = meter
        self.size = source.size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open a stream at the first byte."""
        async with self.open_at(0) as stream:
            yield stream

    @asynccontextmanager
    async def open_at(self, offset: int) -> AsyncIterator[ByteStream]:
        """Open a stream at byte `offset`; what is before counts as being there."""
        self._meter.stand(offset)
        async with self._source.open_at(offset) as stream:
            yield _CountedStream(stream, self._meter)


class _CountedStream:
    def __init__(self, stream: ByteStream, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter

    async def read(self, max_bytes: int, /) -> bytes:
        data = await self._stream.read(max_bytes)
        self._meter.advance(len(data))
        return data
