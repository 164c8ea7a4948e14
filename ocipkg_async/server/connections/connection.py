"""One client's connection: what it waits for, when that takes too long, and how its errors are answered."""

import asyncio
import contextlib
import logging
import socket
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from ..failures import JSON, error_body
from .limits import Limits

EARLY_BYTES = 64 << 10
"""How much a client may send ahead of an answer that it waits for; aiohttp keeps it as requests."""
UNSENT_BYTES = 128 << 10
"""How much each layer keeps of an answer; a line of 16 KiB/s sends it in 8 s."""

_log = logging.getLogger("ocipkg_async.server")


def limit_unsent(transport: asyncio.Transport, size: int) -> None:
    """Let the system keep no more of what it has not sent; 0 is as much as it likes.

    It says that it can take more when a third of what it keeps has gone. That may be megabytes, for
    which a slow line takes longer than it may stall.
    """
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size
        )


def error_response(status: int, message: str) -> web.Response:
    """Return the last answer of a connection, to what did not get as far as a handler."""
    response = web.Response(
        status=status, body=error_body("UNKNOWN", message), headers={"Content-Type": JSON}
    )
    response.force_close()
    return response


class Connection(web.RequestHandler):
    """One client's connection, from before its TLS handshake until it is lost.

    Attributes:
        task: aiohttp's task of this connection, once it has had a request.
    """

    __slots__ = (
        "_answering",
        "_early",
        "_gives_way",
        "_last",
        "_limits",
        "_on_lost",
        "_own_transport",
        "_progress",
        "_socket",
        "_stuck_since_s",
        "_waiting_since_s",
        "task",
    )

    def __init__(
        self,
        server: web.Server,
        *,
        limits: Limits,
        on_lost: Callable[["Connection"], None],
        **options: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            max_line_size=limits.line_bytes,
            max_field_size=limits.header_bytes,
            max_headers=limits.headers,
            **options,
        )
        self._limits = limits
        self._on_lost = on_lost
        self._own_transport: asyncio.Transport | None = None
        self._answering: web.BaseRequest | None = None
        self._early = 0
        self._gives_way = False
        self._last = False
        self._progress: tuple[int, int] | None = None
        self._socket: TransportSocket
        self._waiting_since_s = self._stuck_since_s = loop.time()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; TLS is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's promise
        self._own_transport = transport
        self._socket = transport.get_extra_info("socket")
        limit_unsent(transport, UNSENT_BYTES)
        if transport.get_extra_info("sslcontext") is not None:
            transport.set_write_buffer_limits(high=UNSENT_BYTES)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._own_transport = None
        super().connection_lost(exc)
        if self._answering is None and self.task is not None:
            self.task.cancel()  # it waits for the rest of a body that nobody wants
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; too many ahead of an answer end the connection."""
        if self._answering is not None and self._answering.content.is_eof():
            self._early += len(data)
            if self._early > EARLY_BYTES:
                self.abort()
                return
        super().data_received(data)

    def begin(self, request: web.BaseRequest) -> None:
        """Note that a request is being answered from now on."""
        self._answering = request
        self._early = 0
        self.task = request.task

    def finish(self) -> None:
        """Note that the answer has been handed to the transport."""
        self._answering = None
        self._waiting_since_s = asyncio.get_running_loop().time()
        if self._last:
            self.close_after_answer()

    @contextlib.contextmanager
    def giving_way(self) -> Iterator[None]:
        """Let the request count as none for now, since anybody may send it and take long."""
        self._gives_way = True
        self._waiting_since_s = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._gives_way = False

    def idle_s(self, now_s: float) -> float | None:
        """Return how long no request has been here that counts; None while one is."""
        busy = self._answering is not None and not self._gives_way
        return None if busy else now_s - self._waiting_since_s

    def check(self, now_s: float) -> None:
        """End the connection if its client has taken too long; called again and again."""
        transport = self._own_transport
        if transport is None:
            return  # in the handshake, which has its own limit
        progress = self._measure(transport)
        if progress is None or progress != self._progress:
            self._progress, self._stuck_since_s = progress, now_s
        idle_s = self.idle_s(now_s)
        if now_s - self._stuck_since_s > self._limits.stall_s:
            self.abort()
        elif progress is None and idle_s is not None and idle_s > self._limits.idle_s:
            transport.close()

    def _measure(self, transport: asyncio.Transport) -> tuple[int, int] | None:
        """Return what changes as the client takes an answer; None when nothing waits for it."""
        if transport.is_closing():
            return (-1, 0)  # with the rest of an answer, small, which closed TLS does not tell
        unsent = transport.get_write_buffer_size()
        # It may be the same again when more has been written.
        written = self._answering.writer.output_size if self._answering is not None else 0
        return (unsent, written) if unsent else None

    def close_after_answer(self) -> None:
        """End the connection when its answer has left, or now; requests are taken no more."""
        self._last = True
        if self._answering is not None:
            return  # aiohttp would take no more of its body either
        self.close()
        if self._own_transport is not None:
            self._own_transport.close()

    def abort(self) -> None:
        """End the connection at once, with all that goes on in it."""
        if self._own_transport is not None:
            self._own_transport.abort()
            with contextlib.suppress(OSError):
                # Once it is being closed, a TLS transport takes no notice of the line above.
                self._socket.shutdown(socket.SHUT_RDWR)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP request, or what failed in no way that was foreseen."""
        if isinstance(exc, HttpProcessingError):
            status, message = self._refusal(exc)
            _log.debug("%s sent no request: %s", request.remote, message)
        else:
            _log.error("%s %s failed", request.method, request.raw_path, exc_info=exc)
            message = "the registry failed"
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer had begun")
        return error_response(status, message)

    def _refusal(self, error: HttpProcessingError) -> tuple[int, str]:
        if isinstance(error, LineTooLong):
            limit = error.args[1]
            of_url = limit == self._limits.line_bytes != self._limits.header_bytes
            what = "the URL" if of_url else "a header"
            return 414 if of_url else 431, f"{what} has more than {limit} bytes"
        if error.message.startswith("Too many headers"):
            return 431, f"there are more than {self._limits.headers} headers"
        reason = error.message.splitlines()[0] if error.message else "it cannot be read"
        return 400, f"no HTTP request: {reason}"
