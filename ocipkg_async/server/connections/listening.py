"""The socket side of the registry: addresses, and the connections that come in."""

import asyncio  # sockets are accepted into its transports, which is what aiohttp serves
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager

import anyio
from aiohttp import web

from ...errors import ConnectError
from .connection import Connection, error_response
from .limits import Limits
from .plain_http import is_plain_http, refuse_plain_http

READ_BUFFER_BYTES = 256 << 10
"""How much of a body may wait for the handler, some twice over: what the event loop receives at once.
With 1 MiB an upload took 12 MiB of memory instead of 5, and no less time."""
BACKLOG = 128
"""Connections that the system keeps until they are accepted."""
SHORT_WAIT_S = 1.0
"""When there is no room: how long until it is looked for again, and how long a connection must have
waited for a request to be ended for another one."""
END_S = 5.0
"""How long what was cancelled may take to end: a write to a slow disk is waited for."""
LOOKS = 4
"""How often a connection is looked at within the shortest time that it is allowed."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(
    application: web.Application,
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    limits: Limits,
    shutdown_timeout_s: float,
    on_warning: Callable[[str], None],
) -> AsyncIterator[int]:
    """Listen on an address; give the port, which is chosen by the system for 0.

    Args:
        application: answers the requests.
        host: the address, or a name of addresses.
        port: the port; 0 takes a free one.
        tls: certificate and key; None is plain HTTP.
        limits: what clients may take.
        shutdown_timeout_s: how long requests in progress may go on at the end.
        on_warning: told of connections that could not be accepted.

    Raises:
        ConnectError: the address cannot be listened on.
    """
    connections = _Connections(limits, tls, on_warning)
    application.middlewares.append(connections.answering)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHORT_WAIT_S)
    with ExitStack() as sockets:
        listeners = await _bind(sockets, host, port)
        await runner.setup()
        try:
            assert runner.server is not None  # noqa: S101 - set up
            connections.accept(listeners, runner.server)
            try:
                bound: int = listeners[0].getsockname()[1]
                yield bound
            finally:
                await connections.stop(shutdown_timeout_s)
        finally:
            await runner.cleanup()


async def _bind(sockets: ExitStack, host: str, port: int) -> list[socket.socket]:
    """Listen on all addresses of a host, on one port."""
    listeners: list[socket.socket] = []
    failed: OSError | None = None
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            # A free port of the first address is that of the others, too.
            chosen = listeners[0].getsockname()[1] if listeners else port
            try:
                listener = socket.create_server(
                    (address[0], chosen, *address[2:]), family=family, backlog=BACKLOG
                )
            except OSError as error:
                failed = error  # a name may have addresses that this machine does not
                continue
            listeners.append(sockets.enter_context(listener))
            listener.settimeout(0)
    except OSError as error:
        failed = error
    if not listeners:
        assert failed is not None  # noqa: S101 - names without addresses are errors
        # An address that is not here stays so on every port.
        elsewhere = isinstance(failed, socket.gaierror) or failed.errno == errno.EADDRNOTAVAIL
        reason = str(failed.strerror).partition(" (while ")[0]  # which repeats the address
        raise ConnectError(
            f"cannot listen on {host}:{port}: {reason}",
            hint="choose an address of this machine"
            if elsewhere
            else "choose another port, or 0 for any free one",
        ) from failed
    return listeners


class _Connections:
    """All connections of one registry."""

    def __init__(
        self, limits: Limits, tls: ssl.SSLContext | None, on_warning: Callable[[str], None]
    ) -> None:
        self._limits = limits
        self._tls = tls
        self._warn = on_warning
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._listeners: Sequence[socket.socket] = ()
        self._accepting: list[asyncio.Task[None]] = []
        self._left = anyio.Event()
        self._look_s = min(limits.idle_s, limits.stall_s) / LOOKS
        self._looking: asyncio.TimerHandle | None = None

    @web.middleware
    async def answering(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let a connection know of its request until that is answered."""
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - there are no others
        if request.transport is None:
            # Lost before aiohttp would tell the body of it, which would then be waited for.
            return web.Response()
        connection.begin(request)
        try:
            return await handler(request)
        except web.HTTPException as error:  # no path at all, as in OPTIONS *
            return error_response(error.status, error.reason)
        finally:
            connection.finish()

    def accept(self, listeners: Sequence[socket.socket], server: web.Server) -> None:
        """Begin to accept connections, and to look at them."""
        self._listeners = listeners
        self._accepting = [
            asyncio.create_task(self._accept(listener, server)) for listener in listeners
        ]
        self._look()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(self._look_s, self._look)
        for connection in list(self._open):
            connection.check(loop.time())

    async def _accept(self, listener: socket.socket, server: web.Server) -> None:
        while True:
            await anyio.wait_readable(listener)
            await self._room()
            try:
                accepted, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue  # whoever came has gone
            except OSError as error:  # mostly: no more files may be open
                self._warn(f"a connection cannot be accepted: {error.strerror}")
                self._end_longest_waiting()
                await anyio.sleep(SHORT_WAIT_S)
                continue
            connection = Connection(
                server,
                limits=self._limits,
                on_lost=self._lost,
                # A body with Content-Encoding is content like any other.
                auto_decompress=False,
                read_bufsize=READ_BUFFER_BYTES,
            )
            self._open[connection] = asyncio.create_task(self._welcome(connection, accepted))

    async def _welcome(self, connection: Connection, accepted: socket.socket) -> None:
        """Hand an accepted socket to its connection, after the TLS handshake."""
        loop = asyncio.get_running_loop()
        secure: dict[str, float] = {}  # limits of TLS may not be told where there is none
        try:
            if self._tls is not None:
                until_s = loop.time() + self._limits.idle_s
                with anyio.fail_after(self._limits.idle_s):
                    plain = await is_plain_http(accepted)
                if plain:
                    await refuse_plain_http(accepted)
                    self._forget(connection)
                    return
                secure["ssl_handshake_timeout"] = max(until_s - loop.time(), 0.001)
                secure["ssl_shutdown_timeout"] = self._limits.stall_s
            await loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=self._tls, **secure
            )
        except OSError:
            self._forget(connection)  # no TLS, or none in time: there is nobody to tell
        except asyncio.CancelledError:
            self._forget(connection)
            raise

    async def _room(self) -> None:
        while len(self._open) >= self._limits.connections:
            left = self._left
            self._end_longest_waiting()
            with anyio.move_on_after(SHORT_WAIT_S):
                await left.wait()

    def _end_longest_waiting(self) -> None:
        now_s = asyncio.get_running_loop().time()
        waiting = {one: idle_s for one in self._open if (idle_s := one.idle_s(now_s)) is not None}
        longest = max(waiting, key=waiting.__getitem__, default=None)
        if longest is not None and waiting[longest] > SHORT_WAIT_S:
            self._end(longest)

    def _end(self, connection: Connection) -> None:
        self._open[connection].cancel()  # its handshake
        connection.abort()

    def _lost(self, connection: Connection) -> None:
        """Let a lost connection count for as long as its request is still being answered."""
        if connection.task is None or connection.task.done():
            self._forget(connection)
        else:
            connection.task.add_done_callback(lambda _: self._forget(connection))

    def _forget(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._left.set()
        self._left = anyio.Event()

    async def stop(self, timeout_s: float) -> None:
        """End all connections; requests in progress may go on for `timeout_s`."""
        assert self._looking is not None  # noqa: S101 - it was begun
        self._looking.cancel()
        for task in self._accepting:
            task.cancel()
        try:
            await asyncio.wait(self._accepting)
            for listener in self._listeners:
                listener.close()  # whoever comes now is refused at once, not at the end
            for connection, welcome in list(self._open.items()):
                welcome.cancel()  # a handshake is no request
                connection.close_after_answer()
            with anyio.move_on_after(timeout_s):
                await self._all_left()
        finally:
            for connection in list(self._open):
                self._end(connection)
                if connection.task is not None:
                    connection.task.cancel()
            with anyio.move_on_after(END_S):
                await self._all_left()
            if self._open:
                self._warn(f"{len(self._open)} requests do not end")

    async def _all_left(self) -> None:
        while self._open:
            await self._left.wait()
