"""A registry that asks who one is: user and password, and reading without (Basic)."""

import asyncio
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from ocipkg_async import ArtifactFile, Client, Credential, StaticCredentials
from ocipkg_async.errors import InvalidArgumentError, UnauthorizedError
from ocipkg_async.server import Access, EmbeddedRegistry
from ocipkg_async.spec import Digest
from peers import require
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest, manifest_url, raw_request
from server.login import USERS, KnownDriver, basic, challenge, known

UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"
TAGS = f"/v2/{REPOSITORY}/tags/list"
BASIC = ("basic", {"realm": "OCI registry", "charset": "UTF-8"})


@pytest.fixture
async def closed(start: Start) -> Driver:
    """Nothing without user and password."""
    return await start(access=Access(users=USERS))


@pytest.fixture
async def public(start: Start) -> Driver:
    """All may read."""
    return await start(access=Access(users=USERS, anonymous_pull=True))


def requests_of(document: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Requests that read what `document` and its parts are, and requests that write."""
    blob = blob_url(document.layers[0].digest)
    read = [
        (method, path)
        for path in (manifest_url("v1"), blob, TAGS, "/v2/_catalog", "/",
                     f"/v2/{REPOSITORY}/referrers/{document.digest}")
        for method in ("GET", "HEAD")
    ]  # fmt: skip
    write = [
        ("POST", UPLOADS),
        ("GET", f"{UPLOADS}0"),
        ("PATCH", f"{UPLOADS}0"),
        ("PUT", f"{UPLOADS}0"),
        ("DELETE", f"{UPLOADS}0"),
        ("PUT", manifest_url("v2")),
        ("DELETE", manifest_url("v1")),
        ("DELETE", blob),
    ]
    return read, write


async def test_nothing_is_answered_without_a_password(closed: Driver) -> None:
    document = await known(closed).push_manifest("v1")
    read, write = requests_of(document)
    for method, path in [("GET", "/v2/"), *read, *write]:
        answer = await closed(method, path)
        assert (answer.status, challenge(answer)) == (401, BASIC), (method, path)
        if method == "HEAD":
            assert answer.body == b""
        else:
            assert answer.code == "UNAUTHORIZED"
            assert answer.headers["Content-Type"] == "application/json"
    for method, path in [("GET", "/v2/"), *read]:
        assert (await known(closed)(method, path)).status == 200, (method, path)
    assert (await known(closed)("GET", manifest_url("v1"))).body == document.raw


async def test_all_may_read_and_only_users_write(public: Driver) -> None:
    document = await known(public).push_manifest("v1")
    read, write = requests_of(document)
    for method, path in read:
        assert (await public(method, path)).status == 200, (method, path)
        assert (await known(public)(method, path)).status == 200, (method, path)
    for method, path in write:
        answer = await public(method, path)
        assert (answer.status, challenge(answer)) == (401, BASIC), (method, path)
    assert (await known(public)("DELETE", manifest_url("v1"))).status == 202


async def test_ping_asks_for_a_password_even_where_all_may_read(public: Driver) -> None:
    """Docker and skopeo send with a push what the ping asked for; logins check by it (A-28)."""
    answer = await public("GET", "/v2/")
    assert (answer.status, challenge(answer)) == (401, BASIC)
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert (await known(public)("GET", "/v2/")).status == 200


@pytest.mark.parametrize("name", USERS)
async def test_a30_users_of_any_alphabet_and_passwords_with_colons(
    closed: Driver, name: str
) -> None:
    assert (await known(closed, name)("GET", "/v2/")).status == 200
    for wrong in ("", "x", USERS[name] + "x", USERS[name][:-1]):
        answer = await KnownDriver(closed, basic(name, wrong))("GET", "/v2/")
        assert answer.status == 401


@pytest.mark.parametrize(
    "header",
    [basic("alice", "wrong"), basic("nobody", ""), "Basic !", "Bearer x", "Digest x", "x"],
)
async def test_wrong_credentials_are_refused_where_none_are_needed(
    public: Driver, header: str
) -> None:
    """Else a mistyped password would be noticed with the first push only."""
    await known(public).push_manifest("v1")
    answer = await KnownDriver(public, header)("GET", manifest_url("v1"))
    assert (answer.status, challenge(answer)) == (401, BASIC)


async def test_empty_credentials_are_none(public: Driver) -> None:
    """Skopeo sends them when it has none."""
    await known(public).push_manifest("v1")
    empty = KnownDriver(public, "Basic Og==")
    assert (await empty("GET", manifest_url("v1"))).status == 200
    assert (await empty("POST", UPLOADS)).status == 401


async def test_refused_push_leaves_nothing(closed: Driver, public: Driver) -> None:
    for driver in (closed, public):
        digest = Digest.of(b"data")
        assert (await driver("POST", f"{UPLOADS}?digest={digest}", data=b"data")).status == 401
        document = manifest()
        headers = {"Content-Type": document.media_type}
        answer = await driver("PUT", manifest_url("v1"), data=document.raw, headers=headers)
        assert answer.status == 401
        assert (await known(driver)("GET", "/v2/_catalog")).json == {"repositories": []}


async def test_paths_that_are_nobodys_are_told_to_all(closed: Driver) -> None:
    assert (await closed("GET", "/elsewhere")).status == 404
    assert (await closed("GET", "/token")).status == 404
    assert (await closed("POST", manifest_url("v1"))).status == 405


async def test_head_is_refused_without_a_body(closed: Driver) -> None:
    host = closed.url.removeprefix("http://")
    head = f"HEAD {manifest_url('v1')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    text = await raw_request(host, head.encode())
    assert text.startswith(b"HTTP/1.1 401 ")
    assert text.endswith(b"\r\n\r\n")
    assert text.count(b"\r\n\r\n") == 1


async def test_large_body_is_refused_before_it_is_sent(closed: Driver) -> None:
    """The answer comes at once, and what the client sends all the same does not hide it."""
    address, _, port = closed.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    head = f"PUT {manifest_url('v1')} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n\r\n"
    writer.write(head.encode())
    with anyio.fail_after(60):
        status = await reader.readline()
        assert status.startswith(b"HTTP/1.1 401 ")
        for _ in range(8):
            writer.write(bytes(1 << 20))
            await writer.drain()
        assert b"UNAUTHORIZED" in await reader.readuntil(b"]}")
        writer.close()
        await writer.wait_closed()


async def test_next_request_of_a_connection_whose_body_was_refused(closed: Driver) -> None:
    """The body that was not wanted is not taken for a request."""
    body = b"GET / HTTP/1.1\r\n\r\n" * 50_000
    assert (await closed("PUT", manifest_url("v1"), data=body)).status == 401
    assert (await known(closed)("GET", "/v2/")).status == 200


EXPECTING = (
    "PUT {path} HTTP/1.1\r\nHost: x\r\nExpect: {expect}\r\nContent-Length: 4\r\n"
    "Authorization: {authorization}\r\n\r\n"
)


async def expect(driver: Driver, authorization: str, *, expect: str = "100-continue") -> bytes:
    """Send the head of a push; its body only if it is asked for. Return all that came."""
    address, _, port = driver.url.removeprefix("http://").partition(":")
    location = await known(driver).start()
    path = f"{location}?digest={Digest.of(b'data')}"
    reader, writer = await asyncio.open_connection(address, int(port))
    head = EXPECTING.format(path=path, expect=expect, authorization=authorization)
    writer.write(head.encode())
    with anyio.fail_after(60):
        received = await reader.readuntil(b"\r\n\r\n")
        if received.startswith(b"HTTP/1.1 100 "):
            writer.write(b"data")
            received += await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return received


async def test_body_that_waits_is_asked_for_when_it_is_wanted(closed: Driver) -> None:
    received = await expect(closed, basic())
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")
    received = await expect(closed, basic("alice", "wrong"))
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"Connection: close" in received
    assert (await expect(closed, basic(), expect="tea")).startswith(b"HTTP/1.1 417 ")


@pytest.mark.interop
async def test_curl_sees_the_refusal_of_a_large_body(closed: Driver, tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as opened:
        opened.truncate(200 << 20)
    for extra in ("Expect: 100-continue", "Expect:"):
        command = [
            require("curl"), "-sS", "-o", "-", "-w", "%{http_code} %{size_upload}",
            "--expect100-timeout", "60",  # after a second it would send the body all the same
            "-H", extra, "-T", str(file), closed.url + manifest_url("v1"),
        ]  # fmt: skip
        done = await anyio.run_process(command, check=False)
        text, _, numbers = done.stdout.decode().rpartition("}")
        status, sent = map(int, numbers.split())
        assert (status, "UNAUTHORIZED" in text) == (401, True), done.stderr
        assert sent < 200 << 20
        assert "Expect: 100" not in extra or sent == 0


async def test_our_client_sees_the_refusal_of_a_large_push(closed: Driver, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(8 << 20))
    host = closed.url.removeprefix("http://")
    async with Client() as client:
        with pytest.raises(UnauthorizedError) as caught:
            await client.push_files(
                f"{host}/{REPOSITORY}:v1", [ArtifactFile(path=file, title="large")]
            )
    assert caught.value.hint
    user = StaticCredentials({host: Credential(username="alice", password=USERS["alice"])})
    async with Client(credentials=user) as client:
        await client.push_files(f"{host}/{REPOSITORY}:v1", [ArtifactFile(path=file, title="large")])
    assert (await known(closed)("GET", TAGS)).json["tags"] == ["v1"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])  # noqa: S104
def test_c30_other_addresses_only_with_users_or_when_told(host: str) -> None:
    for options in ({}, {"access": Access(anonymous_pull=True)}):
        with pytest.raises(InvalidArgumentError) as caught:
            EmbeddedRegistry(host=host, **options)  # type: ignore[arg-type]
        hint = caught.value.hint or ""
        assert "access" in hint
        assert "insecure_listen" in hint
        EmbeddedRegistry(host=host, insecure_listen=True, **options)  # type: ignore[arg-type]
    EmbeddedRegistry(host=host, access=Access(users=USERS))


@pytest.mark.parametrize(
    ("host", "options", "warned"),
    [
        ("0.0.0.0", {"access": Access(users=USERS)}, True),  # noqa: S104
        ("0.0.0.0", {"insecure_listen": True}, False),  # noqa: S104
        ("127.0.0.1", {"access": Access(users=USERS)}, False),
    ],
)
async def test_passwords_that_others_can_read_are_told(
    host: str, options: dict[str, Any], *, warned: bool
) -> None:
    warnings: list[str] = []
    async with EmbeddedRegistry(host=host, on_warning=warnings.append, **options):
        pass
    assert ["unencrypted" in one for one in warnings] == [True] * warned


async def test_warnings_are_logged_where_nobody_takes_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with EmbeddedRegistry(host="0.0.0.0", access=Access(users=USERS)):  # noqa: S104
        pass
    [record] = caplog.records
    assert (record.name, record.levelname) == ("ocipkg_async.server", "WARNING")
