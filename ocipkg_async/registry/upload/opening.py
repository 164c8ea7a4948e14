"""Small requests around an upload: open it, look whether the blob is there, read a refusal."""

from ...errors import DigestMismatchError, OCIError, RegistryError
from ...spec import Descriptor, Digest
from ..endpoint import Endpoint
from .plan import CHUNK_MIN
from .session import UploadSession


async def open_session(endpoint: Endpoint, digest: Digest | None) -> UploadSession:
    """Open an upload.

    Raises:
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
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
        session = UploadSession.opened(response.url, response.headers)
    if session.min_chunk_bytes:
        endpoint.memory.capabilities.learn_number(CHUNK_MIN, session.min_chunk_bytes)
    return session


async def is_there(endpoint: Endpoint, descriptor: Descriptor) -> bool:
    """Whether the repository has a blob; False where it does not tell."""
    request = endpoint.request(
        "HEAD",
        endpoint.url(f"blobs/{descriptor.digest}"),
        scopes=endpoint.pull,
        accept=frozenset({200, 404}),
        retry=False,
    )
    try:
        async with endpoint.transport.send(request) as response:
            return response.status == 200
    except OCIError:
        return False


def mismatch(error: OCIError, digest: Digest) -> DigestMismatchError | None:
    """Return what a registry's refusal means that says to have got other bytes, or None."""
    if not isinstance(error, RegistryError) or error.status != 400:
        return None
    if not {detail.code for detail in error.details} & {"DIGEST_INVALID", "SIZE_INVALID"}:
        return None
    return DigestMismatchError(
        f"the registry found that the uploaded content is not {digest}",
        expected=digest,
        actual="another digest",
        hint="the source changed while it was read, or its digest is wrong; push it again",
    )
