"""Making the faults of `faults` happen: requests answered wrongly on purpose."""

import contextlib
from typing import NoReturn
from urllib.parse import urljoin

import anyio
from aiohttp import web
from multidict import CIMultiDict

from . import manifests
from .failures import RefusedError, unsupported
from .faults import STATE, Faults
from .ranges import ByteRange, requested_range
from .receiving import receive
from .routes import Kind, Route
from .sending import blob_headers, part_of_blob
from .service import Service, read_digest

_UPLOADS = "/blobs/uploads/"


class Injector:
    """Stands in front of the handlers, and looks at each answer before it leaves."""

    def __init__(self, faults: Faults, service: Service) -> None:
        self._faults = faults
        self._service = service

    async def refuse(self, request: web.Request, route: Route) -> None:
        """Delay or refuse a request, whoever it is from.

        Raises:
            RefusedError: as the fault wants it.
        """
        if self._faults.when(request.method, request.path):
            if self._faults.delay_s:
                await anyio.sleep(self._faults.delay_s)
            self._refuse(request, route)

    async def before(self, request: web.Request, route: Route) -> web.StreamResponse | None:
        """Answer a request in place of its handler, or return None."""
        if not self._faults.when(request.method, request.path):
            return None
        if route.kind is Kind.BLOB and request.method in {"GET", "HEAD"}:
            return await self._blob(request, route)
        if route.kind is Kind.MANIFEST and request.method == "GET" and self._faults.wrong_bytes:
            return await self._manifest(request, route)
        if route.kind is Kind.UPLOAD and self._faults.breaks_upload(request.method):
            return await self._upload(request, route)
        if route.kind is Kind.UPLOADS and self._faults.no_single_post and route.get("digest"):
            session = self._service.sessions.open(route.repository, "sha256")
            return web.Response(status=202, headers={"Location": session.path})
        return None

    def _refuse(self, request: web.Request, route: Route) -> None:
        faults = self._faults
        if faults.takes_refusal():
            headers = {} if faults.retry_after is None else {"Retry-After": faults.retry_after}
            raise RefusedError(
                faults.refuse_status, faults.code, "refused by a fault", headers=headers
            )
        if faults.no_referrers and route.kind is Kind.REFERRERS:
            raise RefusedError(404, "UNSUPPORTED", "there is no referrers API here")
        if route.kind is Kind.TOKEN and request.method not in faults.token_methods:
            raise unsupported(f"{request.method} is not supported")
        if faults.no_patch and request.method == "PATCH":
            raise unsupported("PATCH is not supported")
        if (
            faults.location == "state"
            and route.kind is Kind.UPLOAD
            and STATE not in request.raw_path
        ):
            raise RefusedError(400, "BLOB_UPLOAD_INVALID", "the query of the Location was changed")

    async def amend(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Change the headers of an answer that is about to leave."""
        faults, headers = self._faults, response.headers
        if not faults.when(request.method, request.path):
            return
        for text in faults.warnings:
            headers.add("Warning", text)
        _replace(headers, "Docker-Content-Digest", faults.digest_header)
        _replace(headers, "Link", faults.link)
        _replace(headers, "WWW-Authenticate", faults.challenge)
        for name, gone in (
            ("Docker-Content-Digest", faults.no_digest_header),
            ("Link", faults.no_link),
            ("OCI-Subject", faults.no_subject_header or faults.no_referrers),
        ):
            if gone:
                headers.popall(name, None)
        self._amend_upload(request, headers)

    def _amend_upload(self, request: web.BaseRequest, headers: CIMultiDict[str]) -> None:
        faults, location = self._faults, headers.get("Location", "")
        if _UPLOADS not in location:
            return
        headers["Location"] = faults.upload_location(
            location, base=str(request.url.origin()), request_path=request.path
        )
        if faults.chunk_min_bytes is not None and request.method == "POST":
            headers["OCI-Chunk-Min-Length"] = str(faults.chunk_min_bytes)

    async def _manifest(self, request: web.Request, route: Route) -> web.StreamResponse:
        right = await manifests.read(self._service, request, route)
        body = right.body
        assert isinstance(body, bytes)  # noqa: S101 - the handler makes it so
        return web.Response(body=_flipped(body), headers=right.headers)

    async def _upload(self, request: web.Request, route: Route) -> web.StreamResponse:
        """Keep the first bytes of a body, then break the connection or claim that this was all."""
        faults = self._faults
        session = self._service.sessions.get(route.repository, route.target)
        drop = faults.drop_upload_at
        keep = drop if drop is not None else faults.keep_of_chunk
        with contextlib.suppress(RefusedError):  # the body is longer than what is kept, as intended
            await receive(request.content, session, length=keep, limits=self._service.limits)
        if drop is not None:
            _drop(request)
        await request.content.read()
        return web.Response(status=202, headers={"Location": session.path, "Range": session.range})

    async def _blob(self, request: web.Request, route: Route) -> web.StreamResponse | None:
        faults = self._faults
        if faults.redirect_blobs_to is not None:
            location = urljoin(faults.redirect_blobs_to, request.raw_path)
            return web.Response(status=307, headers={"Location": location})
        if request.method == "HEAD" or not faults.breaks_blob():
            return None
        digest = read_digest(route.target)
        repository = await self._service.repositories.existing(route.repository)
        size = await repository.layout.size_of(digest)
        if size is None:
            return None
        asked = request.headers.get("Range")
        part = None if faults.ignore_range else requested_range(asked, size)
        response = web.StreamResponse(
            status=200 if part is None else 206, headers=blob_headers(digest, part, size)
        )
        if faults.ignore_range:
            del response.headers["Accept-Ranges"]
        if faults.content_encoding is not None:
            response.headers["Content-Encoding"] = faults.content_encoding
        if faults.content_range is not None and part is not None:
            response.headers["Content-Range"] = faults.content_range
        data = await part_of_blob(
            repository.layout,
            digest,
            part or ByteRange(0, size),
            root=self._service.repositories.root,
        )
        await self._send(request, response, data)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, data: bytes) -> None:
        faults = self._faults
        if faults.wrong_bytes:
            data = _flipped(data)
        if faults.short_blob_at is not None:
            data = data[: faults.short_blob_at]
        response.content_length = len(data)
        await response.prepare(request)
        if faults.drop_blob_at is None or faults.drop_blob_at >= len(data):
            await response.write(data)
            await response.write_eof()
            return
        await response.write(data[: faults.drop_blob_at])
        _drop(request)


def _replace(headers: CIMultiDict[str], name: str, value: str | None) -> None:
    if value is not None and name in headers:
        headers[name] = value


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else data


def _drop(request: web.Request) -> NoReturn:
    """Break the connection; what was written before still arrives."""
    if request.transport is not None:
        request.transport.close()
    raise ConnectionResetError("dropped by a fault")
