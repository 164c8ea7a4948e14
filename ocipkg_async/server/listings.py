"""Handlers of lists: tags, repositories, referrers, and the ping (D-20, D-82, D-100)."""

from aiohttp import web

from ..spec import media_types
from ..spec.decoding import encode_json
from .failures import API_VERSION, JSON, RefusedError
from .paging import Page, page_of, page_size
from .routes import Route
from .service import Service, read_digest
from .storage import page_of_referrers


async def ping(_service: Service, _request: web.BaseRequest, _route: Route) -> web.Response:
    """GET of the base: this is an OCI registry."""
    return web.Response(body=b"{}", headers={"Content-Type": JSON, **API_VERSION})


async def tags(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """GET of the tags, sorted, in pages."""
    repository = await service.repositories.existing(route.repository)
    path = f"/v2/{route.repository}/tags/list"
    page = _page(await repository.tags(), path, route, service.options.page_entries)
    return _answer({"name": route.repository, "tags": page.names}, page)


async def catalog(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """GET of the repositories, sorted, in pages."""
    names = await service.repositories.names()
    page = _page(names, "/v2/_catalog", route, service.options.page_entries)
    return _answer({"repositories": page.names}, page)


def _page(names: list[str], path: str, route: Route, max_page: int) -> Page:
    n = page_size(route.get("n"), max_page=max_page)
    return page_of(names, path=path, n=n, last=route.get("last"))


def _answer(document: dict[str, object], page: Page) -> web.Response:
    headers = {"Content-Type": JSON}
    if page.link is not None:
        headers["Link"] = page.link
    return web.Response(body=encode_json(document), headers=headers)


async def referrers(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """GET of the manifests that refer to a digest; an empty list where nothing is known of it."""
    if not service.options.referrers:
        raise RefusedError(404, "UNSUPPORTED", "there is no referrers API here")
    subject = read_digest(route.target)
    # A plus sign that was not escaped arrives as a blank, which no media type has.
    wanted = (route.get("artifactType") or "").replace(" ", "+") or None
    repository = await service.repositories.find(route.repository)
    last = route.get("last")
    found = (
        await repository.referrers(subject, artifact_type=wanted, last=last) if repository else []
    )
    page = page_of_referrers(
        found,
        path=f"/v2/{route.repository}/referrers/{subject}",
        last=last,
        artifact_type=wanted,
        max_entries=service.options.page_entries,
    )
    headers = {"Content-Type": media_types.OCI_INDEX}
    if wanted is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    if page.link is not None:
        headers["Link"] = page.link
    return web.Response(body=page.body, headers=headers)
