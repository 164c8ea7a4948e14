"""Clients that take their time: what each may take, and what is kept of their work."""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator

import anyio
import pytest

from ocipkg_async.server import Faults, Limits, RequestLog, TLSFiles, sending
from ocipkg_async.server.connections.connection import EARLY_BYTES
from ocipkg_async.spec import Digest
from registries import Certificates
from server.driving import REPOSITORY, Driver, Start, blob_url, manifest_url
from server.lines import Line, code_of, head, line, until

IMPATIENT = Limits(stall_s=0.3, bytes_per_s=10_000)
RESUMED = Limits(stall_s=1, bytes_per_s=10_000)
"""For those that stall, and then go on."""
HASTY = Limits(idle_s=0.3)
# Of those that are to go on: the machine may be slow as well.
STALL_S = 4.0
PATIENT = Limits(idle_s=STALL_S, stall_s=STALL_S, bytes_per_s=10_000)
LARGE = os.urandom(1 << 16) * 256
"""More than the system keeps between registry and client."""
LARGE_DIGEST = Digest.of(LARGE)


@pytest.fixture
def logs() -> list[RequestLog]:
    return []


@pytest.fixture
async def driver(start: Start, logs: list[RequestLog]) -> Driver:
    return await start(limits=IMPATIENT, on_request=logs.append)


@pytest.fixture
async def hasty(start: Start) -> Driver:
    return await start(limits=HASTY)


@pytest.fixture
async def patient(start: Start) -> Driver:
    return await start(limits=PATIENT)


async def drip(one: Line, *, size: int, pause_s: float) -> None:
    while True:
        await one.send(b"x" * size)
        await anyio.sleep(pause_s)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /v2/ HT", b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Half: ", b"\r\n"],
    ids=["nothing", "half a line", "half a header", "empty line"],
)
async def test_connection_without_a_whole_request_is_ended(hasty: Driver, sent: bytes) -> None:
    async with line(hasty) as one:
        await one.send(sent)
        assert await one.rest() == b""


async def test_dripping_head_is_ended(hasty: Driver) -> None:
    async with line(hasty) as one, anyio.create_task_group() as group:
        await one.send(b"GET /v2/ HTTP/1.1\r\nX-Long: ")

        async def send() -> None:
            with pytest.raises(ConnectionError):
                await drip(one, size=1, pause_s=0.02)

        group.start_soon(send)
        assert await one.rest() == b""


async def test_idle_connection_is_ended_after_its_answers(start: Start) -> None:
    idle_s = STALL_S
    async with line(await start(limits=Limits(idle_s=idle_s))) as one:
        for _ in range(3):
            await one.send(head("GET", "/v2/"))
            assert (await one.answer())[0] == 200
            await anyio.sleep(idle_s * 0.35)
        assert await one.rest() == b""


