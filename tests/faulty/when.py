"""Which requests a fault hits. No I/O."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as far as it matters for choosing faults."""

    method: str
    target: str
    first: int | None = None
    """First byte of its Range, or None."""
    last: int | None = None
    beside: int = 0
    """Other requests for the same path that are in progress."""
    storage: bool = False
    """It came to the second host, where a redirect led it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Which requests a fault hits.

    Attributes:
        method: one, or several separated by ``|``; empty is any.
        path: regular expression, searched in path and query.
        ranged: with a Range header (True), without (False), or both (None).
        covers: only the request whose range holds this byte of the blob.
        beside: only where at least so many other requests for the path are in progress.
        storage: only on the second host (True), only on the registry (False), or both (None).
        skip: matching requests that pass before the first one is hit.
        times: how many are hit; None: all.
    """

    method: str = "GET"
    path: str = ""
    ranged: bool | None = None
    covers: int | None = None
    beside: int = 0
    storage: bool | None = None
    skip: int = 0
    times: int | None = 1

    def fits(self, asked: Asked) -> bool:
        """Whether it is about such a request, `skip` and `times` left aside."""
        ranged = asked.first is not None
        return (
            (not self.method or asked.method in self.method.split("|"))
            and re.search(self.path, asked.target) is not None
            and self.ranged in {None, ranged}
            and self.storage in {None, asked.storage}
            and asked.beside >= self.beside
            and (self.covers is None or _covers(asked, self.covers))
        )


def _covers(asked: Asked, byte: int) -> bool:
    first = asked.first or 0
    return first <= byte and (asked.last is None or byte <= asked.last)


BLOBS = When(path=r"/blobs/sha\d+:", times=None)
"""Every GET of a blob."""
