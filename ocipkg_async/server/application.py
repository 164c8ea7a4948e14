"""One request's way through the server: route, handler, error document, log line."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from ..errors import OCIError
from . import blobs, listings, manifests, uploads
from .failures import JSON, RefusedError, error_body, from_error
from .injecting import Injector
from .routes import Kind, Route, find_route
from .service import Service

Handler = Callable[[Service, web.BaseRequest, Route], Awaitable[web.StreamResponse]]

_HANDLERS: dict[tuple[Kind, str], Handler] = {
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
        headers: the request's headers, for tests; no part of the printed line.
        seconds: from the request's headers to the last byte of the answer.
    """

    method: str
    path: str
    status: int
    received_bytes: int
    sent_bytes: int
    seconds: float
    headers: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return (
            f"{self.method} {self.path} {self.status} in={self.received_bytes}"
            f" out={self.sent_bytes} {self.seconds * 1000:.1f}ms"
        )


_CLIENT_HAS_GONE = 499  # nginx's number; it is logged, never sent

OnRequest = Callable[[RequestLog], None]


class Dispatcher:
    """Answers every request of one registry."""

    def __init__(
        self, service: Service, *, on_request: OnRequest | None, injector: Injector | None
    ) -> None:
        self._service = service
        self._on_request = on_request
        self._injector = injector

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        if self._on_request is None:
            return await self._answer(request)
        started_s = time.perf_counter()
        status, sent = 0, 0
        try:
            response = await self._answer(request)
            status, sent = response.status, _length(request, response)
            with contextlib.suppress(
                ConnectionError
            ):  # aiohttp meets it again, and ends the request
                await response.prepare(request)
                await response.write_eof()
        finally:
            self._on_request(
                RequestLog(
                    method=request.method,
                    path=request.path,
                    status=status,
                    received_bytes=request.content.total_bytes,
                    headers=request.headers,
                    sent_bytes=sent,
                    seconds=time.perf_counter() - started_s,
                )
            )
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._handle(request)
        except RefusedError as refused:
            return _refusal(refused)
        except OCIError as error:
            return _refusal(from_error(error))
        except ConnectionError:
            # The client has gone, or must not take what it got for the whole: aiohttp notices the
            # closed connection, and sends and reports nothing.
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=_CLIENT_HAS_GONE)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        _refuse_pages(request)
        route = find_route(request.method, request.raw_path)
        if self._injector is not None:
            response = await self._injector.before(request, route)
            if response is not None:
                return response
        method = "GET" if request.method == "HEAD" else request.method
        return await _HANDLERS[route.kind, method](self._service, request, route)


def _refuse_pages(request: web.BaseRequest) -> None:
    """Refuse what a web page sends to change something, which a loopback address does not keep out.

    Browsers add ``Origin`` to all such requests; no client of registries does.

    Raises:
        RefusedError: 403.
    """
    if "Origin" in request.headers and request.method not in {"GET", "HEAD"}:
        raise RefusedError(403, "DENIED", "web pages may not change anything here")


def _refusal(refused: RefusedError) -> web.Response:
    return web.Response(
        status=refused.status,
        body=error_body(refused.code, str(refused)),
        headers={"Content-Type": JSON, **refused.headers},
    )


def _length(request: web.BaseRequest, response: web.StreamResponse) -> int:
    return 0 if request.method == "HEAD" else response.content_length or 0
