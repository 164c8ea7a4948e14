"""Requests of a test that has no client of ours."""

import urllib.error
import urllib.request
from typing import NamedTuple

TIME_LIMIT_S = 60


class Answer(NamedTuple):
    status: int
    body: bytes


def ask(url: str, *, method: str = "GET", data: bytes | None = None) -> Answer:
    """Send a request; an answer is an answer, whatever its status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=data, method=method)
    try:
        with opener.open(request, timeout=TIME_LIMIT_S) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())
