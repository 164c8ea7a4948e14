"""Names are judged by what they resolve to, too (S-13). The system's table of hosts is the name server."""

import socket

import pytest

from ocipkg_async.errors import RedirectError
from ocipkg_async.transport import Request, Transport
from ocipkg_async.transport.resolver import GuardedResolver, guard
from transport.servers import quick, serve, text

NOBODY = frozenset[str]()


async def resolved(resolver: GuardedResolver, host: str) -> list[str]:
    return [one["host"] for one in await resolver.resolve(host, 443, socket.AF_INET)]


async def test_s13_a_name_that_leads_inside_is_refused() -> None:
    resolver = GuardedResolver()
    with guard("r.example", NOBODY), pytest.raises(RedirectError, match="internal") as caught:
        await resolved(resolver, "localhost")
    assert "r.example" in str(caught.value)


async def test_the_registrys_own_name_may_lead_anywhere() -> None:
    resolver = GuardedResolver()
    with guard("localhost", NOBODY):
        assert await resolved(resolver, "localhost") == ["127.0.0.1"]


async def test_a_registry_inside_may_lead_to_others_inside() -> None:
    resolver = GuardedResolver()
    for registry in ("10.0.0.1", "127.0.0.1", "localhost"):
        with guard(registry, NOBODY):
            assert await resolved(resolver, "localhost") == ["127.0.0.1"]


async def test_allowed_hosts_and_proxies_are_not_judged() -> None:
    resolver = GuardedResolver()
    for allowed in ("localhost", "localhost:443"):
        with guard("r.example", frozenset({allowed})):
            assert await resolved(resolver, "localhost") == ["127.0.0.1"]
    with guard(None, NOBODY):
        assert await resolved(resolver, "localhost") == ["127.0.0.1"]
    assert await resolved(resolver, "localhost") == ["127.0.0.1"]


async def test_s13_the_guard_stands_in_the_way_of_requests() -> None:
    """As if r.example had redirected to a name that it controls."""
    async with serve(lambda _: text("inside")) as server, Transport(quick()) as transport:
        url = f"http://localhost:{server.port}/"
        request = Request(method="GET", url=url, registry="r.example", credentials=False)
        with pytest.raises(RedirectError):
            await transport.fetch(request, max_bytes=10)
        own = Request(method="GET", url=url, registry=f"localhost:{server.port}")
        assert (await transport.fetch(own, max_bytes=10))[1] == b"inside"
    assert len(server.seen) == 1
