"""Handler of the page for people: gathers what one page shows, and no more."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from ...content import fetch_bytes, run_in_thread
from ...errors import OCIError
from ...layout import Layout
from ...layout.entries import Entries
from ...spec import Descriptor, image_layout
from ...spec.reference import is_tag
from ..failures import RefusedError
from ..paging import page_of
from ..routes import Route, check_repository
from ..service import Service
from ..storage import Repository
from .commands import Address
from .document import problem_page, repositories_page, repository_page
from .style import POLICY
from .summaries import MAX_NAMES, Part, RepositoryRow, TagRow, summarise, why_not

REPOSITORIES_PER_PAGE = 100
TAGS_PER_PAGE = 50
MAX_MANIFEST_BYTES = 1 << 20
"""Largest manifest that is read for the page; those of many thousand files are not shown."""
MAX_INDEX_BYTES = 256 << 10
"""Largest ``index.json`` that is read only to count its tags, some thousand."""

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


async def browse(service: Service, request: web.BaseRequest, route: Route) -> web.Response:
    """GET and HEAD of ``/``: the repositories, or the tags of one."""
    address = _address(request)
    name, last = route.get("repository"), route.get("last")
    if name is None:
        return _answer(await _repositories(service, address, last))
    try:
        repository = await service.repositories.existing(check_repository(name))
        entries = await repository.layout.listing()
    except RefusedError:
        return _answer(problem_page("Not found", f"There is no repository {name!r}."), status=404)
    except OCIError as error:
        return _answer(problem_page(name, f"It cannot be shown: {why_not(error)}."))
    return _answer(await _tags(repository, entries, address, last))


def _answer(html: str, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=html.encode(), headers=_HEADERS)


def _address(request: web.BaseRequest) -> Address:
    """Return where this client reaches the registry: as it says, or where its connection ends."""
    tls = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
    own = "localhost"
    if request.transport is not None:
        host, port, *_ = request.transport.get_extra_info("sockname")
        own = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Address.of(request.headers.get("Host", ""), tls=tls, own=own)


async def _repositories(service: Service, address: Address, last: str | None) -> str:
    names = await service.repositories.names()
    shown = page_of(names, path="/", n=REPOSITORIES_PER_PAGE, last=last)
    rows = [await _count(service, name) for name in shown.names]
    part = _part(names, shown.names, more=shown.link is not None)
    return repositories_page(rows, part, address, asks=service.options.users)


def _part(names: list[str], shown: list[str], *, more: bool) -> Part:
    start = names.index(shown[0]) if shown else len(names)
    return Part(start=start, total=len(names), next=shown[-1] if more else None)


async def _count(service: Service, name: str) -> RepositoryRow:
    """Count the tags of a repository, which stays as unopened as it is."""
    path = service.repositories.root.joinpath(*name.split("/"))
    try:
        size = await run_in_thread(lambda: (path / image_layout.INDEX).stat().st_size)
        if size > MAX_INDEX_BYTES:
            return RepositoryRow(name=name, problem="too many tags to be counted here")
        layout = await Layout.open(path, read_only=True)
        entries = await layout.listing()
    except OSError:
        return RepositoryRow(name=name, problem="cannot be read from the disk")
    except OCIError as error:
        return RepositoryRow(name=name, problem=why_not(error))
    tags = _tags_of(entries)
    tagged = {one.digest for tag in tags for one in entries.by_name[tag]}
    return RepositoryRow(
        name=name,
        tags=tuple(tags[:MAX_NAMES]),
        tag_count=len(tags),
        untagged=len(entries.by_digest.keys() - tagged),
    )


def _tags_of(entries: Entries) -> list[str]:
    return sorted(filter(is_tag, entries.by_name))


async def _tags(
    repository: Repository, entries: Entries, address: Address, last: str | None
) -> str:
    names = await run_in_thread(_tags_of, entries)
    shown = page_of(names, path="/", n=TAGS_PER_PAGE, last=last)
    rows = [await _look(repository, tag, entries.by_name[tag]) for tag in shown.names]
    part = _part(names, shown.names, more=shown.link is not None)
    return repository_page(repository.name, rows, part, address)


async def _look(repository: Repository, tag: str, found: Sequence[Descriptor]) -> TagRow:
    """Read the manifest of one tag."""
    if len(found) > 1:
        return TagRow(tag=tag, problem=f"ambiguous: it stands for {len(found)} manifests")
    entry = found[0].plain()
    if not entry.is_document:
        return TagRow(tag=tag, digest=entry.digest, problem=f"no manifest: {entry.media_type}")
    try:
        raw = await fetch_bytes(repository.layout, entry, max_bytes=MAX_MANIFEST_BYTES)
        summary = await run_in_thread(partial(summarise, raw, entry))
    except OCIError as error:
        return TagRow(tag=tag, digest=entry.digest, problem=why_not(error))
    return TagRow(tag=tag, digest=entry.digest, summary=summary)
