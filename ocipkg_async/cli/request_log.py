"""The requests that a registry answered, a line each on stderr: for people, or as JSON."""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import quote

from ..server import RequestLog
from ..server.failures import RefusedError
from ..server.routes import Kind, Route, find_route
from .text import printable, size_text

_MAX_WAITING = 10_000
"""Lines that wait for a reader who has stopped, such as a pager; the registry does not wait for it."""
_MAX_PATH = 200
_CLOSE_S = 1.0
"""How long the end waits for that reader."""
_PAUSE_S = 0.05
"""Between lines that come one by one. A thread that wakes for each request takes the interpreter from
the event loop each time: 0.33 ms of processor time for a manifest, and 0.24 so."""
_CUT_OFF = {499: "the client has gone", 0: "stopped"}

_NAMES = {
    Kind.PAGE: "page",
    Kind.BASE: "ping",
    Kind.CATALOG: "repositories",
    Kind.TAGS: "tags",
    Kind.REFERRERS: "referrers",
    Kind.BLOB: "blob",
    Kind.MANIFEST: "manifest",
    Kind.UPLOADS: "new upload",
    Kind.UPLOAD: "upload",
    Kind.TOKEN: "token",
}


Form = Callable[[RequestLog, float], str]
"""Makes a line of a request and the time of its end, in seconds since 1970."""


class RequestLines:
    """Prints requests from a thread of its own, so that the registry never waits for its log.

    Args:
        write: prints a line. When it cannot any more, nothing more is printed.
        form: makes the line.
    """

    def __init__(self, write: Callable[[str], None], form: Form) -> None:
        self._write = write
        self._form = form
        self._waiting: queue.Queue[tuple[RequestLog, float] | None] = queue.Queue(_MAX_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="request lines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Print what is left, unless nobody reads."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_CLOSE_S)
            self._thread.join(_CLOSE_S)

    def __call__(self, request: RequestLog) -> None:
        """Print a request, soon."""
        try:
            self._waiting.put_nowait((request, time.time()))
        except queue.Full:
            self._lost += 1

    def _run(self) -> None:
        try:
            while (item := self._waiting.get()) is not None:
                self._write(self._form(*item))
                if self._waiting.empty():
                    self._confess()
                    time.sleep(_PAUSE_S)
            self._confess()
        except (OSError, ValueError):  # whoever read has gone, or the stream is closed
            while self._waiting.get() is not None:
                pass

    def _confess(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self._write(f"{lost} requests are not shown: nobody read for too long")


def text_line(request: RequestLog, at_s: float) -> str:
    """Return a line for people: when, what was done, how it ended, how much, how long, on what."""
    reading = request.method in {"GET", "HEAD"}
    size = request.sent_bytes if reading else request.received_bytes or request.sent_bytes
    ends = [
        *([f"by {printable(request.user)}"] if request.user else []),
        *([f"({_CUT_OFF[request.status]})"] if request.status in _CUT_OFF else []),
    ]
    columns = (
        time.strftime("%H:%M:%S", time.localtime(at_s)),
        f"{printable(request.method[:8]):<6}",
        f"{request.status:>3}",
        f"{size_text(size) if size else '-':>8}",
        f"{_duration(request.seconds):>8}",
        " ".join([_target(request), *ends]),
    )
    return "  ".join(columns)


def json_line(request: RequestLog, at_s: float) -> str:
    """Return a line for machines."""
    return json.dumps(
        {
            "event": "request",
            "time_s": round(at_s, 3),
            "method": request.method,
            "path": request.path,
            "status": request.status,
            "received_bytes": request.received_bytes,
            "sent_bytes": request.sent_bytes,
            "seconds": round(request.seconds, 6),
            "user": request.user,
        }
    )


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _target(request: RequestLog) -> str:
    """Name what a request was for: the repository first, then what of it."""
    try:
        route = find_route(request.method, quote(request.path, errors="surrogateescape"))
    except RefusedError:
        return printable(request.path[:_MAX_PATH])
    mounted = route.kind is Kind.UPLOADS and request.status == 201  # or whole in one request
    name = "new blob" if mounted else _NAMES[route.kind]
    return printable(" ".join(filter(None, (route.repository, name, _short(route)))))


def _short(route: Route) -> str:
    """Shorten digests and session ids to what tells them apart."""
    algorithm, colon, encoded = route.target.partition(":")
    if colon:
        return f"{algorithm}:{encoded[:12]}"
    return route.target[:8] if route.kind is Kind.UPLOAD else route.target[:_MAX_PATH]
