"""Manifests and indexes on a registry (distribution-spec v1.1, "Pulling manifests", "Pushing manifests")."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..content import BlobReader
from ..content.reader import BytesStream
from ..errors import (
    DigestMismatchError,
    LimitExceededError,
    NotFoundError,
    RegistryError,
    RegistryNotFoundError,
)
from ..spec import Descriptor, Digest, Index, Manifest, media_types, parse_document
from ..transport import Response
from .digest_header import check_stated, stated_digest
from .endpoint import Endpoint

# Unknown types last: a registry may keep documents of a kind that is younger than this list.
_DOCUMENTS = (
    media_types.OCI_INDEX,
    media_types.OCI_MANIFEST,
    media_types.DOCKER_MANIFEST_LIST,
    media_types.DOCKER_MANIFEST,
    media_types.OCI_ARTIFACT_MANIFEST,
)
_ACCEPT = ", ".join((*_DOCUMENTS, "*/*;q=0.1"))
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


async def resolve(endpoint: Endpoint, name: str, *, max_bytes: int) -> Descriptor:
    """Return what a tag or digest points to (D-44).

    Raises:
        NotFoundError: there is no such tag or manifest.
        IntegrityError: the registry says another digest than the one asked for.
        InvalidDocumentError, UnsupportedError: the answer is no manifest.
    """
    request = endpoint.request(
        "HEAD", endpoint.url(f"manifests/{name}"), scopes=endpoint.pull, headers={"Accept": _ACCEPT}
    )
    try:
        async with endpoint.transport.send(request) as response:
            found = _described(response, name)
    except RegistryNotFoundError as error:
        raise _missing(endpoint, name, error) from error
    except RegistryError as error:
        if error.status not in {400, 403, 405}:
            raise
        found = None  # some proxies answer this to HEAD only; GET says more, if only why
    return found or (await read_named(endpoint, name, max_bytes=max_bytes)).descriptor


def _described(response: Response, name: str) -> Descriptor | None:
    """Read a descriptor from the headers of a HEAD; None where they do not say enough."""
    asked = Digest(name) if ":" in name else None
    if asked is not None:
        check_stated(response.headers, asked, verb="answered")
    digest = asked or stated_digest(response.headers)
    length = response.headers.get("Content-Length") or ""
    media_type = media_types.without_parameters(response.headers.get("Content-Type") or "")
    if (
        digest is None
        or not _LENGTH.fullmatch(length)
        or not media_types.is_document(media_type)
        or "Docker-Content-Digest" not in response.headers
    ):
        return None
    return Descriptor(media_type=media_type, digest=digest, size=int(length))


async def read_named(endpoint: Endpoint, name: str, *, max_bytes: int) -> Manifest | Index:
    """Read what a tag or digest points to, in one request.

    Raises:
        NotFoundError: there is no such tag or manifest.
        DigestMismatchError: the bytes are not what was asked for, or what the registry says.
        InvalidDocumentError, UnsupportedError: the answer is no manifest.
    """
    request = endpoint.request(
        "GET", endpoint.url(f"manifests/{name}"), scopes=endpoint.pull, headers={"Accept": _ACCEPT}
    )
    try:
        response, raw = await endpoint.transport.fetch(request, max_bytes=max_bytes)
    except RegistryNotFoundError as error:
        raise _missing(endpoint, name, error) from error
    wanted = Digest(name) if ":" in name else stated_digest(response.headers)
    digest = Digest.of(raw, wanted.algorithm if wanted else "sha256")
    if wanted and digest != wanted:
        raise DigestMismatchError(
            f"the manifest {name} has the digest {digest}, not {wanted}",
            expected=wanted,
            actual=digest,
        )
    check_stated(response.headers, digest, verb="answered")
    return parse_document(raw, media_type=response.headers.get("Content-Type"), digest=digest)


@asynccontextmanager
async def open_manifest(
    endpoint: Endpoint, descriptor: Descriptor, *, max_bytes: int
) -> AsyncIterator[BlobReader]:
    """Open a manifest for reading, by digest.

    Raises:
        NotFoundError: the repository does not have it.
        IntegrityError: the registry says it is another one.
        LimitExceededError: its descriptor says it is larger than `max_bytes`.
    """
    if descriptor.size > max_bytes:
        raise LimitExceededError(
            f"the manifest {descriptor.digest} has {descriptor.size} bytes; the limit is {max_bytes}",
            hint="raise the limit for manifests if you trust this registry",
        )
    digest = descriptor.digest
    request = endpoint.request(
        "GET",
        endpoint.url(f"manifests/{digest}"),
        scopes=endpoint.pull,
        headers={"Accept": f"{descriptor.media_type}, {_ACCEPT}"},
    )
    try:
        # Not cut to the announced size, so that the reader sees when it is too long.
        response, raw = await endpoint.transport.fetch(request, max_bytes=max_bytes)
    except RegistryNotFoundError as error:
        raise _missing(endpoint, digest, error) from error
    check_stated(response.headers, digest, verb="answered")
    yield BlobReader(BytesStream(raw), descriptor)


async def push(endpoint: Endpoint, descriptor: Descriptor, raw: bytes, name: str) -> bool:
    """Put a manifest under a tag or its digest.

    Returns:
        whether the registry said that it lists this manifest as a referrer of its subject (D-79).

    Raises:
        LimitExceededError: the registry finds it too large.
        DigestMismatchError: the registry stored something else.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    request = endpoint.request(
        "PUT",
        endpoint.url(f"manifests/{name}"),
        scopes=endpoint.push,
        accept=frozenset({200, 201, 202, 204}),
        headers={"Content-Type": descriptor.media_type},
        body=raw,
    )
    try:
        async with endpoint.transport.send(request) as response:
            check_stated(response.headers, descriptor.digest, verb="stored")
            return response.headers.get("OCI-Subject") is not None
    except RegistryError as error:
        if error.status != 413:
            raise
        raise LimitExceededError(
            f"the registry refuses the manifest of {len(raw)} bytes as too large",
            hint="split the package, or shorten its annotations",
        ) from error


def _missing(endpoint: Endpoint, name: str, error: RegistryError) -> NotFoundError:
    where = f"{endpoint.registry}/{endpoint.repository}"
    separator = "@" if ":" in name else ":"
    codes = {detail.code for detail in error.details}
    if "NAME_UNKNOWN" in codes:
        message = f"there is no repository {where}"
        hint = "check the spelling; a private repository may need login"
    else:
        message = f"there is no {where}{separator}{name}"
        hint = f"list the tags with: ocipkg-async tags {where}"
    return RegistryNotFoundError(
        message,
        status=error.status,
        method=error.method,
        url=error.url,
        details=error.details,
        hint=hint,
    )
