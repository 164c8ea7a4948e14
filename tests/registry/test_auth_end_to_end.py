"""Passwords, tokens and certificates, against registries that really ask for them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ocipkg_async.content import BytesSource, ByteStream
from ocipkg_async.copy import copy_graph
from ocipkg_async.errors import ConnectError, DeniedError, TransportError, UnauthorizedError
from ocipkg_async.events import Event, Warned
from ocipkg_async.registry import Repository, ping
from ocipkg_async.spec import media_types
from ocipkg_async.transport import Credential, StaticCredentials, Transport
from registries import RunningRegistry
from registry.driving import blob, opened, push_artifact, push_blob, read
from token_server import TokenServer
from transport.servers import Answer, Seen, bearer, quick, serve, text, token

pytestmark = pytest.mark.interop


def known(registry: RunningRegistry, password: str | None = None) -> StaticCredentials:
    credential = Credential(
        username=registry.username or "", password=password or registry.password or ""
    )
    return StaticCredentials({registry.host: credential})


async def round_trip(repository: Repository) -> None:
    """Everything that a registry may ask a password for."""
    descriptor, data = await push_blob(repository, 100_000)
    assert await read(repository, descriptor) == data
    document = await push_artifact(repository)
    await repository.tag(document.descriptor, "v1")
    assert await repository.resolve("v1") == document.descriptor
    assert await repository.tags() == ["v1"]
    attached = await push_artifact(repository, "attached", subject=document.descriptor)
    assert await repository.referrers(document.digest) == [attached.referrer_descriptor]
    await repository.delete(attached.descriptor)


async def test_htpasswd(htpasswd_registry: RunningRegistry, repository_name: str) -> None:
    host = htpasswd_registry.host
    async with opened(host, repository_name, credentials=known(htpasswd_registry)) as repository:
        await round_trip(repository)
    async with Transport(quick(), credentials=known(htpasswd_registry)) as transport:
        await ping(transport, host)


@pytest.mark.parametrize("chunk_bytes", [None, 40_000])
async def test_a_stream_is_pushed_with_a_password(
    htpasswd_registry: RunningRegistry, repository_name: str, chunk_bytes: int | None
) -> None:
    """The first request opens the upload, so a body that can be read once is never refused."""
    descriptor, data = blob(100_000)
    async with opened(
        htpasswd_registry.host,
        repository_name,
        credentials=known(htpasswd_registry),
        chunk_bytes=chunk_bytes,
    ) as repository:
        source = Once(data)
        assert await repository.push_stream(media_types.OCTET_STREAM, source) == descriptor


class Once:
    """A source that can be read once."""

    size = None
    reopenable = False

    def __init__(self, data: bytes) -> None:
        self._data = BytesSource(data)
        self._opened = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        assert not self._opened
        self._opened = True
        async with self._data.open() as stream:
            yield stream


async def test_a_wrong_password_is_refused(
    htpasswd_registry: RunningRegistry, token_registry: RunningRegistry, repository_name: str
) -> None:
    for registry in (htpasswd_registry, token_registry):
        wrong = known(registry, "guess")
        async with opened(registry.host, repository_name, credentials=wrong) as repository:
            with pytest.raises(UnauthorizedError) as caught:
                await push_blob(repository)
            assert caught.value.hint
            assert "guess" not in str(caught.value) + str(caught.value.hint)


async def test_no_password_where_one_is_needed(
    htpasswd_registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(htpasswd_registry.host, repository_name) as repository:
        with pytest.raises(UnauthorizedError):
            await repository.tags()
        with pytest.raises(UnauthorizedError):
            await repository.exists(blob(5)[0])


async def test_a_token_server(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    host = token_registry.host
    async with opened(host, repository_name, credentials=known(token_registry)) as repository:
        await round_trip(repository)
    asked = [scope for request in token_server.requests for scope in request.scopes]
    assert f"repository:{repository_name}:pull,push" in asked
    assert len(asked) <= 4  # one for each need, however many requests


async def test_all_may_pull_from_a_public_repository(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    host = token_registry.host
    async with opened(host, repository_name, credentials=known(token_registry)) as repository:
        document = await push_artifact(repository)
        descriptor, data = await push_blob(repository)
    token_server.requests.clear()
    async with opened(host, repository_name) as anonymous:
        assert await anonymous.resolve(document.digest) == document.descriptor
        assert await read(anonymous, descriptor) == data
        with pytest.raises((UnauthorizedError, DeniedError)):
            await push_blob(anonymous, seed=7)
    assert {request.username for request in token_server.requests} == {None}


async def test_a_stale_password_stops_nobody_from_a_public_pull(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    host = token_registry.host
    async with opened(host, repository_name, credentials=known(token_registry)) as repository:
        document = await push_artifact(repository)
        descriptor, data = await push_blob(repository)
    token_server.requests.clear()
    events: list[Event] = []
    stale = known(token_registry, "forgotten")
    async with opened(
        host, repository_name, credentials=stale, on_event=events.append
    ) as repository:
        assert await repository.resolve(document.digest) == document.descriptor
        assert await read(repository, descriptor) == data
        assert [request.status for request in token_server.requests] == [401, 200]
        with pytest.raises(UnauthorizedError, match="refused the stored credential") as caught:
            await push_blob(repository, seed=7)
    assert f"ocipkg-async logout {host}" in (caught.value.hint or "")
    (warned,) = [event for event in events if isinstance(event, Warned)]
    assert warned.name == host
    assert f"ocipkg-async logout {host}" in warned.text


async def test_a_stale_password_for_a_private_registry_is_named(
    htpasswd_registry: RunningRegistry, repository_name: str
) -> None:
    stale = known(htpasswd_registry, "forgotten")
    async with opened(htpasswd_registry.host, repository_name, credentials=stale) as repository:
        with pytest.raises(UnauthorizedError, match="refused the stored credential") as caught:
            await repository.tags()
    assert "logout" in (caught.value.hint or "")


class Revoking:
    """A registry whose tokens are good until `revoke` is called; its token server is itself."""

    def __init__(self, data: bytes) -> None:
        self.number = 1
        self.asked = 0
        self.refused = 0
        self.stored = b""
        self._data = data

    def revoke(self) -> None:
        self.number += 1

    def answer(self, seen: Seen) -> Answer:
        if seen.path.startswith("/token"):
            self.asked += 1
            return token(f"t{self.number}", expires_in=3600)
        if seen.authorization != f"Bearer t{self.number}":
            self.refused += 1
            error = "invalid_token" if seen.authorization else ""
            return bearer(f"http://{seen.headers['Host']}/token", error=error)
        if seen.method == "GET":
            first = int(seen.headers.get("Range", "=0-").partition("=")[2].partition("-")[0])
            if first:
                return web.Response(
                    status=206,
                    body=self._data[first:],
                    headers={
                        "Content-Range": f"bytes {first}-{len(self._data) - 1}/{len(self._data)}"
                    },
                )
            return web.Response(body=self._data)
        self.stored += seen.body
        return text(status=201 if seen.method == "PUT" else 202, Location="/v2/u/1")


class Opening(Once):
    """A source that calls back when it is opened: then the upload is open already."""

    reopenable = True

    def __init__(self, data: bytes, on_open: Callable[[], None]) -> None:
        super().__init__(data)
        self._on_open = on_open

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ByteStream]:
        self._on_open()
        async with self._data.open() as stream:
            yield stream


@pytest.mark.parametrize("chunk_bytes", [None, 30_000])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_token_that_expires_in_the_middle_of_an_upload_is_renewed(
    chunk_bytes: int | None, streamed: bool
) -> None:
    """The 401 comes to a body that was sent already, so it is sent again, and nothing else is."""
    descriptor, data = blob(100_000)
    registry = Revoking(data)
    calls = iter([registry.revoke])

    def once() -> None:
        next(calls, lambda: None)()

    async with (
        serve(registry.answer) as server,
        opened(server.host, chunk_bytes=chunk_bytes) as repository,
    ):
        if streamed:
            source = Opening(data, once)
            assert await repository.push_stream(media_types.OCTET_STREAM, source) == descriptor
        else:
            await repository.push(descriptor, Opening(data, once))
    assert registry.stored == data
    assert registry.asked == 2
    assert registry.refused == 2
    assert sum("/uploads/" in seen.path for seen in server.seen) == 2  # without a token, and with


async def test_a_token_that_expires_in_the_middle_of_a_download_is_renewed() -> None:
    descriptor, data = blob(100_000)
    registry = Revoking(data)

    async with serve(registry.answer) as server, opened(server.host) as repository:
        assert await read(repository, descriptor) == data
        async with repository.fetch(descriptor) as reader:
            registry.revoke()
            assert await reader.read_all() == data
        assert registry.asked == 1  # what is flowing needs no token
        assert await read(repository, descriptor) == data
    assert registry.asked == 2


async def test_a_mount_asks_for_both_repositories(
    token_registry: RunningRegistry, token_server: TokenServer, repository_name: str
) -> None:
    host, stored = token_registry.host, known(token_registry)
    async with opened(host, repository_name, credentials=stored) as source:
        descriptor, _ = await push_blob(source)
        async with opened(host, repository_name + "/copy", credentials=stored) as target:
            report = await copy_graph(source, target, descriptor)
            assert report.bytes_copied == 0
            assert await target.exists(descriptor)
    assert any(len(request.scopes) == 2 for request in token_server.requests)


async def test_a_certificate_authority_of_ones_own(
    tls_registry: RunningRegistry, repository_name: str
) -> None:
    async with opened(
        tls_registry.host, repository_name, plain_http=False, ca_file=tls_registry.ca_file
    ) as repository:
        await round_trip(repository)
    async with opened(tls_registry.host, repository_name, plain_http=False) as repository:
        with pytest.raises(ConnectError, match="cannot be trusted") as caught:
            await repository.tags()
        assert "ca_file" in (caught.value.hint or "")
    async with opened(
        tls_registry.host,
        repository_name,
        plain_http=False,
        insecure_hosts=frozenset({tls_registry.host}),
    ) as repository:
        assert "v1" in await repository.tags()


async def test_a_client_certificate(
    mutual_tls_registry: RunningRegistry, repository_name: str
) -> None:
    registry = mutual_tls_registry
    async with opened(
        registry.host,
        repository_name,
        plain_http=False,
        ca_file=registry.ca_file,
        client_cert=registry.client_cert_file,
        client_key=registry.client_key_file,
    ) as repository:
        await round_trip(repository)
    async with opened(
        registry.host, repository_name, plain_http=False, ca_file=registry.ca_file
    ) as repository:
        with pytest.raises(TransportError):
            await push_blob(repository)
