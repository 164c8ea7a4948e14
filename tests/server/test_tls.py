"""HTTPS from PEM files: which are taken, how faults are told, and new ones while it runs."""

import os
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import anyio
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from cli.running import run
from ocipkg_async.errors import InvalidArgumentError
from ocipkg_async.server import Access, EmbeddedRegistry, Limits, TLSFiles, sending
from registries import Certificates
from server.driving import REPOSITORY, Driver, blob_url, manifest_url
from server.login import USERS, KnownDriver, basic, challenge, until


@pytest.fixture
def files(certificates: Certificates) -> TLSFiles:
    return TLSFiles(certificate=certificates.server_cert_file, key=certificates.server_key_file)


def trusting(*authorities: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for authority in authorities:
        context.load_verify_locations(authority)
    return context


def over_tls(registry: EmbeddedRegistry, context: ssl.SSLContext) -> Driver:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, force_close=True), auto_decompress=False
    )
    return Driver(session, registry.url)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_registry_over_tls(
    files: TLSFiles, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    """Blobs of both sizes, in and out, with passwords."""
    context = trusting(certificates.ca_file)
    context.minimum_version = context.maximum_version = version
    async with EmbeddedRegistry(tls=files, access=Access(users=USERS)) as registry:
        assert registry.url == f"https://{registry.host}"
        driver = over_tls(registry, context)
        async with driver.session:
            assert (await driver("GET", "/v2/")).status == 401
            user = KnownDriver(driver, basic())
            for size in (1000, sending.SMALL_BYTES + 1000, 5_000_000):
                data = os.urandom(size)
                digest = await user.push_blob(data)
                assert (await user("GET", blob_url(digest))).body == data
                part = await user("GET", blob_url(digest), headers={"Range": "bytes=500-899"})
                assert (part.status, part.body) == (206, data[500:900])


async def test_challenge_leads_back_over_tls(files: TLSFiles, certificates: Certificates) -> None:
    access = Access(users=USERS, tokens=True)
    async with EmbeddedRegistry(tls=files, access=access) as registry:
        driver = over_tls(registry, trusting(certificates.ca_file))
        async with driver.session:
            _, parameters = challenge(await driver("GET", "/v2/"))
            assert parameters["realm"] == f"https://{registry.host}/token"


async def test_older_tls_is_refused(
    files: TLSFiles, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    old = trusting(certificates.ca_file)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with EmbeddedRegistry(tls=files) as registry:
        driver = over_tls(registry, old)
        async with driver.session:
            with pytest.raises(aiohttp.ClientError):
                await driver("GET", "/v2/")
    assert caplog.records == []


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
async def test_plain_http_is_told_to_come_over_tls(
    files: TLSFiles, certificates: Certificates, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    async with EmbeddedRegistry(tls=files) as registry:
        driver = Driver(aiohttp.ClientSession(), f"http://{registry.host}")
        async with driver.session:
            answer = await driver("POST", f"/v2/{REPOSITORY}/blobs/uploads/", data=bytes(size))
            assert answer.status == 400
            assert "https" in answer.json["errors"][0]["message"]
        driver = over_tls(registry, trusting(certificates.ca_file))
        async with driver.session:
            assert (await driver("GET", "/v2/")).status == 200
    assert caplog.records == []


async def test_silent_and_garbled_connections_keep_no_others_out(
    files: TLSFiles, certificates: Certificates
) -> None:
    """Before TLS: who says nothing, who leaves at once, and who never stops, when places are few."""
    limits = Limits(connections=2)
    async with EmbeddedRegistry(tls=files, limits=limits) as registry, AsyncExitStack() as stack:
        host, _, port = registry.host.rpartition(":")
        for said in (b"", b"G", b"\x16", b"\x00\x01", b"GET / HTTP/1.1\r\n"):
            stream = await anyio.connect_tcp(host, int(port))
            stack.push_async_callback(stream.aclose)
            await stream.send(said)
        await (await anyio.connect_tcp(host, int(port))).aclose()
        driver = over_tls(registry, trusting(certificates.ca_file))
        async with driver.session:
            with anyio.fail_after(60):
                assert (await driver("GET", "/v2/")).status == 200


async def test_clients_show_a_certificate_where_it_is_asked_for(
    files: TLSFiles, certificates: Certificates
) -> None:
    mutual = replace(files, client_ca=certificates.ca_file)
    EmbeddedRegistry(host="0.0.0.0", tls=mutual)  # noqa: S104 - it is not open to everybody
    async with EmbeddedRegistry(tls=mutual) as registry:
        context = trusting(certificates.ca_file)
        driver = over_tls(registry, context)
        async with driver.session:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await driver("GET", "/v2/")
            context.load_cert_chain(certificates.client_cert_file, certificates.client_key_file)
            assert (await driver("GET", "/v2/")).status == 200


def no_file(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    missing = folder / "missing.pem"
    return replace(files, certificate=missing), missing, "No such file"


def no_key(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    missing = folder / "missing.pem"
    return replace(files, key=missing), missing, "No such file"


def swapped(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    return TLSFiles(certificate=files.key, key=files.certificate), files.key, "no certificate"


def key_is_certificate(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    return replace(files, key=files.certificate), files.certificate, "no private key"


def other_key(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    other = folder / "other.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(other)
    return replace(files, key=other), other, "not the key of"


def encrypted_key(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    locked = folder / "locked.pem"
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    return replace(files, key=locked), locked, "encrypted"


def damaged(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    file = folder / "damaged.pem"
    file.write_text(files.certificate.read_text().replace("M", "N"))
    return replace(files, certificate=file), file, "PEM"


def no_authority(folder: Path, files: TLSFiles) -> tuple[TLSFiles, Path, str]:
    return replace(files, client_ca=files.key), files.key, "no certificate"


@pytest.mark.parametrize(
    "fault",
    [no_file, no_key, swapped, key_is_certificate, other_key, encrypted_key, damaged, no_authority],
)
async def test_file_that_cannot_be_used_is_named(
    tmp_path: Path,
    files: TLSFiles,
    fault: Callable[[Path, TLSFiles], tuple[TLSFiles, Path, str]],
) -> None:
    broken, culprit, reason = fault(tmp_path, files)
    with pytest.raises(InvalidArgumentError, match=reason) as caught:
        async with EmbeddedRegistry(tls=broken):
            pass
    assert f"cannot use {culprit} " in str(caught.value)
    assert caught.value.hint


async def test_renewed_certificate_is_used_without_a_restart(
    tmp_path: Path, files: TLSFiles, certificates: Certificates
) -> None:
    """Connections that are open stay; a pair that does not match has no effect."""
    own = TLSFiles(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    own.certificate.write_bytes(files.certificate.read_bytes())
    own.key.write_bytes(files.key.read_bytes())
    renewed = trustme.CA()
    authority = tmp_path / "ca.pem"
    renewed.cert_pem.write_to_path(authority)
    issued = renewed.issue_cert("127.0.0.1")
    warnings: list[str] = []

    async def warned() -> bool:
        return bool(warnings)

    async def trusted(context: ssl.SSLContext) -> bool:
        driver = over_tls(registry, context)
        async with driver.session:
            try:
                return (await driver("GET", "/v2/")).status == 200
            except aiohttp.ClientConnectorCertificateError:
                return False

    async with EmbeddedRegistry(tls=own, on_warning=warnings.append) as registry:
        old = trusting(certificates.ca_file)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=old))
        async with session:
            kept = Driver(session, registry.url)
            await kept.push_manifest("v1")
            issued.private_key_pem.write_to_path(own.key)
            await until(warned)
            assert str(own.key) in warnings[0]
            assert await trusted(old)
            own.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
            new = trusting(authority)
            await until(lambda: trusted(new))
            assert not await trusted(old)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                named = trusting(authority)
                named.minimum_version = named.maximum_version = version
                assert await trusted(named)
            assert (await kept("GET", manifest_url("v1"))).status == 200
        assert len(warnings) == 1


async def test_our_command_over_tls_on_loopback(
    tmp_path: Path,
    files: TLSFiles,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    async with EmbeddedRegistry(tls=files, access=Access(users=USERS)) as registry:
        secure = ("--https", "--ca-file", str(certificates.ca_file))
        name = f"{registry.host}/{REPOSITORY}:v1"
        run_in = anyio.to_thread.run_sync

        def use() -> None:
            run("login", registry.host, "-u", "alice", "--password-stdin", *secure,
                stdin=USERS["alice"])  # fmt: skip
            run("push", name, "notes.txt", *secure)
            run("pull", name, "-o", "out", *secure)

        await run_in(use)
    assert (tmp_path / "out" / "notes.txt").read_text() == "hello"
