"""Uploading a blob: open a session, send, close; what is left open is cancelled.

Distribution-spec v1.1, "Pushing blobs". The default is one streamed PUT, the form every registry
takes; a streamed PATCH where the digest is known only at the end, as container engines do it;
chunks where asked. A failed PUT or PATCH ends its session on some registries, so a new try always
opens a new one.
"""

from collections.abc import Awaitable, Callable

import anyio

from ...content import Source
from ...errors import DigestMismatchError, OCIError, RegistryError
from ...spec import Descriptor, Digest
from ...transport import Response, Scope
from ..endpoint import Endpoint
from .chunks import send_chunks
from .session import UploadSession, same_origin
from .sources import DigestingSource, SizedSource

# A registry that does not answer a cancellation forgets the session by itself.
_CANCEL_S = 5.0
# What a registry that forgot an upload answers; a new session may go better (D-63).
_SESSION_LOST = frozenset({404, 416})
_OCTETS = {"Content-Type": "application/octet-stream"}
_CLOSED = frozenset({200, 201, 204})
_TAKEN = frozenset({200, 201, 202, 204})


async def upload(
    endpoint: Endpoint,
    descriptor: Descriptor,
    source: Source,
    *,
    chunk_bytes: int | None = None,
    session: UploadSession | None = None,
) -> None:
    """Upload a blob whose digest is known.

    Args:
        endpoint: where to.
        descriptor: what it is.
        source: its bytes; opened again for each try.
        chunk_bytes: send PATCH chunks of this size instead of one PUT.
        session: one that is open already, from a mount that did not succeed.

    Raises:
        IntegrityError: the source's bytes are not what `descriptor` says.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """

    async def once(opened: UploadSession) -> None:
        sized = SizedSource(source, descriptor)
        if chunk_bytes is None:
            await _close(endpoint, opened, descriptor.digest, sized)
        else:
            opened, last = await send_chunks(endpoint, opened, sized, chunk_bytes=chunk_bytes)
            await _close(endpoint, opened, descriptor.digest, last)

    await _attempts(endpoint, source, once, session=session, digest=descriptor.digest)


async def upload_stream(
    endpoint: Endpoint, media_type: str, source: Source, *, chunk_bytes: int | None = None
) -> Descriptor:
    """Upload a blob whose digest is known only at its end; it is computed while sending.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    hashed = DigestingSource(source)

    async def once(opened: UploadSession) -> None:
        if chunk_bytes is None:
            request = endpoint.request(
                "PATCH",
                opened.location,
                scopes=endpoint.push,
                accept=_TAKEN,
                headers=_OCTETS,
                body=hashed,
                retry=False,
                credentials=_own(endpoint, opened.location),
            )
            async with endpoint.transport.send(request) as response:
                opened = opened.accepted(response.url, response.headers, sent=hashed.result[1])
            await _close(endpoint, opened, hashed.result[0], None)
        else:
            opened, last = await send_chunks(endpoint, opened, hashed, chunk_bytes=chunk_bytes)
            await _close(endpoint, opened, hashed.result[0], last)

    await _attempts(endpoint, source, once)
    digest, size = hashed.result
    return Descriptor(media_type=media_type, digest=digest, size=size)


async def mount(
    endpoint: Endpoint, descriptor: Descriptor, from_repository: str
) -> UploadSession | None:
    """Ask to take a blob over from another repository of the registry (D-70, D-72).

    Returns:
        None when it is here now, else an open session to push it with.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    scope = Scope.repository(from_repository, "pull")
    url = endpoint.url("blobs/uploads/", mount=descriptor.digest, **{"from": from_repository})
    # The push scope comes first: some servers read only one.
    request = endpoint.request(
        "POST", url, scopes=(*endpoint.push, scope), accept=frozenset({201, 202}), body=b""
    )
    async with endpoint.transport.send(request) as response:
        if response.status == 201:
            return None
        return UploadSession.opened(response.url, response.headers)


async def _attempts(
    endpoint: Endpoint,
    source: Source,
    once: Callable[[UploadSession], Awaitable[None]],
    *,
    session: UploadSession | None = None,
    digest: Digest | None = None,
) -> None:
    """Run `once` with a fresh session until it succeeds or the budget of retries is used up."""
    budget = endpoint.transport.budget()
    while True:
        opened = session or await _open(endpoint)
        session = None
        try:
            await once(opened)
        except BaseException as error:
            await _cancel(endpoint, opened)
            if not isinstance(error, OCIError):
                raise
            if digest is not None:
                _raise_if_mismatch(error, digest)
            if not source.reopenable or not await endpoint.transport.again(
                budget, error, action="upload", also=_SESSION_LOST
            ):
                raise
        else:
            return


async def _open(endpoint: Endpoint) -> UploadSession:
    request = endpoint.request(
        "POST",
        endpoint.url("blobs/uploads/"),
        scopes=endpoint.push,
        accept=frozenset({202}),
        body=b"",
    )
    async with endpoint.transport.send(request) as response:
        return UploadSession.opened(response.url, response.headers)


async def _close(
    endpoint: Endpoint, opened: UploadSession, digest: Digest, body: Source | None
) -> None:
    headers = dict(_OCTETS)
    if body is not None and opened.offset and body.size:
        headers["Content-Range"] = opened.content_range(body.size)
    request = endpoint.request(
        "PUT",
        opened.closing_url(digest),
        scopes=endpoint.push,
        accept=_CLOSED,
        headers=headers,
        body=body if body is not None else b"",
        retry=False,
        credentials=_own(endpoint, opened.location),
    )
    async with endpoint.transport.send(request) as response:
        _check_digest(response, digest)


def _check_digest(response: Response, digest: Digest) -> None:
    """Compare the digest the registry stored with ours, where it says one of the same kind (D-65)."""
    said = response.headers.get("Docker-Content-Digest")
    if said and said != digest and said.partition(":")[0] == digest.algorithm:
        raise DigestMismatchError(
            f"the registry stored {said} instead of {digest}", expected=digest, actual=said
        )


def _raise_if_mismatch(error: OCIError, digest: Digest) -> None:
    if isinstance(error, RegistryError) and error.status == 400:
        codes = {detail.code for detail in error.details}
        if codes & {"DIGEST_INVALID", "SIZE_INVALID"}:
            raise DigestMismatchError(
                f"the registry found that the uploaded content is not {digest}",
                expected=digest,
                actual="another digest",
                hint="the source changed while it was read, or its digest is wrong; push it again",
            ) from error


async def _cancel(endpoint: Endpoint, opened: UploadSession) -> None:
    """Tell the registry to forget a session, as far as it can be told (D-64)."""
    request = endpoint.request(
        "DELETE",
        opened.location,
        scopes=endpoint.push,
        accept=frozenset({200, 202, 204, 404, 405}),
        retry=False,
        credentials=_own(endpoint, opened.location),
    )
    with anyio.move_on_after(_CANCEL_S, shield=True):
        try:
            async with endpoint.transport.send(request):
                pass
        except OCIError:
            return  # the failure that led here is the one to report


def _own(endpoint: Endpoint, location: str) -> bool:
    """Whether a location belongs to the registry, which alone gets its credentials (S-11)."""
    return same_origin(location, endpoint.transport.base_url(endpoint.registry))
