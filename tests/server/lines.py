"""Connections to the embedded registry of which a test sends and takes each byte itself."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import anyio

from ocipkg_async.spec.decoding import decode_json
from server.driving import Driver

HEAD_END = b"\r\n\r\n"
PATIENCE_S = 20.0
"""What does not happen in so long does not happen at all."""


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes; return when the system has taken most of them."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Take one answer; return its status and body."""
        with anyio.fail_after(PATIENCE_S):
            head = await self._reader.readuntil(HEAD_END)
            return status_of(head), await self._reader.readexactly(_length(head))

    async def rest(self) -> bytes:
        """Take what comes until the registry ends the connection."""
        pieces = []
        with anyio.fail_after(PATIENCE_S), contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := await self._reader.read(1 << 16):
                pieces.append(piece)
        return b"".join(pieces)

    async def some(self, size: int) -> bytes:
        """Take up to so many bytes."""
        with anyio.fail_after(PATIENCE_S):
            return await self._reader.read(size)

    def end(self) -> None:
        """Break the connection."""
        self._writer.transport.abort()


@asynccontextmanager
async def line(driver: Driver, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    """Connect. What is not asked for stays on the way, but for some 100 KiB."""
    address, _, port = driver.url.rpartition("//")[2].partition(":")
    reader, writer = await asyncio.open_connection(address, int(port), ssl=tls, limit=1 << 10)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def head(method: str, path: str, *fields: str) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: registry", *fields, "", ""]
    return "\r\n".join(lines).encode()


def status_of(answer: bytes) -> int:
    """Status of the first answer in these bytes."""
    version, status, _ = answer.split(b" ", 2)
    assert version in {b"HTTP/1.0", b"HTTP/1.1"}, answer[:100]
    return int(status)


def code_of(answer: bytes) -> str:
    """Code of the error document that an answer, the last in these bytes, has."""
    code: str = decode_json(answer.rpartition(HEAD_END)[2], what="answer")["errors"][0]["code"]
    return code


def _length(answer: bytes) -> int:
    for field in answer.lower().split(b"\r\n"):
        if field.startswith(b"content-length:"):
            return int(field.partition(b":")[2])
    return 0


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Fail if the block takes longer than anything does, even where it cannot be broken off."""
    with anyio.move_on_after(PATIENCE_S) as scope:
        yield
    assert not scope.cancel_called


async def until(happened: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Wait until something has happened."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            result = happened()
            if result if isinstance(result, bool) else await result:
                return
            await anyio.sleep(0.01)
