"""Locations on other hosts, and who gets credentials."""

import ssl

import pytest
import trustme

from ocipkg_async.errors import (
    RedirectError,
    UnauthorizedError,
)
from ocipkg_async.transport import Credential, StaticCredentials
from registry.driving import opened, push_blob, said, scripted
from registry.upload.samples import STORED
from transport.servers import Answer, Seen, serve, text


async def test_s11_a_foreign_upload_location_gets_the_bytes_and_no_credentials() -> None:
    def registry(seen: Seen) -> Answer:
        if seen.authorization is None:
            return text(status=401, WWW_Authenticate='Basic realm="r"')
        return text(status=202, Location=f"{storage.url}/put?sig=a%2Fb")

    async with serve(scripted(PUT=STORED)) as storage, serve(registry) as server:
        stored = StaticCredentials({server.host: Credential(username="u", password="p")})
        async with opened(server.host, credentials=stored) as repository:
            _, data = await push_blob(repository)
    assert [one.authorization is not None for one in server.seen] == [False, True]
    (put,) = storage.seen
    assert put.authorization is None
    assert put.path.startswith("/put?sig=a%2Fb&digest=sha256%3A")
    assert put.body == data


async def test_s11_a_foreign_location_that_asks_for_a_password_is_refused() -> None:
    asking = said(401, WWW_Authenticate='Basic realm="give it to me"')
    async with serve(scripted(PUT=asking, DELETE=asking)) as storage:
        steps = scripted(POST=said(202, Location=f"{storage.url}/put"))
        async with serve(steps) as server:
            stored = StaticCredentials(
                {
                    host: Credential(username="u", password="p")
                    for host in (server.host, storage.host)
                }
            )
            async with opened(server.host, credentials=stored) as repository:
                with pytest.raises(UnauthorizedError):
                    await push_blob(repository)
    assert [(one.method, one.authorization) for one in storage.seen] == [
        ("PUT", None),
        ("DELETE", None),
    ]


async def test_s11_nothing_is_sent_in_the_clear_because_a_registry_says_so() -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with serve(scripted(PUT=STORED)) as storage:
        steps = scripted(POST=said(202, Location=f"{storage.url}/put"))
        async with (
            serve(steps, tls=tls) as server,
            opened(server.host, plain_http=False, insecure=True) as repository,
        ):
            with pytest.raises(RedirectError, match="http"):
                await push_blob(repository)
    assert storage.seen == []
