"""Servers that do what a test says and remember what they were sent."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from accepting import serving, streaming
from ocipkg_async.transport import Credential, Request, RetryPolicy, TransportOptions


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes = b""

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")


@dataclass(slots=True)
class Server:
    """A running server."""

    port: int
    scheme: str
    seen: list[Seen] = field(default_factory=list[Seen])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


Answer = web.StreamResponse
Handler = Callable[[Seen], Answer | Awaitable[Answer]]


@asynccontextmanager
async def serve(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run an HTTP server whose every answer `handler` makes, from a request with its whole body."""

    async def answer(request: web.BaseRequest) -> Answer:
        # Not `read`, which has a limit.
        body = b"".join([piece async for piece in request.content.iter_any()])
        seen = Seen(request.method, request.raw_path, request.headers, body)
        server.seen.append(seen)
        made = handler(seen)
        return made if isinstance(made, web.StreamResponse) else await made

    server = Server(0, "https" if tls else "http")
    async with serving(web.ServerRunner(web.Server(answer), shutdown_timeout=0.1), tls=tls) as port:
        server.port = port
        yield server


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class RawServer:
    """A server that writes bytes, HTTP or not."""

    port: int = 0
    connections: int = 0
    closed: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def nobody() -> Iterator[RawServer]:
    """Hold an address of this machine on which nobody listens, nor can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield RawServer(port=held.getsockname()[1])


@asynccontextmanager
async def serve_raw(*scripts: Script, limit: int = 1 << 16) -> AsyncIterator[RawServer]:
    """Run one script for each connection in turn; the last one for all that follow."""
    server = RawServer()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = scripts[min(server.connections, len(scripts) - 1)]
        server.connections += 1
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            server.closed += 1

    async with streaming(run, limit=limit) as server.port:
        yield server


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Read a request as far as its body."""
    return await reader.readuntil(b"\r\n\r\n")


async def until_hung_up(reader: asyncio.StreamReader) -> bytes:
    """Wait until the client ends the connection; return what came.

    Its system resets one that ends before all was read, which takes what came here, too.
    """
    with suppress(ConnectionResetError):
        return await reader.read()
    return b""


def saying(*pieces: bytes) -> Script:
    """A script that reads a request's head, writes and hangs up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


def ok(body: bytes = b"") -> bytes:
    """A complete answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def text(body: str = "", *, status: int = 200, **headers: str) -> web.Response:
    """An answer; ``_`` in header names stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(text=body, status=status, headers=named)


def bearer(realm: str, *, scope: str = "", service: str = "reg", error: str = "") -> web.Response:
    """A 401 that sends clients to a token server."""
    challenge = f'Bearer realm="{realm}",service="{service}"'
    challenge += f',scope="{scope}"' if scope else ""
    challenge += f',error="{error}"' if error else ""
    return text("denied", status=401, WWW_Authenticate=challenge)


def token(value: str, **more: object) -> web.Response:
    """A token server's answer."""
    return web.Response(text=json.dumps({"token": value, **more}), content_type="application/json")


def quick(**options: Any) -> TransportOptions:
    """Options that wait for nothing long."""
    retry = options.pop("retry", RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.001))
    return TransportOptions(retry=retry, **options)


def get(server: Server | RawServer, path: str = "/v2/", **more: Any) -> Request:
    """A GET to a server that is the registry."""
    return Request(method="GET", url=server.url + path, registry=server.host, **more)


class Stored:
    """Credentials at hand, counting how often they are asked for."""

    def __init__(self, credential: Credential | None) -> None:
        self.credential = credential
        self.asked: list[tuple[str, str | None]] = []

    async def get(self, registry: str, repository: str | None = None) -> Credential | None:
        self.asked.append((registry, repository))
        return self.credential
