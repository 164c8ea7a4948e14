"""An answer whose body has not been read yet."""

from collections.abc import Callable

import aiohttp
import anyio

from ..errors import ClosedError, OCIError, ProtocolError
from .failure import FailedError
from .failures import explained
from .headers import Headers
from .rate import RateLimit
from .urls import redacted

READ_AHEAD_BYTES = 4 << 20
"""How much of a body is received while nobody reads; at most twice that is held per connection.

It is what a worker thread hashes and writes in one hop, so the network goes on meanwhile.
"""
DISCARD_BYTES = 64 << 10
# A connection is worth keeping only if the rest of an uninteresting body comes at once.
_DISCARD_S = 2.0


class ResponseBody:
    """The raw body of an answer, a byte stream. It ends with the `Response` it belongs to."""

    def __init__(
        self,
        answer: aiohttp.ClientResponse,
        method: str,
        url: str,
        *,
        limit: RateLimit | None = None,
    ) -> None:
        self._answer = answer
        self._limit = limit
        self._method = method
        self._url = url
        self._ended = False
        self._closed = False
        self._rest = b""

    @property
    def ended(self) -> bool:
        """Whether everything was read."""
        return self._ended or (not self._rest and self._answer.content.at_eof())

    async def read(self, max_bytes: int, /) -> bytes:
        """Return what has arrived, up to `max_bytes`, at least one byte, or ``b""`` at the end.

        Raises:
            TransportError: the body broke off.
            TimedOutError: it stalled.
            ClosedError: the response was left.
        """
        if self._closed:
            raise ClosedError("this answer was closed; read it inside its 'async with'")
        if self._ended or max_bytes <= 0:
            return b""
        if not self._rest:
            try:
                with explained(self._method, self._url):
                    self._rest = await self._next()
            except FailedError as failed:
                raise failed.failure.error from failed.__cause__
            self._ended = not self._rest
        if self._limit is not None and self._rest:
            max_bytes = min(max_bytes, self._limit.piece_bytes)
            # Before anything is handed out: what a cancelled read leaves here is still to be read.
            await self._limit.take(min(max_bytes, len(self._rest)))
        data = self._rest
        data, self._rest = (
            (data, b"") if len(data) <= max_bytes else (data[:max_bytes], data[max_bytes:])
        )
        return data

    async def _next(self) -> bytes:
        """Return one piece as it was received; who reads it gains nothing by joined ones."""
        content = self._answer.content
        data, _ = await content.readchunk()
        while not data and not content.at_eof():  # an end of a chunk comes as nothing
            data, _ = await content.readchunk()
        return data

    def close(self) -> None:
        """Give up what was not read."""
        self._closed = True


class Response:
    """An answer; its connection is held until it is left.

    Attributes:
        status: HTTP status code.
        url: URL that answered, after redirects.
        headers: its headers.
        body: its body, unread.
    """

    def __init__(
        self,
        answer: aiohttp.ClientResponse,
        *,
        method: str,
        url: str,
        on_close: Callable[[], None] = lambda: None,
        limit: RateLimit | None = None,
    ) -> None:
        self.status = answer.status
        self.method = method
        self.url = url
        self.headers = Headers(answer.headers.items())
        self.body = ResponseBody(answer, method, url, limit=limit)
        self._answer = answer
        self._on_close = on_close

    async def read_some(self, max_bytes: int) -> bytes:
        """Return the next bytes of the body; see `ResponseBody.read`."""
        return await self.body.read(max_bytes)

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            ProtocolError: it is longer than `max_bytes`.
            TransportError, TimedOutError: as `ResponseBody.read`.
        """
        data, complete = await self._read_up_to(max_bytes)
        if not complete:
            raise ProtocolError(
                f"{self.method} {redacted(self.url)}: the answer is larger than {max_bytes} bytes",
                hint="raise the limit if you trust the server",
            )
        return data

    async def read_excerpt(self, max_bytes: int = DISCARD_BYTES) -> bytes:
        """Return the beginning of the body, whatever happens after it (D-01, D-03)."""
        pieces: list[bytes] = []
        left = max_bytes
        try:
            with anyio.move_on_after(_DISCARD_S):
                while left and (data := await self.body.read(left)):
                    pieces.append(data)
                    left -= len(data)
        except OCIError:
            pass  # the status says enough
        return b"".join(pieces)

    async def _read_up_to(self, max_bytes: int) -> tuple[bytes, bool]:
        announced = self.headers.get("Content-Length", "")
        if self.method != "HEAD" and announced.isdecimal() and int(announced) > max_bytes:
            return b"", False
        pieces: list[bytes] = []
        left = max_bytes + 1
        while left and (data := await self.body.read(left)):
            pieces.append(data)
            left -= len(data)
        return b"".join(pieces), left > 0

    async def discard(self) -> None:
        """Leave the answer; its connection is kept if the rest of the body is small and here soon."""
        try:
            await self.read_excerpt()
        finally:
            self.close()

    def close(self) -> None:
        """Leave the answer: an ended connection is kept for others, an unended one is closed."""
        if self.body.ended:
            self._answer.release()
        else:
            self._answer.close()
        self.body.close()
        on_close, self._on_close = self._on_close, lambda: None
        on_close()

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.method} {redacted(self.url)}>"
