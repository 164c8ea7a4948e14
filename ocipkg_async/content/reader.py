"""Reading content so that its size and digest are checked on the way.

There is one verifying reader; every store wraps its own raw stream in it.
"""

from collections.abc import Callable
from typing import Protocol

import anyio
from anyio import to_thread

from ..errors import (
    DigestMismatchError,
    IntegrityError,
    LimitExceededError,
    TooLongError,
    TooShortError,
    single_error,
)
from ..spec import Descriptor, Digester
from .meter import Meter
from .threads import run_in_thread

READ_BYTES = 4 << 20
"""How much a reader gathers before it hands a piece to a worker thread.

A hop to a thread costs about 70 microseconds; at 4 MiB, some 2 milliseconds of hashing, it vanishes.
"""
# Below this, hashing in the event loop is cheaper than a hop to a thread.
_INLINE_BYTES = 64 << 10
MAX_DOCUMENT_BYTES = 4 << 20
"""Default limit for manifests, indexes and configs held in memory (S-02)."""


class ByteStream(Protocol):
    """Raw bytes, unverified."""

    async def read(self, max_bytes: int, /) -> bytes:
        """Return up to `max_bytes` bytes, at least one, or ``b""`` at the end."""
        ...


class BlobReader:
    """Reads content and verifies it against its descriptor.

    The last piece is handed out only after size and digest were found right, so whoever gets to
    the end without an error has exactly the described bytes. `meter` counts each piece.

    Raises:
        UnsupportedError: the descriptor's digest algorithm cannot be verified.
    """

    def __init__(self, stream: ByteStream, descriptor: Descriptor) -> None:
        self.descriptor = descriptor
        self.meter = Meter()
        self._stream = stream
        self._digester = Digester(descriptor.digest.algorithm)
        self._received = 0
        self._ended = False
        self._failure: IntegrityError | None = None

    @property
    def size(self) -> int:
        """Length of the whole content in bytes."""
        return self.descriptor.size

    async def read(self, max_bytes: int = READ_BYTES) -> bytes:
        """Return up to `max_bytes` bytes, at least one, or ``b""`` at the end.

        Raises:
            TooShortError, TooLongError, DigestMismatchError: the content is not what its
                descriptor says.
        """
        if self._ended:
            return b""
        pieces = await self._gather(max_bytes)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) > _INLINE_BYTES:
            await run_in_thread(self._digester.update, data)
        else:
            self._digester.update(data)
        await self._check_end(more=bool(data))
        return data

    async def drain(self, write: Callable[[bytes], object]) -> None:
        """Read to the end, giving each piece to `write` in a worker thread, in order.

        Hashing and writing share one hop. What was written is right only if this returns.

        Raises:
            TooShortError, TooLongError, DigestMismatchError: as `read`.
        """

        def consume(pieces: list[bytes]) -> None:
            for data in pieces:
                self._digester.update(data)
                write(data)

        async def work(pieces: list[bytes], done: anyio.Event) -> None:
            await to_thread.run_sync(consume, pieces)
            done.set()

        if self._ended:
            return
        pieces: list[bytes] = []
        done = anyio.Event()
        done.set()
        with single_error():
            async with anyio.create_task_group() as group:
                # The next pieces are received while a thread hashes and writes these: a fifth
                # less time for a GiB on two cores. They are handed on as they came, some 256 KiB
                # each: one write of 4 MiB took 2 to 3 s more of system time for a GiB (ext4).
                while pieces := await self._gather(READ_BYTES):
                    await done.wait()
                    done = anyio.Event()
                    group.start_soon(work, pieces, done)
                    if self._received >= self.size:
                        break
        await self._check_end(more=bool(pieces))

    async def read_all(self, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """Return the whole content, which must not be larger than `max_bytes`.

        Raises:
            LimitExceededError: its descriptor says it is larger.
            TooShortError, TooLongError, DigestMismatchError: as `read`.
        """
        if self.size > max_bytes:
            raise LimitExceededError(
                f"{self.descriptor.digest} has {self.size} bytes; at most {max_bytes} are read into memory",
                hint="raise the limit if you trust the content",
            )
        pieces: list[bytes] = []
        while data := await self.read():
            pieces.append(data)
        return b"".join(pieces)

    async def _gather(self, max_bytes: int) -> list[bytes]:
        """Collect pieces up to `max_bytes`, the end, or the announced size and one byte more."""
        if self._failure is not None:
            raise self._failure
        wanted = min(max_bytes, self.size - self._received + 1)
        pieces: list[bytes] = []
        length = 0
        while length < wanted:
            data = await self._stream.read(wanted - length)
            if not data:
                break
            pieces.append(data)
            length += len(data)
            self._received += len(data)
            self.meter.advance(len(data))
            if self._received == self.size:
                break  # the end is looked for in _check_end, after these bytes were hashed
        return pieces

    async def _check_end(self, *, more: bool) -> None:
        try:
            await self._check(more=more)
        except IntegrityError as error:
            self._failure = error  # whoever reads on gets it again, never a peaceful end
            raise

    async def _check(self, *, more: bool) -> None:
        have, size, name = self._digester.size, self.size, self.descriptor.digest
        if have < size:
            if not more:
                raise TooShortError(
                    f"the content of {name} ended after {have} of {size} bytes",
                    expected=str(size),
                    actual=str(have),
                )
            return
        if have > size or await self._stream.read(1):
            raise TooLongError(
                f"the content of {name} goes on after its {size} bytes",
                expected=str(size),
                actual=f"more than {size}",
            )
        actual = self._digester.digest()
        if actual != name:
            raise DigestMismatchError(
                f"the content of {name} has the digest {actual}", expected=name, actual=actual
            )
        self._ended = True


def verified(stream: ByteStream, descriptor: Descriptor) -> BlobReader:
    """Return a reader that verifies `stream`: the stream itself where it is one already.

    Content that comes from another store is verified there while it is read; a second reader
    around it would hash every byte once more.
    """
    if isinstance(stream, BlobReader) and stream.descriptor.plain() == descriptor.plain():
        return stream
    return BlobReader(stream, descriptor)


class BytesStream:
    """A `ByteStream` over bytes in memory."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._view = memoryview(data)

    async def read(self, max_bytes: int, /) -> bytes:
        """Return the next bytes."""
        piece, self._view = bytes(self._view[:max_bytes]), self._view[max_bytes:]
        return piece


class FileStream:
    """A `ByteStream` over an open file object, read in worker threads; it does not close it."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    async def read(self, max_bytes: int, /) -> bytes:
        """Return the next bytes."""
        return await run_in_thread(self._read, max_bytes)
