"""Uploading a blob: open a session, send, close; what is left open is cancelled.

Distribution-spec v1.1, "Pushing blobs". The default is one streamed PUT, the form every registry
takes; a streamed PATCH where the digest is known only at the end, as container engines do it;
chunks where asked. A failed PUT ends its session on some registries, and a failed stream cannot be
taken up in the middle, so a new try opens a new session; failed chunks go on where they can.
"""

from ...content import Source
from ...errors import DigestMismatchError, OCIError, RegistryError, TransportError
from ...spec import Descriptor, Digest
from ...transport import Scope
from ..endpoint import Endpoint
from .chunks import send_chunks
from .open_upload import OpenUpload
from .session import UploadSession
from .sources import SentSource

# What a registry that forgot an upload answers; a new session may go better (D-63).
_SESSION_LOST = frozenset({404, 416})


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
    sent = SentSource(source, descriptor)
    await _repeat(endpoint, sent, descriptor.digest, chunk_bytes=chunk_bytes, session=session)


async def upload_stream(
    endpoint: Endpoint, media_type: str, source: Source, *, chunk_bytes: int | None = None
) -> Descriptor:
    """Upload a blob whose digest is known only at its end; it is computed while sending.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    sent = SentSource(source)
    await _repeat(endpoint, sent, None, chunk_bytes=chunk_bytes)
    digest, size = sent.result
    return Descriptor(media_type=media_type, digest=digest, size=size)


async def mount(
    endpoint: Endpoint, descriptor: Descriptor, from_repository: str
) -> UploadSession | None:
    """Ask to take a blob over from another repository of the registry (D-70, D-72).

    It is asked once: whoever is refused pushes the blob.

    Returns:
        None when it is here now, else an open session to push it with.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    scope = Scope.repository(from_repository, "pull")
    url = endpoint.url("blobs/uploads/", mount=descriptor.digest, **{"from": from_repository})
    # The push scope comes first: some servers read only one.
    request = endpoint.request(
        "POST",
        url,
        scopes=(*endpoint.push, scope),
        accept=frozenset({201, 202}),
        body=b"",
        retry=False,
    )
    async with endpoint.transport.send(request) as response:
        if response.status == 201:
            return None
        return UploadSession.opened(response.url, response.headers)


async def _repeat(
    endpoint: Endpoint,
    sent: SentSource,
    digest: Digest | None,
    *,
    chunk_bytes: int | None,
    session: UploadSession | None = None,
) -> None:
    """Try with a fresh session each time, until it succeeds or the budget of retries is used up."""
    transport = endpoint.transport
    budget = transport.budget()
    while True:
        opened = OpenUpload(endpoint, session or await _open(endpoint, digest))
        session = None
        try:
            size = opened.session.chunk_bytes(chunk_bytes) if chunk_bytes else None
            if size is not None:
                rest: Source | bytes = await send_chunks(
                    opened, sent, chunk_bytes=size, transport=transport, budget=budget
                )
            elif digest is not None:
                rest = sent
            else:
                rest = b""
                await opened.add_all(sent)
            await opened.close(digest or _digest_of(sent), rest)
        except BaseException as error:
            await opened.cancel()
            # A source that is a registry made its own retries.
            if not isinstance(error, OCIError) or error is sent.failure:
                raise
            if digest is not None:
                _raise_if_mismatch(error, digest)
            if not sent.reopenable or not await transport.again(
                budget, error, action="upload", also=_SESSION_LOST
            ):
                raise
        else:
            return


async def _open(endpoint: Endpoint, digest: Digest | None) -> UploadSession:
    other = digest is not None and digest.algorithm != "sha256"
    # Without it a registry would have to hash the blob a second time (D-66).
    query = {"digest-algorithm": digest.algorithm} if digest is not None and other else {}
    request = endpoint.request(
        "POST",
        endpoint.url("blobs/uploads/", **query),
        scopes=endpoint.push,
        accept=frozenset({202}),
        body=b"",
    )
    async with endpoint.transport.send(request) as response:
        return UploadSession.opened(response.url, response.headers)


def _digest_of(sent: SentSource) -> Digest:
    """Return the digest of what was sent, which must be all there is.

    A registry that answers early has a part; naming that part's digest would make it look whole.
    """
    if not sent.ended:
        raise TransportError("the registry answered before it was sent the whole blob")
    return sent.result[0]


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
