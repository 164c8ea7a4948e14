"""A registry: what is asked of the host, not of one repository."""

from ..errors import ProtocolError, RegistryError
from ..transport import Request, Scope, Transport
from . import pages
from .endpoint import Endpoint


async def ping(transport: Transport, registry: str) -> None:
    """Check that a registry is there and takes the credentials at hand (D-20, A-28).

    Args:
        transport: sends the request.
        registry: host[:port].

    Raises:
        UnauthorizedError: it wants other credentials.
        ProtocolError: the host speaks HTTP but is no OCI registry.
        RegistryError, TransportError: the registry refused, or could not be reached.
    """
    request = Request(method="GET", url=f"{transport.base_url(registry)}/v2/", registry=registry)
    try:
        async with transport.send(request):
            return
    except RegistryError as error:
        if error.status != 404:
            raise
        raise ProtocolError(
            f"{registry} answers, but it is not an OCI registry: it has no /v2/",
            hint="check the host and the port",
        ) from error


async def catalog(transport: Transport, registry: str) -> list[str]:
    """Return the names of all repositories, sorted, on registries that tell.

    Raises:
        RegistryError, TransportError: the registry refused (many do), or could not be reached.
    """
    endpoint = Endpoint(transport=transport, registry=registry, repository="")
    scopes = (Scope.catalog(),)
    url = f"{transport.base_url(registry)}/v2/_catalog"
    found: set[str] = set()
    async for raw, _ in pages.pages(endpoint, url, scopes=scopes, what="repositories"):
        found.update(pages.names(raw, "repositories"))
    return sorted(found)
