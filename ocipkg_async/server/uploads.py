"""Handlers of blob uploads: open, add, ask, close, cancel, mount (D-50 to D-72)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from ..errors import OCIError
from ..spec import Digest
from ..spec.digest import VERIFIABLE
from .failures import RefusedError, digest_invalid, upload_unknown
from .ranges import sent_range
from .receiving import discard, receive, verify
from .routes import Route, check_repository
from .sending import is_shown
from .service import Service, read_digest
from .sessions import UploadSession

BUSY_WAIT_S = 5.0
"""How long a request waits for another one on the same upload, such as the broken one it repeats."""


async def begin(service: Service, request: web.BaseRequest, route: Route) -> web.Response:
    """POST: mount, take the whole blob, or open a session."""
    if (mount := route.get("mount")) is not None and await _mount(service, route, mount):
        return _created(route.repository, Digest(mount))
    named = route.get("digest")
    digest = read_digest(named) if named is not None else None
    algorithm = digest.algorithm if digest else route.get("digest-algorithm") or "sha256"
    if algorithm not in VERIFIABLE:
        raise digest_invalid(algorithm)
    session = service.sessions.open(route.repository, algorithm)
    if digest is None:
        return web.Response(status=202, headers={"Location": session.path})
    try:
        async with _held(service, session):
            await receive(request.content, session, length=None, limits=service.limits)
            return await _finish(service, session, digest)
    finally:
        # Nobody was told of this session, so nobody can go on with it.
        service.sessions.close(session)
        await discard(session)


async def add(service: Service, request: web.BaseRequest, route: Route) -> web.Response:
    """PATCH: a chunk, or a stream that simply goes on."""
    session = service.sessions.get(route.repository, route.target)
    chunk = sent_range(request.headers.get("Content-Range"), request.content_length)
    async with _held(service, session):
        session.check_start(chunk)
        length = chunk.length if chunk else None
        await receive(request.content, session, length=length, limits=service.limits)
    return web.Response(status=202, headers=_where(session))


async def close(service: Service, request: web.BaseRequest, route: Route) -> web.Response:
    """PUT: the last bytes, if any, and the digest of them all."""
    session = service.sessions.get(route.repository, route.target)
    digest = read_digest(route.get("digest") or "")
    chunk = sent_range(request.headers.get("Content-Range"), request.content_length)
    async with _held(service, session):
        session.check_start(chunk)
        session.expect(digest.algorithm)
        length = chunk.length if chunk else None
        await receive(request.content, session, length=length, limits=service.limits)
        try:
            return await _finish(service, session, digest)
        except (RefusedError, OCIError):
            # The bytes are not what was announced: nothing to go on with (C-34).
            service.sessions.close(session)
            await discard(session)
            raise


async def ask(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """GET: how far it is. A running request is not waited for."""
    session = service.sessions.get(route.repository, route.target)
    return web.Response(status=204, headers=_where(session))


async def cancel(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """DELETE: give it up."""
    session = service.sessions.get(route.repository, route.target)
    async with _held(service, session):
        service.sessions.close(session)
        await discard(session)
    return web.Response(status=204)


def _where(session: UploadSession) -> dict[str, str]:
    return {"Location": session.path, "Range": session.range}


def _created(repository: str, digest: Digest) -> web.Response:
    location = f"/v2/{repository}/blobs/{digest}"
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": digest})


@asynccontextmanager
async def _held(service: Service, session: UploadSession) -> AsyncIterator[None]:
    """Hold a session's lock: two requests must not add to one upload at once."""
    with anyio.move_on_after(BUSY_WAIT_S) as wait:
        await session.busy.acquire()
    if wait.cancelled_caught:
        raise RefusedError(
            503,
            "BLOB_UPLOAD_INVALID",
            "another request is adding to this upload",
            headers={"Retry-After": "1"},
        )
    try:
        if session.closed:
            raise upload_unknown(session.id)
        yield
    finally:
        service.sessions.used(session)  # a body may take longer than an upload may be idle
        session.busy.release()


async def _finish(service: Service, session: UploadSession, digest: Digest) -> web.Response:
    await verify(session, digest)
    repository = await service.repositories.create(session.repository)
    await repository.adopt(digest, session.file)
    service.sessions.close(session)
    return _created(session.repository, digest)


async def _mount(service: Service, route: Route, mount: str) -> bool:
    """Take a blob over from one repository, or from any where none is named (D-70, D-71)."""
    digest = read_digest(mount)
    named = route.get("from")
    if named is not None:
        names = [route.repository, check_repository(named)]
    else:
        names = [route.repository, *await service.repositories.names()]
    for name in names:
        source = await service.repositories.find(name)
        if source is not None and await is_shown(
            source.layout, digest, root=service.repositories.root
        ):
            target = await service.repositories.create(route.repository)
            return await target.link(digest, source)
    return False
