"""A source of known size, sent in parts: each is a body of known length, never held in memory."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

from ...content import ByteStream, Source
from ...content.sources import SeekableSource, open_at
from ...errors import OCIError, TooLongError, TooShortError
from ...spec import Descriptor

_CHANGED = "it changed while it was read; push it again"


class Parts:
    """Gives parts of a source. An async context manager, to be used in one task.

    A source that cannot seek is read on from one part to the next, and from its beginning only
    where something has to be sent again.

    Args:
        source: can be opened again.
        descriptor: what it is; a source of another size is found out. The registry verifies the
            digest.

    Attributes:
        failure: what reading the source failed with, to tell it from failures of the registry.
    """

    def __init__(self, source: Source, descriptor: Descriptor) -> None:
        self.failure: OCIError | None = None
        self.descriptor = descriptor
        self._source = source
        self._stack = AsyncExitStack()
        self._stream: ByteStream | None = None
        self._position: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stack, self._stack = self._stack, AsyncExitStack()
        self._stream = self._position = None
        await stack.__aexit__(kind, error, trace)

    async def seek(self, offset: int) -> None:
        """Get ready for parts that follow each other from `offset` on.

        Raises:
            OCIError: the source cannot be read.
        """
        if isinstance(self._source, SeekableSource) or self._position == offset:
            return
        await self.__aexit__(None, None, None)
        with self.noting():
            self._stream = await self._stack.enter_async_context(open_at(self._source, offset))
        self._position = offset

    def part(self, offset: int, length: int) -> "Part":
        """Return a part, which can be opened more than once."""
        return Part(self, offset, length)

    @asynccontextmanager
    async def opened(self, offset: int) -> AsyncIterator[ByteStream]:
        """Open the source at `offset`: where it stands there, or anew."""
        if self._stream is not None and self._position == offset:
            yield _Onward(self, self._stream)
            return
        async with AsyncExitStack() as stack:
            with self.noting():
                stream = await stack.enter_async_context(open_at(self._source, offset))
            yield stream

    async def read_on(self, stream: ByteStream, max_bytes: int) -> bytes:
        """Read what follows in the stream that stays open."""
        # A read that is cancelled may have taken bytes that nobody got.
        position, self._position = self._position, None
        data = await stream.read(max_bytes)
        self._position = None if position is None else position + len(data)
        return data

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Remember what the source fails with."""
        try:
            yield
        except OCIError as error:
            self.failure = error
            raise


class _Onward:
    def __init__(self, parts: Parts, stream: ByteStream) -> None:
        self._parts = parts
        self._stream = stream

    async def read(self, max_bytes: int, /) -> bytes:
        return await self._parts.read_on(self._stream, max_bytes)


class Part:
    """Some bytes of a source, as the body of a request.

    Attributes:
        offset: where it begins.
        size: how long it is.
        sent: bytes that were read of it, by the try that got furthest.
    """

    reopenable = True

    def __init__(self, parts: Parts, offset: int, length: int) -> None:
        self._parts = parts
        self.offset = offset
        self.size: int | None = length
        self.length = length
        self.sent = 0

    @property
    def last(self) -> bool:
        """Whether nothing follows it."""
        return self.offset + self.length == self._parts.descriptor.size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open it at its first byte."""
        async with self._parts.opened(self.offset) as stream:
            yield _PartStream(self, self._parts, stream)


class _PartStream:
    def __init__(self, part: Part, parts: Parts, stream: ByteStream) -> None:
        self._part = part
        self._parts = parts
        self._stream = stream
        self._read = 0

    async def read(self, max_bytes: int, /) -> bytes:
        part = self._part
        left = part.length - self._read
        if not left and not part.last:
            return b""
        with self._parts.noting():
            # After the last part is looked for more, which there must not be.
            data = await self._stream.read(min(max_bytes, left) if left else 1)
            self._read += len(data)
            part.sent = max(part.sent, min(self._read, part.length))
            self._check(len(data), left)
        return data

    def _check(self, length: int, left: int) -> None:
        descriptor = self._parts.descriptor
        size, digest = descriptor.size, descriptor.digest
        if length > left:
            raise TooLongError(
                f"the source of {digest} goes on after its {size} bytes",
                expected=str(size),
                actual=f"more than {size}",
                hint=_CHANGED,
            )
        if left and not length:
            there = self._part.offset + self._read
            raise TooShortError(
                f"the source of {digest} ended after {there} of {size} bytes",
                expected=str(size),
                actual=str(there),
                hint=_CHANGED,
            )
