"""A source that is sent once from its beginning: watched, and hashed or measured meanwhile."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ...content import ByteStream, Source, run_in_thread
from ...errors import OCIError, TooLongError, TooShortError
from ...spec import Descriptor, Digest, Digester

_INLINE_BYTES = 64 << 10
_CHANGED = "it changed while it was read; push it again"


class SentSource:
    """A source as it is sent.

    With a descriptor it must have exactly the descriptor's size: a body that differs from its
    ``Content-Length`` would break the connection in a way that tells nobody why. The registry
    verifies the digest. Without one, the digest is computed on the way.

    Attributes:
        size: length in bytes, or None.
        reopenable: whether it can be sent again.
        failure: what reading it failed with, to tell it from failures of the registry.
    """

    def __init__(self, source: Source, descriptor: Descriptor | None = None) -> None:
        self._source = source
        self._descriptor = descriptor
        self._digester = Digester()
        self._ended = False
        self._read_bytes = 0
        self.size: int | None = descriptor.size if descriptor else source.size
        self.reopenable = source.reopenable
        self.failure: OCIError | None = None

    @property
    def ended(self) -> bool:
        """Whether it was read to its end; an empty one need not be."""
        return self._ended or self.size == 0

    @property
    def read_bytes(self) -> int:
        """How much was read of it so far, by the try that got furthest."""
        return self._read_bytes

    @property
    def result(self) -> tuple[Digest, int]:
        """Digest and size of what was read last; meant for after the end, without a descriptor."""
        return self._digester.digest(), self._digester.size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        """Open the source and start anew."""
        self._digester, self._ended, self.failure = Digester(), False, None
        async with AsyncExitStack() as stack:
            try:
                stream = await stack.enter_async_context(self._source.open())
            except OCIError as error:
                self.failure = error
                raise
            yield _SentStream(self, stream)

    async def note(self, data: bytes, before: int) -> int:
        """Check and hash the next piece; return how many bytes there were so far."""
        sent = before + len(data)
        self._read_bytes = max(self._read_bytes, sent)
        self._ended = not data
        if self._descriptor is not None:
            self._check(self._descriptor, sent)
        elif len(data) > _INLINE_BYTES:
            await run_in_thread(self._digester.update, data)
        else:
            self._digester.update(data)
        return sent

    def _check(self, descriptor: Descriptor, sent: int) -> None:
        size, digest = descriptor.size, descriptor.digest
        if sent > size:
            raise TooLongError(
                f"the source of {digest} goes on after its {size} bytes",
                expected=str(size),
                actual=f"more than {size}",
                hint=_CHANGED,
            )
        if self._ended and sent < size:
            raise TooShortError(
                f"the source of {digest} ended after {sent} of {size} bytes",
                expected=str(size),
                actual=str(sent),
                hint=_CHANGED,
            )


class _SentStream:
    def __init__(self, sent: SentSource, stream: ByteStream) -> None:
        self._sent = sent
        self._stream = stream
        self._length = 0

    async def read(self, max_bytes: int, /) -> bytes:
        try:
            data = await self._stream.read(max_bytes)
            self._length = await self._sent.note(data, self._length)
        except OCIError as error:
            self._sent.failure = error
            raise
        return data
