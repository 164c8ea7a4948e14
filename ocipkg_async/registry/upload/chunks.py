"""Sending a blob as PATCH chunks, taking up where the registry says it stands."""

from ...content import BytesSource, ByteStream, Source
from ...errors import ProtocolError, RegistryError
from ..endpoint import Endpoint
from .session import UploadSession, same_origin

# Rounds without progress before giving up: a server that keeps saying "not yet" never will.
_MAX_ROUNDS = 5


async def send_chunks(
    endpoint: Endpoint, session: UploadSession, source: Source, *, chunk_bytes: int
) -> tuple[UploadSession, Source | None]:
    """Send all but the last chunk.

    One chunk is held in memory.

    Returns:
        the session, and the last chunk, which travels in the closing PUT (D-58); None when there
        is nothing left.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    size = session.chunk_bytes(chunk_bytes)
    async with source.open() as stream:
        chunk = await _read_chunk(stream, size)
        while len(chunk) == size:
            following = await _read_chunk(stream, size)
            if not following:
                break
            session = await _send(endpoint, session, chunk)
            chunk = following
    return session, BytesSource(chunk) if chunk else None


async def _read_chunk(stream: ByteStream, size: int) -> bytes:
    pieces: list[bytes] = []
    length = 0
    while length < size and (data := await stream.read(size - length)):
        pieces.append(data)
        length += len(data)
    return b"".join(pieces)


async def _send(endpoint: Endpoint, session: UploadSession, chunk: bytes) -> UploadSession:
    """Send one chunk whole, in as many requests as the registry makes of it."""
    start, end = session.offset, session.offset + len(chunk)
    rounds = 0
    while session.offset < end:
        before = session.offset
        rest = chunk[session.offset - start :]
        request = endpoint.request(
            "PATCH",
            session.location,
            scopes=endpoint.push,
            accept=frozenset({200, 201, 202, 204}),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": session.content_range(len(rest)),
            },
            body=BytesSource(rest),
            retry=False,
            credentials=_own(endpoint, session),
        )
        try:
            async with endpoint.transport.send(request) as response:
                session = session.accepted(response.url, response.headers, sent=len(rest))
        except RegistryError as error:
            if error.status != 416:
                raise
            session = await _status(endpoint, session, error)
            if not start <= session.offset <= end:
                raise ProtocolError(
                    f"the registry stands at byte {session.offset}, outside the chunk {start} to {end}"
                ) from error
        rounds = rounds + 1 if session.offset <= before else 0
        if rounds >= _MAX_ROUNDS:
            raise ProtocolError(
                f"the upload does not get past byte {session.offset}",
                hint="push without --chunk-size; this registry may not take chunks",
            )
    return session


async def _status(
    endpoint: Endpoint, session: UploadSession, reason: RegistryError
) -> UploadSession:
    """Ask where the upload stands (D-61)."""
    request = endpoint.request(
        "GET",
        session.location,
        scopes=endpoint.push,
        accept=frozenset({200, 204}),
        credentials=_own(endpoint, session),
    )
    async with endpoint.transport.send(request) as response:
        resumed = session.resumed(response.url, response.headers)
    if resumed is None:
        raise reason
    return resumed


def _own(endpoint: Endpoint, session: UploadSession) -> bool:
    return same_origin(session.location, endpoint.transport.base_url(endpoint.registry))
