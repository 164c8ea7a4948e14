"""Certificates of servers and clients, https to http, hosts that do not speak TLS."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from ocipkg_async.errors import ConnectError, InvalidArgumentError, RedirectError
from ocipkg_async.transport import Request, Transport, TransportOptions
from transport.servers import Seen, get, quick, serve, serve_raw, text


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def server_side(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_s15_an_own_authority_is_trusted_when_named(
    authority: trustme.CA, ca_file: Path
) -> None:
    async with serve(lambda _: text("safe"), tls=server_side(authority)) as server:
        async with Transport(quick(ca_file=ca_file, plain_http=False)) as transport:
            assert (await transport.fetch(get(server), max_bytes=9))[1] == b"safe"
        async with Transport(quick(plain_http=False)) as transport:
            with pytest.raises(ConnectError, match="cannot be trusted") as caught:
                await transport.fetch(get(server), max_bytes=9)
    assert "ca_file" in (caught.value.hint or "")
    assert len(server.seen) == 1


async def test_s15_a_certificate_for_another_name_is_refused(
    authority: trustme.CA, ca_file: Path
) -> None:
    tls = server_side(authority, "other.example")
    options = quick(ca_file=ca_file, plain_http=False)
    async with serve(lambda _: text(), tls=tls) as server, Transport(options) as transport:
        with pytest.raises(ConnectError, match="cannot be trusted"):
            await transport.fetch(get(server), max_bytes=9)
    assert server.seen == []


async def test_s15_insecure_hosts_are_named_one_by_one(authority: trustme.CA) -> None:
    tls = server_side(authority)
    async with serve(lambda _: text("a"), tls=tls) as one, serve(lambda _: text(), tls=tls) as two:
        options = quick(insecure_hosts=frozenset({one.host}), plain_http=False)
        async with Transport(options) as transport:
            assert (await transport.fetch(get(one), max_bytes=9))[1] == b"a"
            with pytest.raises(ConnectError):
                await transport.fetch(get(two), max_bytes=9)
        async with Transport(quick(insecure=True, plain_http=False)) as transport:
            for server in (one, two):
                await transport.fetch(get(server), max_bytes=9)


async def test_s10_https_is_never_left_for_http(authority: trustme.CA, ca_file: Path) -> None:
    async with serve(lambda _: text("read along")) as plain:

        def away(_: Seen) -> web.Response:
            return text(status=307, Location=plain.url)

        async with (
            serve(away, tls=server_side(authority)) as server,
            Transport(quick(ca_file=ca_file, plain_http=False)) as transport,
        ):
            with pytest.raises(RedirectError, match="https to http"):
                await transport.fetch(get(server), max_bytes=9)
    assert plain.seen == []


async def test_a_client_certificate_is_shown_to_the_registry_and_not_to_its_storage(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    client = authority.issue_cert("client@example.org")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    client.cert_chain_pems[0].write_to_path(cert)
    client.private_key_pem.write_to_path(key)
    demanding = server_side(authority)
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(demanding)
    options = quick(ca_file=ca_file, client_cert=cert, client_key=key, plain_http=False)
    async with (
        serve(lambda _: text("in"), tls=demanding) as server,
        serve(lambda _: text(status=307, Location=server.url), tls=demanding) as sending_away,
        Transport(options) as transport,
    ):
        assert (await transport.fetch(get(server), max_bytes=9))[1] == b"in"
        with pytest.raises(Exception, match=r"127\.0\.0\.1"):
            await transport.fetch(get(sending_away, retry=False), max_bytes=9)
    assert len(server.seen) == len(sending_away.seen) == 1


async def test_a_host_that_speaks_plain_http_gets_a_hint() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serve_raw(talk) as server, Transport(quick()) as transport:
        request = Request(method="GET", url=f"https://{server.host}/", registry=server.host)
        with pytest.raises(ConnectError, match="does not speak TLS") as caught:
            await transport.fetch(request, max_bytes=9)
    assert "plain" in (caught.value.hint or "")
    assert server.connections == 1


async def test_files_that_are_no_certificates(tmp_path: Path, authority: trustme.CA) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    async with serve(lambda _: text(), tls=server_side(authority)) as server:
        for options in (
            quick(ca_file=rubbish, plain_http=False),
            quick(ca_file=tmp_path / "missing.pem", plain_http=False),
            quick(client_cert=rubbish, plain_http=False),
        ):
            async with Transport(options) as transport:
                with pytest.raises(InvalidArgumentError, match="cannot be used"):
                    await transport.fetch(get(server), max_bytes=9)


def test_options_that_make_no_sense() -> None:
    for options in (
        {"connections_per_host": 0},
        {"read_timeout_s": 0},
        {"client_key": Path("key.pem")},
    ):
        with pytest.raises(InvalidArgumentError):
            TransportOptions(**options)
