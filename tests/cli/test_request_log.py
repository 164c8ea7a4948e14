"""Lines that a registry prints of its requests: nobody who reads them can hold it up."""

import threading

import pytest

from ocipkg_async.cli.request_log import RequestLines, text_line
from ocipkg_async.server import RequestLog

TIME_LIMIT_S = 60


def request(path: str = "/v2/", *, status: int = 200, seconds: float = 0.01) -> RequestLog:
    return RequestLog(
        method="GET",
        path=path,
        status=status,
        received_bytes=0,
        sent_bytes=0,
        seconds=seconds,
        headers={},
    )


def test_reader_that_stops_and_goes_on() -> None:
    written: list[str] = []
    reading, stopped = threading.Event(), threading.Event()

    def write(line: str) -> None:
        stopped.set()
        assert reading.wait(TIME_LIMIT_S)
        written.append(line)

    with RequestLines(write, lambda one, _at_s: one.path) as log:
        log(request("/first"))
        assert stopped.wait(TIME_LIMIT_S)
        for number in range(10_100):
            log(request(f"/{number}"))
        reading.set()
    assert written[:2] == ["/first", "/0"]
    assert written[10_001:] == ["100 requests are not shown: nobody read for too long"]


def test_reader_that_is_gone() -> None:
    tried: list[str] = []

    def write(line: str) -> None:
        tried.append(line)
        raise BrokenPipeError

    with RequestLines(write, lambda one, _at_s: one.path) as log:
        for number in range(20_000):
            log(request(f"/{number}"))
    assert tried == ["/0"]


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        (request(status=499), " 10.0 ms  ping (the client has gone)"),
        (request(status=0, seconds=72.34), "  72.3 s  ping (stopped)"),
        (request("/v2/a/blobs/uploads/"), " ms  /v2/a/blobs/uploads/"),
    ],
)
def test_lines(given: RequestLog, ends: str) -> None:
    assert text_line(given, 0.0).endswith(ends)
