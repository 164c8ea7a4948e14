"""One request and its answer over aiohttp: the only place that makes connections."""

import math
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import anyio
from yarl import URL

from ..errors import ClosedError, TimedOutError, single_error
from .body import BodyPump, BytesBody
from .failure import FailedError, Failure
from .failures import explained
from .options import TransportOptions
from .proxy import environment, proxy_for
from .rate import RateLimit
from .request import Body
from .resolver import GuardedResolver, guard
from .response import READ_AHEAD_BYTES, Response
from .sent_body import SentBody
from .tls import TLSContexts
from .urls import origin_of, redacted

MAX_HEADER_BYTES = 32 << 10
"""Longest line and header of an answer; signed locations pass the library's 8 KiB."""
_CLOSE_S = 5.0
_INLINE_BYTES = 64 << 10
"""Bodies up to this size are written in one piece."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request, decided in all parts.

    Attributes:
        method: HTTP method.
        url: absolute URL.
        headers: every header but those of the connection.
        body: what to send.
        registry: host of the registry it is for; addresses are judged by it.
        own: it goes to the registry itself or to its token server, which see the client certificate.
        bulk: it moves much data, which the limit on the rate counts.
        read_ahead_bytes: how much of the answer is received while nobody reads it; None: as usual.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | Body | None
    registry: str
    own: bool
    bulk: bool = False
    read_ahead_bytes: int | None = None


class Connections:
    """Open connections of one client. An async context manager.

    Args:
        options: time limits, the limit on the rate, TLS and the rest.
        clock: seconds, for the limit on the rate; for tests.
        sleep: waits for it; for tests.
    """

    def __init__(
        self,
        options: TransportOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._options = options
        rate = options.bytes_per_s
        # One for each direction: what a copy sends is what it received, and no more of the line's
        # one direction because of the other.
        self._down, self._up = (
            None if rate is None else RateLimit(rate, clock=clock, sleep=sleep) for _ in range(2)
        )
        self._session: aiohttp.ClientSession | None = None
        self._tls = TLSContexts(options)
        self._proxies: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Open it in a running event loop; then `__aexit__` must follow."""
        options = self._options
        self._proxies = environment() if options.proxies_from_environment else {}
        self._session = aiohttp.ClientSession(
            # Slots are counted in throttle.py; a second limit here would only hide waits from it.
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=0, resolver=GuardedResolver(), use_dns_cache=False
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout(options.read_timeout_s),
            auto_decompress=False,
            requote_redirect_url=False,
            trust_env=False,
            read_bufsize=READ_AHEAD_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        # Its own repetition is uncounted; ours covers the same case, and more methods.
        self._session._retry_connection = False  # noqa: SLF001 - there is no public switch

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            # A peer that does not take part in closing TLS must not keep the program from ending.
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await session.close()

    @property
    def open(self) -> bool:
        """Whether requests can be made."""
        return self._session is not None

    def _timeout(self, read_timeout_s: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=None, connect=self._options.connect_timeout_s, sock_read=read_timeout_s
        )

    def _silence_s(self, outgoing: Outgoing) -> float:
        """How long a peer may take for the beginning of its answer."""
        reading = outgoing.method in _READING
        return self._options.read_timeout_s if reading else self._options.answer_timeout_s

    async def exchange(
        self, outgoing: Outgoing, *, on_body: Callable[[], None], on_close: Callable[[], None]
    ) -> Response:
        """Send a request; return its answer as soon as the headers are there.

        Args:
            outgoing: the request.
            on_body: called when a streamed body is opened: from then on it is used up.
            on_close: called when the answer is left; not if this raises.

        Raises:
            FailedError: there was no answer.
            OCIError: the body's source failed.
        """
        body = outgoing.body
        if isinstance(body, bytes) and len(body) > _INLINE_BYTES:
            body = BytesBody(body)
        if body is None or isinstance(body, bytes) or body.size == 0:
            # aiohttp limits each wait for bytes; a peer that drips headers, or sends one "early
            # hints" after another, would never be done.
            limit_s = self._options.connect_timeout_s + self._silence_s(outgoing)
            with explained(outgoing.method, outgoing.url), anyio.fail_after(limit_s):
                answer = await self._request(outgoing, body if isinstance(body, bytes) else None)
        else:
            answer, sent = await self._stream(outgoing, body, on_body)
            on_close = _both(sent.leave, on_close)
        return Response(
            answer,
            method=outgoing.method,
            url=outgoing.url,
            on_close=on_close,
            limit=self._down if outgoing.bulk else None,
        )

    async def _stream(
        self, outgoing: Outgoing, body: Body, on_body: Callable[[], None]
    ) -> tuple[aiohttp.ClientResponse, SentBody]:
        """Send with a body that is read meanwhile."""
        options = self._options
        sending = _Sending()

        def watch(limit_s: float) -> None:
            scope.deadline = anyio.current_time() + limit_s

        pump = BodyPump(
            body,
            on_open=on_body,
            on_slice=lambda: watch(options.read_timeout_s),
            on_wait=lambda: watch(math.inf),  # it is we who wait, not the server
            on_end=lambda: watch(options.answer_timeout_s),
            limit=self._up if outgoing.bulk else None,
        )
        data = SentBody(pump.pieces())
        try:
            # aiohttp limits the wait for bytes to come, but not the wait for bytes to go.
            with anyio.CancelScope() as scope, single_error():
                watch(options.connect_timeout_s + options.read_timeout_s)
                async with anyio.create_task_group() as group:
                    group.start_soon(sending.pump, pump, group.cancel_scope)
                    await sending.request(self._request(outgoing, data), outgoing)
                    group.cancel_scope.cancel()
            return sending.result(outgoing), data
        except BaseException:
            sending.abort()
            data.abort()
            raise
        finally:
            pump.close()

    async def _request(
        self, outgoing: Outgoing, data: bytes | SentBody | None
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise ClosedError("this client is closed", hint="use it inside its 'async with'")
        options = self._options
        origin = origin_of(outgoing.url)
        proxy = proxy_for(origin, self._proxies)
        headers = dict(outgoing.headers)
        if isinstance(data, SentBody) and data.length is not None:
            headers["Content-Length"] = str(data.length)
        if proxy and origin.scheme == "http":
            headers.update(proxy.headers)  # aiohttp sends them with CONNECT only
        tls: ssl.SSLContext | bool = True
        if origin.scheme == "https":
            tls = await self._tls.for_host(origin.netloc, origin.host, own=outgoing.own)
        with guard(
            None if proxy else outgoing.registry, options.redirect_hosts | options.token_realms
        ):
            return await self._session.request(
                outgoing.method,
                URL(outgoing.url, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
                proxy=proxy.url if proxy else None,
                proxy_headers=proxy.headers if proxy else None,
                ssl=tls,
                timeout=self._timeout(self._silence_s(outgoing)),
                read_bufsize=self._read_ahead_bytes(outgoing),
            )

    def _read_ahead_bytes(self, outgoing: Outgoing) -> int:
        wanted = outgoing.read_ahead_bytes or READ_AHEAD_BYTES
        if self._down is None or not outgoing.bulk:
            return wanted
        return min(wanted, self._down.piece_bytes)  # what is received ahead is above the limit


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call


class _Sending:
    """What became of a request with a body: an answer, a failure of it, or one of its source."""

    def __init__(self) -> None:
        self._answer: aiohttp.ClientResponse | None = None
        self._failed: FailedError | None = None
        self._source_error: Exception | None = None

    async def pump(self, pump: BodyPump, scope: anyio.CancelScope) -> None:
        try:
            await pump.run()
        except Exception as error:  # noqa: BLE001 - raised again in `result`
            self._source_error = error
            scope.cancel()

    async def request(self, answer: Awaitable[aiohttp.ClientResponse], outgoing: Outgoing) -> None:
        try:
            with explained(outgoing.method, outgoing.url):
                self._answer = await answer
        except FailedError as failed:
            self._failed = failed

    def result(self, outgoing: Outgoing) -> aiohttp.ClientResponse:
        """Return the answer; an early one counts, whatever was left to send."""
        if self._source_error is not None:
            raise self._source_error
        if self._answer is not None:
            return self._answer
        if self._failed is not None:
            raise self._failed
        host = origin_of(outgoing.url).netloc
        text = f"{outgoing.method} {redacted(outgoing.url)}: {host} took nothing more in time"
        raise FailedError(Failure(error=TimedOutError(text), retryable=True))

    def abort(self) -> None:
        if self._answer is not None:
            self._answer.close()
