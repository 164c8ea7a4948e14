"""Heads as faults want them: requests before the registry sees them, answers before the client does.

No I/O.
"""

import re
from dataclasses import dataclass, field
from typing import TypeVar

from .exchange import Exchange
from .faults import (
    Amend,
    ExpireToken,
    Fault,
    Lengthen,
    Resize,
    Shift,
    Shorten,
    StickRange,
    Unrange,
    name_of,
)
from .wire import Head

_F = TypeVar("_F", bound=Fault)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


def parse_range(value: str | None) -> tuple[int, int | None] | None:
    """First and last byte of a Range header with one part."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", value or "")
    return (int(match[1]), int(match[2]) if match[2] else None) if match else None


def content_range(head: Head) -> tuple[int, int, int] | None:
    """First byte, last byte and total of a Content-Range header."""
    match = _CONTENT_RANGE.fullmatch(head.get("Content-Range") or "")
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


@dataclass(slots=True)
class Sticky:
    """What the proxy remembers of earlier requests, besides counts."""

    dead_tokens: set[str] = field(default_factory=set[str])
    first_ranges: dict[str, str] = field(default_factory=dict[str, str])


class Amender:
    """The faults that hit one request.

    Args:
        due: each with how often it was due before.
        exchange: where to note those that strike.
        sticky: what earlier requests left.
        places: registry's and proxy's ``host:port``.
    """

    def __init__(
        self,
        due: list[tuple[Fault, int]],
        exchange: Exchange,
        sticky: Sticky,
        *,
        places: tuple[str, str],
    ) -> None:
        self._due = due
        self._exchange = exchange
        self._sticky = sticky
        self._upstream, self._own = places

    def one(self, kind: type[_F]) -> _F | None:
        """The fault of a kind, if one is due."""
        return next((fault for fault, _ in self._due if isinstance(fault, kind)), None)

    def hit(self, fault: Fault) -> None:
        """Note that a fault strikes."""
        self._exchange.hits.append(name_of(fault))

    def request(self, asked: Head, *, target: str, authorization: str | None) -> Head:
        """The request for the registry.

        Args:
            asked: what the client sent.
            target: what to ask the registry for.
            authorization: what to show to it instead of the client's own, or None.
        """
        head = Head(f"{self._exchange.method} {target} HTTP/1.1", list(asked.headers))
        head.set("Host", self._upstream)
        head.set("Connection", "close")
        token = head.get("Authorization")
        if self.one(ExpireToken) and token:
            self._sticky.dead_tokens.add(token)
        if token in self._sticky.dead_tokens:
            self.hit(ExpireToken())
            head.remove("Authorization")
        elif authorization is not None:
            head.set("Authorization", authorization)
        bounds = parse_range(head.get("Range"))
        if (shift := self.one(Shift)) and bounds:
            first, last = bounds
            self.hit(shift)
            end = "" if last is None else str(last + shift.by)
            head.set("Range", f"bytes={first + shift.by}-{end}")
        if (unrange := self.one(Unrange)) and bounds:
            self.hit(unrange)
            head.remove("Range")
        return head

    def answer(self, head: Head) -> int:
        """Change an answer's head; return how many bytes its body gets more."""
        location = head.get("Location")
        if location is not None:
            theirs, own = f"http://{self._upstream}", f"http://{self._own}"
            head.set("Location", location.replace(theirs, own, 1))
        self._stick(head)
        padding = self._resize(head)
        for fault, count in self._due:
            if isinstance(fault, Amend) and head.status < 400:
                self.hit(fault)
                _amend(head, fault, count)
        lengthen, shorten = self.one(Lengthen), self.one(Shorten)
        if (lengthen or shorten) and head.status < 300:
            head.remove("Content-Length")
        if lengthen and head.status < 300:
            self.hit(lengthen)
            padding += lengthen.by
        return padding

    def _stick(self, head: Head) -> None:
        have = head.get("Range")
        if (stick := self.one(StickRange)) is None or have is None or head.status >= 300:
            return
        path = self._exchange.target.partition("?")[0]
        first = self._sticky.first_ranges.setdefault(path, have)
        if first != have:
            self.hit(stick)
        head.set("Range", first)
        if self._exchange.method == "PATCH":
            head.start = "HTTP/1.1 201 Created"

    def _resize(self, head: Head) -> int:
        parts, resize = content_range(head), self.one(Resize)
        if parts is not None:
            first, last, total = parts
            if (shift := self.one(Shift)) and not shift.honest:
                first, last = first - shift.by, last - shift.by
            if resize:
                self.hit(resize)
                total += resize.by
            head.set("Content-Range", f"bytes {first}-{last}/{total}")
        elif resize and head.status == 200 and head.length is not None:
            self.hit(resize)
            head.set("Content-Length", str(head.length + resize.by))
            return max(0, resize.by)
        return 0


def _amend(head: Head, fault: Amend, count: int) -> None:
    first, last, total = content_range(head) or (0, 0, head.length or 0)
    for name, value in fault.headers.items():
        head.set(name, value.format(first=first, last=last, total=total, count=count))
    for name in fault.remove:
        head.remove(name)
    if fault.status is not None:
        head.start = f"HTTP/1.1 {fault.status} Amended"
