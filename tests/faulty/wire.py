"""HTTP/1.1 on raw streams: heads and bodies, piece by piece, with framing that can be broken."""

import asyncio
import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Self

MAX_HEAD_BYTES = 128 << 10
PIECE_BYTES = 64 << 10
_QUEUE_BYTES = 4 << 20
"""What may be on its way over a slow line; enough for 24 MiB/s and 80 ms both ways."""
_LOOK_S = 0.01


class BrokenError(Exception):
    """The peer does not speak HTTP/1.1, or hung up inside a message."""


@dataclass(slots=True)
class Head:
    """The start line and headers of a message, in order."""

    start: str
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        return cls(start, [(name.strip(), value.strip()) for name, _, value in pairs])

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    @property
    def chunked(self) -> bool:
        return "chunked" in (self.get("Transfer-Encoding") or "").lower()

    @property
    def length(self) -> int | None:
        text = self.get("Content-Length")
        return None if text is None else int(text)

    def get(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def remove(self, name: str) -> None:
        self.headers = [(n, v) for n, v in self.headers if n.lower() != name.lower()]

    def set(self, name: str, value: str) -> None:
        self.remove(name)
        self.headers.append((name, value))

    def raw(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next message's head, or None where the peer hung up between messages."""
    try:
        return Head.parse(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BrokenError from error
        return None
    except (asyncio.LimitOverrunError, ValueError) as error:
        raise BrokenError from error


class BodyReader:
    """A body with a length, in chunks, or until the peer hangs up (`length` None)."""

    def __init__(
        self, reader: asyncio.StreamReader, *, length: int | None, chunked: bool = False
    ) -> None:
        self._reader = reader
        self._left = length
        self._chunked = chunked
        self._ended = False
        if chunked:
            self._left = 0

    @classmethod
    def of_request(cls, reader: asyncio.StreamReader, head: Head) -> Self:
        return cls(reader, length=head.length or 0, chunked=head.chunked)

    @classmethod
    def of_response(cls, reader: asyncio.StreamReader, head: Head, *, method: str) -> Self:
        empty = method == "HEAD" or head.status < 200 or head.status in {204, 304}
        return cls(reader, length=0 if empty else head.length, chunked=head.chunked and not empty)

    async def read(self) -> bytes:
        """The next piece, or nothing at the end."""
        if self._chunked and self._left == 0 and not await self._next_chunk():
            return b""
        if self._left == 0:
            return b""
        wanted = PIECE_BYTES if self._left is None else min(PIECE_BYTES, self._left)
        data = await self._reader.read(wanted)
        if self._left is None:
            return data
        if not data:
            raise BrokenError
        self._left -= len(data)
        if self._chunked and self._left == 0:
            await self._line()
        return data

    async def _next_chunk(self) -> bool:
        if self._ended:
            return False
        self._left = int((await self._line()).partition(b";")[0], 16)
        if self._left == 0:
            self._ended = True
            while await self._line():  # trailers
                pass
        return not self._ended

    async def _line(self) -> bytes:
        try:
            return (await self._reader.readuntil(b"\r\n")).rstrip()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise BrokenError from error


class Line:
    """One direction of a connection: as late and as slow as asked, and breakable.

    Args:
        writer: where it leads.
        delay_s: how much later each byte arrives.
        bytes_per_s: how many go through; None: all.
    """

    def __init__(
        self, writer: asyncio.StreamWriter, *, delay_s: float = 0, bytes_per_s: float | None = None
    ) -> None:
        self._writer = writer
        self._delay_s = delay_s
        self._rate = bytes_per_s
        self._free_s = 0.0
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._queued = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        writer.transport.set_write_buffer_limits(0)  # `drain` means: the kernel has it

    async def write(self, data: bytes) -> None:
        if not self._delay_s and self._rate is None:
            self._writer.write(data)
            await self._writer.drain()
            return
        if self._task is None:
            self._task = asyncio.create_task(self._carry())
            self._task.add_done_callback(lambda _: self._changed.set())
        now_s = time.monotonic()
        self._free_s = max(now_s, self._free_s) + (len(data) / self._rate if self._rate else 0)
        self._queue.put_nowait((self._free_s + self._delay_s, data))
        self._queued += len(data)
        await self._until(_QUEUE_BYTES)

    async def flush(self) -> None:
        """Wait until the kernel has everything."""
        await self._until(0)

    async def _until(self, length: int) -> None:
        while self._queued > length:
            if self._task is None or self._task.done():
                raise ConnectionResetError
            self._changed.clear()
            await self._changed.wait()

    async def _carry(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                due_s, data = await self._queue.get()
                await asyncio.sleep(due_s - time.monotonic())
                self._writer.write(data)
                await self._writer.drain()
                self._queued -= len(data)
                self._changed.set()

    def close(self) -> None:
        """Hang up: what the kernel has arrives, then the end."""
        if self._task is not None:
            self._task.cancel()
        self._writer.close()

    def end(self) -> None:
        """Say that nothing more comes, and go on to listen."""
        with contextlib.suppress(OSError):  # the peer is gone already
            self._writer.write_eof()

    def reset(self) -> None:
        """Break the connection so that the peer's next read or write fails."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._writer.transport.abort()

    async def until_left(self) -> None:
        """Wait until the peer hangs up, without taking the bytes that it sent before."""
        watch = select.poll()
        gone = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
        watch.register(self._writer.get_extra_info("socket").fileno(), gone)
        while not self._writer.is_closing() and not watch.poll(0):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(_LOOK_S)


class BodyWriter:
    """Writes a body: with a length that the head announced, or in chunks."""

    def __init__(self, line: Line, *, chunked: bool) -> None:
        self._line = line
        self._chunked = chunked

    async def write(self, data: bytes) -> None:
        if data:
            await self._line.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    async def end(self) -> None:
        if self._chunked:
            await self._line.write(b"0\r\n\r\n")
        await self._line.flush()
