"""A blob as one streamed GET, verified while it arrives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...content import BlobReader
from ...spec import Descriptor
from ..endpoint import Endpoint


@asynccontextmanager
async def open_blob(endpoint: Endpoint, descriptor: Descriptor) -> AsyncIterator[BlobReader]:
    """Open a blob for reading from its first byte (D-31).

    Raises:
        NotFoundError: the repository does not have it.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    request = endpoint.request(
        "GET", endpoint.url(f"blobs/{descriptor.digest}"), scopes=endpoint.pull
    )
    async with endpoint.transport.send(request) as response:
        yield BlobReader(response.body, descriptor)
