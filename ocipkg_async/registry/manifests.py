"""Manifests and indexes on a registry (distribution-spec v1.1, "Pulling manifests", "Pushing manifests")."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..content import BlobReader
from ..content.reader import BytesStream
from ..errors import (
    DigestMismatchError,
    InvalidDigestError,
    LimitExceededError,
    NotFoundError,
    ProtocolError,
    RegistryError,
    RegistryNotFoundError,
)
from ..spec import Descriptor, Digest, media_types, parse_document
from ..transport import Response
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
    return found or (await _get(endpoint, name, max_bytes=max_bytes))


def _described(response: Response, name: str) -> Descriptor | None:
    """Read a descriptor from the headers of a HEAD; None where they do not say enough."""
    digest_text = response.headers.get("Docker-Content-Digest")
    length = response.headers.get("Content-Length") or ""
    media_type = media_types.without_parameters(response.headers.get("Content-Type") or "")
    if not digest_text or not length.isdigit() or not media_types.is_document(media_type):
        return None
    digest = _parse(digest_text)
    if ":" in name and digest.algorithm == name.partition(":")[0] and digest != name:
        raise DigestMismatchError(
            f"the registry answered {digest} when asked for {name}", expected=name, actual=digest
        )
    wanted = Digest(name) if ":" in name else digest
    return Descriptor(media_type=media_type, digest=wanted, size=int(length))


async def _get(endpoint: Endpoint, name: str, *, max_bytes: int) -> Descriptor:
    """Resolve by reading the manifest and hashing it."""
    request = endpoint.request(
        "GET", endpoint.url(f"manifests/{name}"), scopes=endpoint.pull, headers={"Accept": _ACCEPT}
    )
    try:
        response, raw = await endpoint.transport.fetch(request, max_bytes=max_bytes)
    except RegistryNotFoundError as error:
        raise _missing(endpoint, name, error) from error
    content_type = response.headers.get("Content-Type")
    wanted = name if ":" in name else response.headers.get("Docker-Content-Digest")
    digest = Digest.of(raw, _parse(wanted).algorithm if wanted else "sha256")
    if wanted and digest != wanted:
        raise DigestMismatchError(
            f"the manifest {name} has the digest {digest}, not {wanted}",
            expected=wanted,
            actual=digest,
        )
    return parse_document(raw, media_type=content_type, digest=digest).descriptor


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
        # One byte more than announced, so that the reader sees that it is too long.
        response, raw = await endpoint.transport.fetch(request, max_bytes=descriptor.size + 1)
    except RegistryNotFoundError as error:
        raise _missing(endpoint, digest, error) from error
    said = response.headers.get("Docker-Content-Digest")
    if said and said != digest and said.partition(":")[0] == digest.algorithm:
        raise DigestMismatchError(
            f"the registry answered {said[:150]} when asked for {digest}",
            expected=digest,
            actual=said,
        )
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
            said = response.headers.get("Docker-Content-Digest")
            subject = response.headers.get("OCI-Subject")
    except RegistryError as error:
        if error.status != 413:
            raise
        raise LimitExceededError(
            f"the registry refuses the manifest of {len(raw)} bytes as too large",
            hint="split the package, or shorten its annotations",
        ) from error
    same_kind = said and said.partition(":")[0] == descriptor.digest.algorithm
    if same_kind and said != descriptor.digest:
        raise DigestMismatchError(
            f"the registry stored {said} instead of {descriptor.digest}",
            expected=descriptor.digest,
            actual=said or "",
        )
    return subject is not None


def _parse(text: str) -> Digest:
    try:
        return Digest(text)
    except InvalidDigestError as error:
        raise ProtocolError(f"the registry sent a digest header that is none: {error}") from error


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
