"""Uploading a blob in the way that suits its source and its registry; what is left open is cancelled.

Distribution-spec v1.1, "Pushing blobs". The default is one streamed PUT, the form every registry
takes; a streamed PATCH where the digest is known only at the end, as container engines do it;
chunks where asked, where a registry demands them, or where an upload is to be resumable.
"""

from contextlib import AsyncExitStack

from ...content import Source
from ...spec import Descriptor
from ...transport import Scope
from ..endpoint import Endpoint
from ..options import TransferOptions
from .kept import default_folder, kept_upload
from .known import KnownUpload
from .open_upload import OpenUpload
from .parts import Parts
from .plan import PATCH
from .session import UploadSession
from .sources import SentSource
from .spool import measured
from .streamed import PatchRefusedError, send_stream

KEPT_BYTES = 8 << 20
"""Smaller blobs are not worth a file: sending them again costs less than the trouble."""


async def upload(
    endpoint: Endpoint,
    descriptor: Descriptor,
    source: Source,
    *,
    options: TransferOptions,
    session: UploadSession | None = None,
) -> None:
    """Upload a blob whose digest is known.

    Args:
        endpoint: where to.
        descriptor: what it is.
        source: its bytes; opened again for each try, at the place from where they are needed.
        options: how blobs move.
        session: one that is open already, from a mount that did not succeed.

    Raises:
        IntegrityError: the source's bytes are not what `descriptor` says.
        RegistryError, TransportError: the registry refused, or could not be reached.
        StorageError: unfinished uploads are to be kept, and the folder for that cannot be used.
    """
    if not source.reopenable:
        sent = SentSource(source, descriptor)
        await send_stream(
            endpoint, sent, descriptor.digest, chunk_bytes=options.chunk_bytes, session=session
        )
        return
    async with AsyncExitStack() as stack:
        kept = None
        if options.resume_uploads and descriptor.size >= KEPT_BYTES:
            try:
                kept = await stack.enter_async_context(
                    kept_upload(
                        options.state or default_folder(),
                        registry=endpoint.registry,
                        repository=endpoint.repository,
                        descriptor=descriptor,
                    )
                )
            except BaseException:
                if session is not None:
                    await OpenUpload(endpoint, session).cancel()
                raise
        parts = Parts(source, descriptor)
        await KnownUpload(
            endpoint, descriptor, parts, options=options, session=session, kept=kept
        ).run()


async def upload_stream(
    endpoint: Endpoint, media_type: str, source: Source, *, options: TransferOptions
) -> Descriptor:
    """Upload a blob whose digest is known only at its end; it is computed while sending.

    A registry that takes whole blobs only gets it after it was read once, where need be into a
    temporary file.

    Raises:
        UnsupportedError: the registry turned out to be such a one when a source that can be read
            only once was read already.
        RegistryError, TransportError: the registry refused, or could not be reached.
        DiskFullError, StorageError: the temporary file cannot be written.
    """
    if endpoint.memory.capabilities.known(PATCH) is not False:
        sent = SentSource(source)
        try:
            await send_stream(endpoint, sent, None, chunk_bytes=options.chunk_bytes)
        except PatchRefusedError:
            pass
        else:
            digest, size = sent.result
            return Descriptor(media_type=media_type, digest=digest, size=size)
    async with measured(media_type, source) as (descriptor, again):
        await upload(endpoint, descriptor, again, options=options)
        return descriptor


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
