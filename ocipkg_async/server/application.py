"""One request's way through the server: route, handler, error document, log line."""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from ..errors import InvalidLayoutError, OCIError, StorageError
from . import blobs, listings, manifests, uploads
from .access import USER, Entrance, is_rebound
from .failures import JSON, RefusedError, error_body, from_error, name_unknown, path_unknown
from .injecting import Injector
from .page import browse
from .routes import Kind, Route, find_route
from .service import Service

Handler = Callable[[Service, web.BaseRequest, Route], Awaitable[web.StreamResponse]]

_HANDLERS: dict[tuple[Kind, str], Handler] = {
    (Kind.PAGE, "GET"): browse,
    (Kind.BASE, "GET"): listings.ping,
    (Kind.CATALOG, "GET"): listings.catalog,
    (Kind.TAGS, "GET"): listings.tags,
    (Kind.REFERRERS, "GET"): listings.referrers,
    (Kind.BLOB, "GET"): blobs.read,
    (Kind.BLOB, "DELETE"): blobs.delete,
    (Kind.MANIFEST, "GET"): manifests.read,
    (Kind.MANIFEST, "PUT"): manifests.push,
    (Kind.MANIFEST, "DELETE"): manifests.delete,
    (Kind.UPLOADS, "POST"): uploads.begin,
    (Kind.UPLOAD, "GET"): uploads.ask,
    (Kind.UPLOAD, "PATCH"): uploads.add,
    (Kind.UPLOAD, "PUT"): uploads.close,
    (Kind.UPLOAD, "DELETE"): uploads.cancel,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """One answered request.

    Attributes:
        method: HTTP method.
        path: path without its query.
        status: HTTP status of the answer; 499 when the connection broke before or in it, 0 when
            the registry was stopped.
        received_bytes: how much of the request's body arrived.
        sent_bytes: length of the answer's body.
        user: who sent it, where access control knows, else None.
        headers: the request's headers, for tests; no part of the printed line.
        seconds: from the request's headers to the last byte of the answer.
    """

    method: str
    path: str
    status: int
    received_bytes: int
    sent_bytes: int
    seconds: float
    user: str | None = None
    headers: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return (
            f"{self.method} {self.path} {self.status} in={self.received_bytes}"
            f" out={self.sent_bytes} {self.seconds * 1000:.1f}ms"
        )


_log = logging.getLogger("ocipkg_async.server")

_CLIENT_HAS_GONE = 499  # nginx's number; it is logged, never sent

OnRequest = Callable[[RequestLog], None]


class Dispatcher:
    """Answers every request of one registry."""

    def __init__(
        self,
        service: Service,
        *,
        on_request: OnRequest | None,
        on_warning: Callable[[str], None],
        injector: Injector | None,
        entrance: Entrance | None,
        refuse_rebound: bool,
    ) -> None:
        self._service = service
        self._refuse_rebound = refuse_rebound
        self._entrance = entrance
        self._on_request = on_request
        self._warn = on_warning
        self._injector = injector
        self._open: set[AbstractStreamWriter] = set()
        self._one_ended = anyio.Event()

    async def settled(self) -> None:
        """Wait until each request is reported of whose answer a part has left."""
        while any(writer.output_size for writer in self._open):
            if self._one_ended.is_set():
                self._one_ended = anyio.Event()
            await self._one_ended.wait()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        started_s = time.perf_counter()
        status, sent = 0, 0
        self._open.add(request.writer)
        try:
            response = await self._answer(request)
            status, sent = response.status, _length(request, response)
            with contextlib.suppress(
                ConnectionError
            ):  # aiohttp meets it again, and ends the request
                await response.prepare(request)
                await response.write_eof()
        finally:
            self._open.discard(request.writer)
            self._one_ended.set()
            if self._on_request is not None:
                self._on_request(
                    RequestLog(
                        method=request.method,
                        path=request.path,
                        status=status,
                        received_bytes=request.content.total_bytes,
                        user=request.get(USER),
                        headers=request.headers,
                        sent_bytes=sent,
                        seconds=time.perf_counter() - started_s,
                    )
                )
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._handle(request)
        except ConnectionError:
            return _break_off(request)
        except RefusedError as error:
            refused = error
        except OCIError as error:
            refused = from_error(error)
            if refused.status >= 500:
                self._warn(f"{request.method} {request.raw_path} failed: {error}")
        except Exception:  # noqa: BLE001 - the client gets an answer, the operator a trace
            _log.exception("%s %s failed", request.method, request.raw_path)
            refused = RefusedError(500, "UNKNOWN", "the registry failed; its log says how")
        if request.writer.output_size:
            return _break_off(request)
        return _refusal(request, refused)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        _refuse_pages(request)
        if self._refuse_rebound and is_rebound(request.headers):
            raise RefusedError(
                403, "DENIED", "browsers may open this registry only by an address, or as localhost"
            )
        route = find_route(request.method, request.raw_path)
        if self._injector is not None:
            await self._injector.refuse(request, route)
        if route.kind is Kind.TOKEN:
            return await self._give_token(request, route)
        if self._entrance is not None:
            route = await self._entrance.guard.admit(request, route)
        await _invite_body(request)
        if self._injector is not None:
            response = await self._injector.before(request, route)
            if response is not None:
                return response
        method = "GET" if request.method == "HEAD" else request.method
        try:
            return await _HANDLERS[route.kind, method](self._service, request, route)
        except (InvalidLayoutError, StorageError) as error:
            # Its owner may remove a repository while it is used. One that is pushed to is made
            # again when the client tries again.
            name = route.repository
            removed = name and await self._service.repositories.was_removed(name)
            if removed and method in {"GET", "DELETE"}:
                raise name_unknown(name) from error
            raise

    async def _give_token(self, request: web.Request, route: Route) -> web.StreamResponse:
        if self._entrance is None or self._entrance.tokens is None:
            raise path_unknown()
        await _invite_body(request)
        return await self._entrance.tokens.answer(request, route)


async def expectation(_request: web.Request) -> None:
    """Leave ``Expect`` alone until it is known whether the body is wanted, and from whom."""


async def _invite_body(request: web.BaseRequest) -> None:
    """Answer ``Expect`` of a client that waits with its body (RFC 9110, section 10.1.1).

    Raises:
        RefusedError: 417, it expects something else.
    """
    expected = request.headers.get("Expect")
    if expected is None or request.version != HttpVersion11:
        return
    if expected.lower() != "100-continue":
        raise RefusedError(417, "UNSUPPORTED", "only 100-continue can be expected")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # what counts is the answer's


def _refuse_pages(request: web.BaseRequest) -> None:
    """Refuse what a web page sends to change something, which a loopback address does not keep out.

    Browsers add ``Origin`` to all such requests; no client of registries does.

    Raises:
        RefusedError: 403.
    """
    if "Origin" in request.headers and request.method not in {"GET", "HEAD"}:
        raise RefusedError(403, "DENIED", "web pages may not change anything here")


def _refusal(request: web.BaseRequest, refused: RefusedError) -> web.Response:
    response = web.Response(
        status=refused.status,
        body=error_body(refused.code, str(refused)),
        headers={"Content-Type": JSON, **refused.headers},
    )
    if "Expect" in request.headers and not request.content.is_eof():
        # Whether the body comes all the same is for the client to choose: what follows may be
        # body or the next request.
        response.force_close()
    return response


def _break_off(request: web.BaseRequest) -> web.Response:
    """End a connection whose client has gone, or must not take what it got for the whole.

    aiohttp notices the closed connection, and sends and reports nothing.
    """
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=_CLIENT_HAS_GONE)


def _length(request: web.BaseRequest, response: web.StreamResponse) -> int:
    return 0 if request.method == "HEAD" else response.content_length or 0
