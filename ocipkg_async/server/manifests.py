"""Handlers of manifests: read, push, delete (D-40 to D-47, D-75 to D-81, D-110 to D-114)."""

from contextlib import nullcontext

from aiohttp import web

from ..spec import Digest, Index, Manifest
from ..spec.reference import is_tag
from .connections import Incoming
from .documents import accept_document, missing, needed_blobs, needed_manifests
from .failures import RefusedError, manifest_unknown, unsupported
from .routes import Route
from .service import Service, read_digest
from .storage import Repository

MAX_TAGS = 100
"""Tags in one push; more than ten are to be taken (D-80), and each is an edit of the index."""

LARGE_BYTES = 256 << 10
"""Few longer manifests are worked on at once: one takes up to five times its size of memory."""


def _selector(text: str) -> Digest | str:
    """Tell a digest from a tag by its colon.

    Raises:
        RefusedError: 400 for a bad digest, 404 for what cannot be a tag (C-01).
    """
    if ":" in text:
        return read_digest(text)
    if not is_tag(text):
        raise manifest_unknown(text[:200])
    return text


async def read(service: Service, request: web.BaseRequest, route: Route) -> web.Response:
    """GET and HEAD, by tag or digest: the exact bytes that were pushed."""
    name = _selector(route.target)
    repository = await service.repositories.existing(route.repository)
    descriptor, raw = await service.manifests.read(repository, name)
    if request.method == "HEAD":
        await repository.renew(descriptor.digest)
    return web.Response(
        body=raw,
        headers={
            "Content-Type": descriptor.media_type,
            "Docker-Content-Digest": descriptor.digest,
            "ETag": f'"{descriptor.digest}"',
        },
    )


async def push(service: Service, request: web.BaseRequest, route: Route) -> web.Response:
    """PUT, by tag or digest, or by digest with further tags."""
    digest, tags = _targets(route)
    raw = await _body(service, request)
    async with service.large_manifests if len(raw) > LARGE_BYTES else nullcontext():
        document = accept_document(
            raw, content_type=request.headers.get("Content-Type"), digest=digest
        )
        repository = await service.repositories.create(route.repository)
        async with repository.writing.shared():
            if not service.options.sparse:
                await _check_references(repository, document)
            await repository.put(document, tags)
    response = web.Response(
        status=201,
        headers={
            "Location": f"/v2/{route.repository}/manifests/{document.digest}",
            "Docker-Content-Digest": document.digest,
        },
    )
    if document.subject is not None and service.options.referrers:
        response.headers["OCI-Subject"] = document.subject.digest
    if digest is not None:
        for tag in tags:
            response.headers.add("OCI-Tag", tag)
    return response


def _targets(route: Route) -> tuple[Digest | None, list[str]]:
    """Return the digest to push by, if any, and the tags to set."""
    if ":" not in route.target:
        digest, tags = None, [route.target]
    else:
        digest, tags = read_digest(route.target), list(dict.fromkeys(route.get_all("tag")))
    if len(tags) > MAX_TAGS:
        raise RefusedError(414, "MANIFEST_INVALID", f"at most {MAX_TAGS} tags at once")
    for tag in tags:
        if not is_tag(tag):
            raise RefusedError(400, "MANIFEST_INVALID", f"{tag[:200]!r} is not a tag")
    return digest, tags


async def _body(service: Service, request: web.BaseRequest) -> bytes:
    max_bytes = service.options.max_manifest_bytes
    too_large = RefusedError(413, "MANIFEST_INVALID", f"a manifest has at most {max_bytes} bytes")
    if (request.content_length or 0) > max_bytes:
        raise too_large
    pieces: list[bytes] = []
    body = Incoming(request.content, service.limits, code="MANIFEST_INVALID")
    while piece := await body.piece():
        if body.received > max_bytes:
            raise too_large
        pieces.append(piece)
    return b"".join(pieces)


async def _check_references(repository: Repository, document: Manifest | Index) -> None:
    blob = await repository.layout.first_missing_blob(needed_blobs(document))
    if blob is not None:
        raise missing(blob)
    for needed in needed_manifests(document):
        if not await repository.has_manifest(needed):
            raise missing(needed)


async def delete(service: Service, _request: web.BaseRequest, route: Route) -> web.Response:
    """DELETE of a tag, or of a manifest with all its tags (D-111, C-39)."""
    if not service.options.delete:
        raise unsupported("deleting is switched off")
    name = _selector(route.target)
    repository = await service.repositories.existing(route.repository)
    async with repository.writing.alone():
        if isinstance(name, Digest):
            await repository.delete_manifest(name)
        else:
            await repository.untag(name)
    return web.Response(status=202)