@pytest.mark.parametrize("sent", [0, 100_000, 5_000_000])
async def test_stalled_upload_is_answered_and_can_be_resumed(start: Start, sent: int) -> None:
    driver = await start(limits=RESUMED)
    data = os.urandom(6_000_000)
    location = await driver.start()
    async with line(driver) as one:
        await one.send(head("PATCH", location, f"Content-Length: {len(data)}") + data[:sent])
        status, body = await one.answer()
        assert (status, code_of(body)) == (408, "BLOB_UPLOAD_INVALID")
    assert (await driver("GET", location)).headers["Range"] == f"0-{max(sent - 1, 0)}"
    answer = await driver("PUT", f"{location}?digest={Digest.of(data)}", data=data[sent:])
    assert answer.status == 201
    assert (await driver("GET", blob_url(Digest.of(data)))).body == data


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PATCH", "", "BLOB_UPLOAD_INVALID"),
        ("PUT", f"?digest={Digest.of(b'')}", "BLOB_UPLOAD_INVALID"),
        ("PUT", manifest_url("v1"), "MANIFEST_INVALID"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_dripping_body_is_ended(
    driver: Driver, method: str, path: str, code: str, chunked: bool
) -> None:
    """A few bytes now and then are no reason to go on."""
    if not path.startswith("/"):
        path = await driver.start() + path
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000"
    async with line(driver) as one, anyio.create_task_group() as group:
        await one.send(head(method, path, length))

        async def send() -> None:
            while True:
                await one.send(b"1\r\nx\r\n" if chunked else b"x")
                await anyio.sleep(0.02)

        group.start_soon(send)
        status, body = await one.answer()
        assert (status, code_of(body)) == (408, code)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("what", ["extension", "trailer"])
async def test_endless_framing_is_no_progress(driver: Driver, what: str) -> None:
    location = await driver.start()
    async with line(driver) as one, anyio.create_task_group() as group:
        await one.send(head("PATCH", location, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n")
        await one.send(b"5;extension=" if what == "extension" else b"0\r\nTrailer: ")

        async def send() -> None:
            while True:
                await one.send(b"x")
                await anyio.sleep(0.02)

        group.start_soon(send)
        assert (await one.answer())[0] == 408
        group.cancel_scope.cancel()
    assert (await driver("GET", location)).headers["Range"] == "0-4"


async def test_slow_honest_line_goes_on(patient: Driver) -> None:
    """It takes longer than a stall may last, and is always ahead of the pace."""
    data = os.urandom(100_000)
    location = await patient.start()

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 2000):
            yield data[start : start + 2000]
            await anyio.sleep(STALL_S / 40)

    path = f"{location}?digest={Digest.of(data)}"
    assert (await patient("PUT", path, data=body())).status == 201


@pytest.fixture(params=["sendfile", "no sendfile", "TLS"])
async def sender(
    request: pytest.FixtureRequest,
    start: Start,
    logs: list[RequestLog],
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Driver, ssl.SSLContext | None]:
    """A registry that sends blobs in one of its ways, and what its clients need for TLS."""
    files, context = None, None
    if request.param == "no sendfile":
        monkeypatch.delattr(os, "sendfile")
    if request.param == "TLS":
        files = TLSFiles(
            certificate=certificates.server_cert_file, key=certificates.server_key_file
        )
        context = ssl.create_default_context(cafile=str(certificates.ca_file))
    limits = Limits(idle_s=60, stall_s=STALL_S)
    return await start(limits=limits, on_request=logs.append, tls=files), context


async def push(one: Line, data: bytes = LARGE, digest: Digest = LARGE_DIGEST) -> str:
    """Push a blob; return its path."""
    path = f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}"
    await one.send(head("POST", path, f"Content-Length: {len(data)}") + data)
    assert (await one.answer())[0] == 201
    return blob_url(digest)


async def test_unread_blob_is_given_up(
    sender: tuple[Driver, ssl.SSLContext | None], logs: list[RequestLog]
) -> None:
    driver, context = sender
    async with line(driver, tls=context) as one:
        path = await push(one)
        await one.send(head("GET", path))
        await until(lambda: len(logs) == 2)
        assert 0 < len(await one.rest()) < len(LARGE)


async def test_blob_that_is_read_slowly_arrives(
    sender: tuple[Driver, ssl.SSLContext | None], logs: list[RequestLog]
) -> None:
    """It takes longer than a stall may last."""
    driver, context = sender
    async with line(driver, tls=context) as one:
        path = await push(one)
        await one.send(head("GET", path, "Connection: close"))
        received = b""
        for _ in range(50):
            received += await one.some(1 << 14)
            await anyio.sleep(STALL_S / 40)
        assert len(logs) == 1  # it is still being sent
        received += await one.rest()
    assert received.endswith(LARGE)
    assert logs[1].status == 200


async def test_answers_that_nobody_takes_are_given_up(
    driver: Driver, logs: list[RequestLog]
) -> None:
    """Small ones as well: requests that are sent ahead are not answered without end."""
    data = os.urandom(sending.SMALL_BYTES)
    request = head("GET", blob_url(await driver.push_blob(data)))
    ahead = EARLY_BYTES // len(request)
    async with line(driver) as one:
        await one.send(request * ahead)
        # The one that was given up took so long; others may on a busy machine.
        await until(lambda: any(log.seconds > IMPATIENT.stall_s for log in logs))
        await anyio.sleep(1)
        assert 0 < len(await one.rest()) < ahead * len(data)


async def test_large_requests_ahead_of_an_answer_end_the_connection(start: Start) -> None:
    driver = await start(faults=Faults(delay_s=60))
    large = head("GET", "/v2/", *(f"X-{number}: {'x' * 8000}" for number in range(50)))
    async with line(driver) as one:
        with contextlib.suppress(ConnectionError):
            await one.send(large * 10)
        assert await one.rest() == b""


async def test_tls_handshake_has_a_limit(start: Start, certificates: Certificates) -> None:
    files = TLSFiles(certificate=certificates.server_cert_file, key=certificates.server_key_file)
    driver = await start(limits=HASTY, tls=files)
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
    for sent in (b"", hello, b"GET /v2/ HTTP/1.1\r\n\r\n"):
        async with line(driver) as one:
            await one.send(sent)
            await one.rest()
