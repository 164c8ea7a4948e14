"""Sending a source that is read once as PATCH chunks, each held in memory until it arrived."""

from ...content import ByteStream, Source
from ...errors import OCIError, ProtocolError, RegistryError, TransportError
from ...transport import RetryBudget, Transport
from .open_upload import OpenUpload
from .plan import refusal

# Rounds without progress before giving up: a server that keeps saying "not yet" never will.
_MAX_ROUNDS = 5
# How much is read to see whether a full chunk was the last.
_AHEAD_BYTES = 1 << 20


async def send_chunks(
    upload: OpenUpload,
    source: Source,
    *,
    chunk_bytes: int,
    transport: Transport,
    budget: RetryBudget,
) -> bytes:
    """Send all but the last chunk.

    A chunk is held in memory, twice for a moment; `Parts` is for sources that can be opened again.

    Returns:
        the last chunk, which travels in the closing PUT (D-58).

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    async with source.open() as stream:
        ahead = b""
        while True:
            chunk = await _fill(stream, ahead, chunk_bytes)
            if len(chunk) < chunk_bytes:
                return chunk
            ahead = await stream.read(min(chunk_bytes, _AHEAD_BYTES))
            if not ahead:
                return chunk
            await _send(upload, chunk, transport, budget)


async def _fill(stream: ByteStream, ahead: bytes, size: int) -> bytes:
    pieces, length = [ahead], len(ahead)
    while length < size and (data := await stream.read(size - length)):
        pieces.append(data)
        length += len(data)
    return b"".join(pieces)


async def _send(
    upload: OpenUpload, chunk: bytes, transport: Transport, budget: RetryBudget
) -> None:
    """Send one chunk whole, in as many requests as the registry makes of it."""
    start, end = upload.session.offset, upload.session.offset + len(chunk)
    rounds, furthest = 0, start
    while upload.session.offset < end:
        before = upload.session.offset
        try:
            await upload.add_chunk(chunk[before - start :])
        except (RegistryError, TransportError) as error:
            if refusal(error, length=len(chunk), first=not start) is not None:
                raise  # of its form: it would be refused anywhere
            await _find_place(upload, error, transport, budget)
            if upload.session.offset < start:
                raise  # it lost earlier chunks, which are not at hand: only a new session helps
            if upload.session.offset > end:
                raise ProtocolError(
                    f"the registry says it has {upload.session.offset} bytes; {end} were sent"
                ) from error
        # A place that goes back and forth is no progress.
        rounds = rounds + 1 if upload.session.offset <= furthest else 0
        furthest = max(furthest, upload.session.offset)
        if rounds >= _MAX_ROUNDS:
            raise ProtocolError(
                f"the upload does not get past byte {before}",
                hint="push without --chunk-size; this registry may not take chunks",
            )


async def _find_place(
    upload: OpenUpload,
    error: RegistryError | TransportError,
    transport: Transport,
    budget: RetryBudget,
) -> None:
    """Let the registry say where it stands after a chunk failed; else raise `error`."""
    misplaced = isinstance(error, RegistryError) and error.status == 416
    if not misplaced and not await transport.again(budget, error, action="upload"):
        raise error
    try:
        known = await upload.ask()
    except OCIError as gone:
        raise error from gone
    if not known:
        raise error
