"""Bodies of uploads: hashed while they are sent, cut to the announced size."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...content import ByteStream, Source, run_in_thread
from ...errors import TooLongError, TooShortError
from ...spec import Descriptor, Digest, Digester

_INLINE_BYTES = 64 << 10


class DigestingSource:
    """A source whose digest is computed while it is read; `result` is that of the last reading."""

    def __init__(self, source: Source, *, algorithm: str = "sha256") -> None:
        self._source = source
        self._algorithm = algorithm
        self._digester = Digester(algorithm)
        self.size = source.size
        self.reopenable = source.reopenable

    @property
    def result(self) -> tuple[Digest, int]:
        """Digest and size of what was read; meant for after the end."""
        return self._digester.digest(), self._digester.size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open the source and start hashing anew."""
        self._digester = Digester(self._algorithm)
        async with self._source.open() as stream:
            yield _DigestingStream(stream, self._digester)


class _DigestingStream:
    def __init__(self, stream: ByteStream, digester: Digester) -> None:
        self._stream = stream
        self._digester = digester

    async def read(self, max_bytes: int, /) -> bytes:
        data = await self._stream.read(max_bytes)
        if len(data) > _INLINE_BYTES:
            await run_in_thread(self._digester.update, data)
        else:
            self._digester.update(data)
        return data


class SizedSource:
    """A source that must have exactly the size its descriptor says.

    A body that differs from its ``Content-Length`` would break the connection in a way that tells
    nobody why; this says it (the registry itself verifies the digest before it answers 201).
    """

    def __init__(self, source: Source, descriptor: Descriptor) -> None:
        self._source = source
        self._descriptor = descriptor
        self.size: int | None = descriptor.size
        self.reopenable = source.reopenable

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open the source."""
        async with self._source.open() as stream:
            yield _SizedStream(stream, self._descriptor)


class _SizedStream:
    def __init__(self, stream: ByteStream, descriptor: Descriptor) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._sent = 0

    async def read(self, max_bytes: int, /) -> bytes:
        size, digest = self._descriptor.size, self._descriptor.digest
        data = await self._stream.read(max_bytes)
        self._sent += len(data)
        if self._sent > size:
            raise TooLongError(
                f"the source of {digest} goes on after its {size} bytes",
                expected=str(size),
                actual=f"more than {size}",
                hint="it changed while it was read; push it again",
            )
        if not data and self._sent < size:
            raise TooShortError(
                f"the source of {digest} ended after {self._sent} of {size} bytes",
                expected=str(size),
                actual=str(self._sent),
                hint="it changed while it was read; push it again",
            )
        return data
