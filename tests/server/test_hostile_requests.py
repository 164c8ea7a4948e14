"""Bytes that are no proper requests: each gets a refusal, and the registry's log nothing."""

from collections.abc import Iterator

import pytest

from ocipkg_async.server import Faults, Limits, RequestLog
from server.driving import REPOSITORY, Driver, Start, manifest_url
from server.lines import code_of, head, line, status_of, until

UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"
CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"
SECOND = head("DELETE", manifest_url("v1"), CLOSE)
"""What a proxy took for the body of the request before it."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


NO_REQUESTS = {
    "both lengths": head("POST", UPLOADS, "Content-Length: 5", CHUNKED),
    "both lengths, turned": head("POST", UPLOADS, CHUNKED, "Content-Length: 5"),
    "two lengths": head("POST", UPLOADS, "Content-Length: 5", "Content-Length: 6"),
    "list of lengths": head("POST", UPLOADS, "Content-Length: 5, 5"),
    "signed length": head("POST", UPLOADS, "Content-Length: +5"),
    "endless length": head("POST", UPLOADS, f"Content-Length: {'9' * 30}"),
    "unknown coding": head("POST", UPLOADS, "Transfer-Encoding: xchunked"),
    "chunked not last": head("POST", UPLOADS, f"{CHUNKED}, identity"),
    "no chunk": head("POST", UPLOADS, CHUNKED) + b"zz\r\n",
    "space before colon": head("GET", "/v2/", "Host : other"),
    "folded header": head("GET", "/v2/", "X-Folded: a\r\n b"),
    "bare line feeds": head("GET", "/v2/").replace(b"\r\n", b"\n"),
    "two hosts": head("GET", "/v2/", "Host: other"),
    "no host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "NUL in header": head("GET", "/v2/", "X-Nul: a\0b"),
    "NUL in URL": head("GET", "/v2/a\0/tags/list"),
    "bytes in URL": head("GET", "/v2/ÿ/tags/list"),
    "bytes in query": head("GET", "/v2/_catalog?n=ÿ"),
    "no slash": head("GET", "v2/"),
    "unknown method": head("FOO", "/v2/"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": head("GET", "/v2/").replace(b"/1.1", b"/9.9"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "no text": bytes(range(256)),
}


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
async def test_what_is_no_request_is_400_and_ends_the_connection(
    driver: Driver, sent: bytes
) -> None:
    """Nobody reads a second request where a proxy saw a body."""
    async with line(driver) as one:
        await one.send(sent + b"hello" + SECOND)
        answer = await one.rest()
    assert status_of(answer) == 400
    assert code_of(answer) == "UNKNOWN"
    assert answer.count(b"HTTP/1.") == 1


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "http://[/v2/"),
        ("GET", "http://host:99999999/v2/"),
        ("CONNECT", "host:99999999"),
        ("GET", "*"),
    ],
)
async def test_malformed_target_is_400(driver: Driver, method: str, target: str) -> None:
    async with line(driver) as one:
        await one.send(head(method, target))
        assert status_of(await one.rest()) == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "http://elsewhere/v2/", 200),
        ("GET", "HTTPS://user@elsewhere:1/v2/_catalog?n=1", 200),
        ("GET", "http://elsewhere", 404),
        ("GET", "//v2/", 404),
        ("GET", "//elsewhere/v2/", 404),
        ("GET", "/v2//team//app/tags/list", 400),
        ("GET", "/v2/../../etc/tags/list", 400),
        ("GET", "/v2/%2e%2e/%2E%2E/etc/tags/list", 400),
        ("GET", "/v2/team%2f..%2fapp/tags/list", 400),
        ("GET", "/v2/team%00/tags/list", 400),
        ("GET", "/v2/team/blobs/sha256:%2e%2e%2f%2e%2e", 404),
        ("GET", f"/v2/_catalog?n={'9' * 5000}", 200),
        ("GET", "/v2/#fragment", 404),
        ("OPTIONS", "/v2/", 405),
        ("TRACE", "/v2/", 405),
        ("PROPFIND", "/v2/", 405),
        ("OPTIONS", "*", 404),
        ("CONNECT", "elsewhere:443", 404),
    ],
)
async def test_odd_target_has_an_answer(
    driver: Driver, method: str, target: str, status: int
) -> None:
    async with line(driver) as one:
        await one.send(head(method, target, CLOSE))
        answered, body = await one.answer()
        assert answered == status
        if status != 200:
            assert code_of(body)
        if method != "CONNECT":
            assert await one.rest() == b""


@pytest.mark.parametrize(
    "field",
    [
        "Authorization: Basic ÿÿ",
        "Cookie: ÿ=;;;=",
        "Range: bytes=ÿ-",
        f"Range: bytes={'9' * 5000}-",
        "Accept: ÿ",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ],
)
async def test_odd_header_is_no_matter(driver: Driver, field: str) -> None:
    async with line(driver) as one:
        for _ in range(2):
            await one.send(head("GET", "/v2/", field))
            assert (await one.answer())[0] == 200


async def test_header_that_is_no_text_in_a_push(driver: Driver) -> None:
    async with line(driver) as one:
        await one.send(
            head("PUT", manifest_url("v1"), "Content-Type: ÿ", "Content-Length: 2") + b"{}"
        )
        assert (await one.answer())[0] == 400
        location = await driver.start()
        await one.send(head("PATCH", location, "Content-Range: ÿ", "Content-Length: 2") + b"{}")
        assert (await one.answer())[0] == 400


@pytest.mark.parametrize(("field", "stays"), [("Connection: keep-alive", True), ("X: x", False)])
async def test_http_1_0_needs_no_host(driver: Driver, field: str, stays: bool) -> None:
    async with line(driver) as one:
        for _ in range(2 if stays else 1):
            await one.send(f"GET /v2/ HTTP/1.0\r\n{field}\r\n\r\n".encode())
            assert (await one.answer())[0] == 200
        if not stays:
            assert await one.rest() == b""


async def test_pipelined_requests_are_answered_in_order(driver: Driver) -> None:
    document = await driver.push_manifest("v1")
    requests = [
        head("GET", "/v2/"),
        head("GET", manifest_url("v1")),
        head("POST", UPLOADS, "Content-Length: 5") + b"hello",
        head("GET", manifest_url("none")),
        head("POST", UPLOADS, CHUNKED) + b"5;name=value\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    ] * 40
    async with line(driver) as one:
        await one.send(b"".join(requests))
        answers = [await one.answer() for _ in requests]
    assert [status for status, _ in answers] == [200, 200, 202, 404, 202] * 40
    assert {body for _, body in answers[1::5]} == {document.raw}


async def test_broken_chunk_after_good_ones_ends_the_request(start: Start) -> None:
    """What came before it is kept. aiohttp does not tell of the fault, so it is seen as a stall."""
    asked: set[str] = set()

    def note(_method: str, path: str) -> bool:
        asked.add(path)
        return False

    driver = await start(limits=Limits(stall_s=1.5), faults=Faults(when=note))
    location = await driver.start()
    async with line(driver) as one:
        await one.send(head("PATCH", location, CHUNKED) + b"5\r\nhello\r\n")
        # Read at once with the good chunk, the broken one would be part of no request, and get 400.
        await until(lambda: location in asked)
        await one.send(b"zz\r\n")
        assert (await one.answer())[0] == 408
    assert (await driver("GET", location)).headers["Range"] == "0-4"


async def test_unforeseen_failure_is_500_and_seen_by_the_operator(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def fail(_method: str, path: str) -> bool:
        asked.append(path)
        if len(asked) == 1:
            raise ArithmeticError("unforeseen")
        return False

    logs: list[RequestLog] = []
    driver = await start(faults=Faults(when=fail), on_request=logs.append)
    assert await driver.code_of("/v2/") == (500, "UNKNOWN")
    assert [log.status for log in logs] == [500]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("ocipkg_async.server", "ERROR")
    assert "GET /v2/" in record.getMessage()
    assert "unforeseen" in (record.exc_text or "")
    caplog.clear()
