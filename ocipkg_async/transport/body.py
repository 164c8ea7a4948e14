"""Sending a body: a reader task in front of the HTTP library, one piece ahead of it.

The reader belongs to the request's own task group, so the source is opened, read and closed in
one task, whatever the HTTP library does with its writer.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectReceiveStream

from ..errors import TooLongError, TooShortError
from .rate import RateLimit
from .request import Body, BodyStream

PIECE_BYTES = 1 << 20
"""How much is read at once: one hop to a worker thread, and one piece waits while another is sent."""
SLICE_BYTES = 256 << 10
"""How much is handed to the connection at once. A stall is noticed when a whole slice takes too long."""


class BytesBody:
    """Bytes in memory as a body, so that large ones are sent slice by slice like all others."""

    reopenable = True

    def __init__(self, data: bytes) -> None:
        self.size: int | None = len(data)
        self._data = data

    @asynccontextmanager
    async def open(self) -> AsyncIterator[BodyStream]:
        """Open a stream at the first byte."""
        yield _BytesStream(self._data)


class _BytesStream:
    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    async def read(self, max_bytes: int, /) -> bytes:
        piece, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return bytes(piece)


class BodyPump:
    """Carries one body from its source to the connection, once.

    Args:
        body: what to send.
        on_open: called when the source is opened.
        on_slice: called when a slice is handed to the connection.
        on_wait: called when the limit keeps the next slice back.
        on_end: called when everything was handed over.
        limit: how fast it may go.
    """

    def __init__(
        self,
        body: Body,
        *,
        on_open: Callable[[], None],
        on_slice: Callable[[], None],
        on_wait: Callable[[], None],
        on_end: Callable[[], None],
        limit: RateLimit | None = None,
    ) -> None:
        self.size = body.size
        self._body = body
        self._on_open = on_open
        self._on_slice = on_slice
        self._on_wait = on_wait
        self._on_end = on_end
        self._limit = limit
        # The source is opened when there is a connection to write to, not before.
        self._wanted = anyio.Event()
        self._send, self._receive = anyio.create_memory_object_stream[bytes | None](0)

    async def run(self) -> None:
        """Read the source to its end.

        Raises:
            TooShortError, TooLongError: the source has not the size that it said.
        """
        await self._wanted.wait()
        self._on_open()
        async with self._body.open() as stream:
            sent = 0
            while data := await stream.read(PIECE_BYTES):
                sent += len(data)
                if self.size is not None and sent >= self.size:
                    more = sent > self.size or await stream.read(1)
                    self._check(sent, more=bool(more))
                await self._send.send(data)
            self._check(sent, more=False)
        if self.size is None:
            await self._send.send(None)

    def _check(self, sent: int, *, more: bool) -> None:
        if self.size is None or (sent == self.size and not more):
            return
        kind = TooShortError if sent < self.size else TooLongError
        raise kind(
            f"the source said it has {self.size} bytes, and gave {'fewer' if sent < self.size else 'more'}",
            expected=str(self.size),
            actual=str(sent) if not more else f"more than {self.size}",
            hint="the file changed while it was sent; try again when nobody writes to it",
        )

    def pieces(self) -> "BodyPieces":
        """Return what the HTTP library iterates over."""
        return BodyPieces(
            self._receive,
            size=self.size,
            on_first=self._wanted.set,
            on_slice=self._on_slice,
            on_wait=self._on_wait,
            on_end=self._on_end,
            limit=self._limit,
        )

    def close(self) -> None:
        """Free both ends; a writer that still waits goes on waiting until it is cancelled."""
        self._send.close()
        self._receive.close()


class BodyPieces:
    """Slices of the pieces, until the clean end, never past it.

    When the reader stops before the end, iteration does not end: the HTTP library would finish the
    request, and the server take half a body for a whole one.
    """

    def __init__(
        self,
        receive: MemoryObjectReceiveStream[bytes | None],
        *,
        size: int | None,
        on_first: Callable[[], None],
        on_slice: Callable[[], None],
        on_wait: Callable[[], None],
        on_end: Callable[[], None],
        limit: RateLimit | None = None,
    ) -> None:
        self.size = size
        self._receive = receive
        self._left = size
        self._on_first = on_first
        self._on_slice = on_slice
        self._on_wait = on_wait
        self._on_end = on_end
        self._limit = limit
        self._slice_bytes = min(SLICE_BYTES, limit.piece_bytes) if limit else SLICE_BYTES
        self._rest = memoryview(b"")

    def __aiter__(self) -> "BodyPieces":
        return self

    async def __anext__(self) -> memoryview:
        if not self._rest:
            piece = None if self._left == 0 else await self._next_piece()
            if piece is None:
                self._on_end()
                raise StopAsyncIteration
            self._rest = memoryview(piece)
            # Two rounds of the event loop: an answer that has arrived is read before this piece
            # is written, for a write into a closed connection would lose the answer.
            await checkpoint()
            await checkpoint()
        part, self._rest = self._rest[: self._slice_bytes], self._rest[self._slice_bytes :]
        if self._limit is not None:
            self._on_wait()
            await self._limit.take(len(part))
        self._on_slice()
        if self._left is not None:
            self._left -= len(part)
        return part

    async def _next_piece(self) -> bytes | None:
        self._on_first()
        try:
            return await self._receive.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            await anyio.sleep_forever()
            raise
