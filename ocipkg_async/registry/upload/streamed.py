"""Uploading what is read once: its digest is computed on the way, or it cannot be opened again.

The usual way is one streamed PATCH, as container engines do it; chunks, each held in memory, where
asked or where a registry limits a PATCH. Nothing of it can be resumed by a later process.
"""

from ...content import Source
from ...errors import OCIError, RegistryError, TransportError, UnsupportedError
from ...spec import Digest
from ..endpoint import Endpoint
from .chunks import send_chunks
from .open_upload import OpenUpload
from .opening import mismatch, open_session
from .plan import (
    CHUNK_MAX,
    DEMANDED_CHUNK_BYTES,
    MAX_FORMS,
    PATCH,
    SESSION_LOST,
    STREAM,
    WHOLE,
    Refused,
    learn,
    refusal,
)
from .session import UploadSession
from .sources import SentSource


class PatchRefusedError(Exception):
    """The registry takes whole blobs only; it never leaves this folder."""


async def send_stream(
    endpoint: Endpoint,
    sent: SentSource,
    digest: Digest | None,
    *,
    chunk_bytes: int | None,
    session: UploadSession | None = None,
) -> None:
    """Try with a fresh session each time, until it succeeds or the budget of retries is used up.

    Args:
        endpoint: where to.
        sent: the source.
        digest: its digest where it is known.
        chunk_bytes: the chunk size that the user chose, or None.
        session: one that is open already.

    Raises:
        PatchRefusedError: the registry takes no PATCH, and the source can be read again.
        UnsupportedError: the same, and it cannot.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    transport = endpoint.transport
    budget = transport.budget()
    forms = 0
    with transport.limited(budget, what="the upload"):
        while True:
            opened = OpenUpload(endpoint, session or await open_session(endpoint, digest))
            session = None
            chunk = _chunk_bytes(endpoint, opened.session, digest, chunk_bytes)
            try:
                if chunk is not None:
                    rest: Source | bytes = await send_chunks(
                        opened, sent, chunk_bytes=chunk, transport=transport, budget=budget
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
                if digest is not None and (wrong := mismatch(error, digest)) is not None:
                    raise wrong from error
                forms += 1
                if forms < MAX_FORMS and _has_other_form(
                    endpoint, sent, error, chunk=chunk, first=not opened.session.offset
                ):
                    continue
                if not sent.reopenable or not await transport.again(
                    budget, error, action="upload", also=SESSION_LOST
                ):
                    raise
            else:
                return


def _chunk_bytes(
    endpoint: Endpoint, session: UploadSession, digest: Digest | None, wanted: int | None
) -> int | None:
    """Return the size of chunks, or None: all goes in one request."""
    learned = endpoint.memory.capabilities
    if learned.known(PATCH) is False:
        return None
    limited = learned.known(WHOLE if digest is not None else STREAM) is False
    if wanted is None and not limited:
        return None
    chunk = wanted or DEMANDED_CHUNK_BYTES
    return session.held_chunk_bytes(min(chunk, learned.number(CHUNK_MAX) or chunk))


def _has_other_form(
    endpoint: Endpoint, sent: SentSource, error: OCIError, *, chunk: int | None, first: bool
) -> bool:
    """Learn from a refusal; return whether another try has another form.

    Raises:
        PatchRefusedError: no stream has.
        UnsupportedError: the same, and the source cannot be read again.
    """
    learned = endpoint.memory.capabilities
    length = chunk or max(1, sent.read_bytes)
    what = refusal(error, length=length, first=first)
    if what is None or (isinstance(error, RegistryError) and error.method == "PUT"):
        return False
    if what is Refused.UNSIZED and chunk is None:
        learned.learn(STREAM, supported=False)
        return sent.reopenable
    other = learn(what, error, length=length, learned=learned)
    if chunk is None:
        learned.learn(STREAM, supported=False)
    if learned.known(PATCH) is False:
        if not sent.reopenable:
            raise UnsupportedError(
                f"{endpoint.registry} takes whole blobs only, and this one was read already: {error}",
                hint="write it to a file and push the file",
            ) from error
        raise PatchRefusedError from error
    return other and sent.reopenable


def _digest_of(sent: SentSource) -> Digest:
    """Return the digest of what was sent, which must be all there is.

    A registry that answers early has a part; naming that part's digest would make it look whole.
    """
    if not sent.ended:
        raise TransportError("the registry answered before it was sent the whole blob")
    return sent.result[0]
