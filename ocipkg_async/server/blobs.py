"""Handlers of blobs: read and delete (D-30 to D-35, D-112)."""

from aiohttp import web

from .failures import unsupported
from .routes import Route
from .sending import send_blob
from .service import Service, read_digest


async def read(service: Service, request: web.BaseRequest, route: Route) -> web.StreamResponse:
    """GET and HEAD."""
    digest = read_digest(route.target)
    repository = await service.repositories.existing(route.repository)
    return await send_blob(
        request,
        repository.layout,
        digest,
        root=service.repositories.root,
        stall_s=service.limits.stall_s,
    )


async def delete(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """DELETE, of this repository's blob alone."""
    if not service.options.delete:
        raise unsupported("deleting is switched off")
    digest = read_digest(route.target)
    repository = await service.repositories.existing(route.repository)
    async with repository.writing.alone():
        await repository.delete_blob(digest)
    return web.Response(status=202)
