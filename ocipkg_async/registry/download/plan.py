"""Which stretches of a blob to fetch next, and what the answers mean. No I/O, no clock.

Closed ranges of some megabytes are cut off a list of what is missing (RFC 9110, section 14). The
first is the probe: only its answer tells whether ranges work, for ``Accept-Ranges`` is missing on
most registries that take them. A broken part goes back to the list from where it broke.
"""

import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ...errors import ProtocolError
from ...transport import TransportOptions
from .pace import Pace

PART_BYTES = 8 << 20, 16 << 20
"""Least and largest size of a range: object stores are fastest with these, and a lost one is cheap."""
LAST_PART_BYTES = 2 << 20
"""Parts become smaller towards the end, so that all connections end together; never below this."""
PARALLEL_BYTES = 64 << 20
"""Blobs from this size on are fetched over several connections; below, starting them does not pay."""
STALL_S = 10.0
"""A part that stands still for so long while others move is asked for again."""
SLOW_AFTER_S = 5.0
SLOW_SHARE = 0.1
"""A part below this share of the median rate after some seconds hangs on a bad connection."""
CRAWL_S = 60.0
CRAWL_BYTES_PER_S = 1024
"""A whole blob that is slower than this for so long stands still, whatever drips."""

PROGRESS_BYTES = 1 << 20
"""Progress that gives spent tries back; a drip does not."""

Verdict = Literal["take", "whole", "odd"]
_CONTENT_RANGE = re.compile(
    r"bytes (?P<first>[0-9]{1,19})-(?P<last>[0-9]{1,19})/(?P<total>[0-9]{1,19})", re.ASCII
)


def check_content_range(value: str | None, *, first: int, last: int, size: int) -> None:
    """Check that a 206 brings the bytes `first` to `last`, both inclusive, of `size` (D-32).

    Raises:
        ProtocolError: it brings others, several parts, or does not say what it brings.
    """
    match = _CONTENT_RANGE.fullmatch((value or "").strip())
    if match is None or tuple(map(int, match.groups())) != (first, last, size):
        raise ProtocolError(
            f"asked for bytes {first} to {last} of {size}, the registry answered with "
            f"{(value or 'no Content-Range')[:100]!r}",
            hint="a cache or proxy before the registry may be broken; try again later",
        )


def is_capped(options: TransportOptions) -> bool:
    """Whether a rate so low was asked for that crawling is no sign of anything."""
    return options.bytes_per_s is not None and options.bytes_per_s < 64 * CRAWL_BYTES_PER_S


class Crawl:
    """Tells a transfer that drips from one that moves."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._moved = 0

    def noticed(self, now_s: float, moved: int) -> bool:
        """Whether hardly anything moved in the last minute; meant to be asked often.

        Args:
            now_s: monotonic seconds.
            moved: bytes moved in all.
        """
        if self._since_s is None:
            self._since_s, self._moved = now_s, moved
        seconds = now_s - self._since_s
        if seconds < CRAWL_S:
            return False
        slow = moved - self._moved < CRAWL_BYTES_PER_S * seconds
        self._since_s, self._moved = now_s, moved
        return slow


@dataclass(slots=True, eq=False)
class Part:
    """A stretch that one connection fetches.

    Attributes:
        start: its first byte.
        stop: one past its last byte.
        at: the next byte that is to arrive.
        begun_s: when its bytes began to arrive, or None while nothing was answered.
        moved_s: when bytes arrived last.
        free_try: whether it may be asked for again at once, since a kept connection was stale.
        beside: whether others were fetched at some time since it was asked for.
    """

    start: int
    stop: int
    at: int
    begun_s: float | None = None
    moved_s: float = 0.0
    free_try: bool = True
    beside: bool = False
    begun_at: int = 0

    def age_s(self, now_s: float) -> float:
        """Seconds since its bytes began to arrive, 0 before."""
        return 0.0 if self.begun_s is None else now_s - self.begun_s

    def rate(self, now_s: float) -> float:
        """Bytes per second since its bytes began to arrive."""
        seconds = self.age_s(now_s)
        return (self.at - self.begun_at) / seconds if seconds > 0 else 0.0


class RangePlan:
    """What is missing of a blob, who fetches it, and over how many connections.

    Args:
        size: of the blob in bytes.
        done: stretches ``[start, stop)`` that are there already, sorted and disjoint.
        pace: how many connections to use.
        part_bytes: of one range; by default it follows from the size.

    Attributes:
        part_bytes: of one range, but for the last ones.
    """

    def __init__(
        self,
        size: int,
        *,
        done: Iterable[tuple[int, int]] = (),
        pace: Pace,
        part_bytes: int | None = None,
    ) -> None:
        self.size = size
        self.pace = pace
        least, largest = PART_BYTES
        self.part_bytes = part_bytes or min(max(size // 16, least), largest)
        self._last_bytes = min(LAST_PART_BYTES, self.part_bytes)
        self._todo = _gaps(size, done)
        self._active: set[Part] = set()
        self._received: set[Part] = set()
        self._proven = False
        self._etag: str | None = None
        self._crawl = Crawl()
        self._moved = 0

    @property
    def complete(self) -> bool:
        """Whether everything arrived."""
        return not (self._todo or self._active or self._received)

    @property
    def active(self) -> int:
        """How many parts are being fetched, each over a connection."""
        return len(self._active)

    def take(self, *, now_s: float, below: int | None = None) -> Part | None:
        """Return the next part to fetch, or None: there is none now.

        Args:
            now_s: monotonic seconds.
            below: only parts that begin before this offset, for readers that keep them in memory.
        """
        limit = self.pace.allowed(now_s) if self._proven else 1
        if not self._todo or self.active >= limit:
            return None
        start, stop = self._todo[0]
        if below is not None and start >= below:
            return None
        length = self.part_bytes
        if self.pace.target > 1:
            left = sum(stop - start for start, stop in self._todo)
            share = -(-left // (2 * self.pace.target))
            length = min(length, max(share, self._last_bytes))
        end = min(stop, start + length)
        if end == stop:
            self._todo.pop(0)
        else:
            self._todo[0] = (end, stop)
        for other in self._active:
            other.beside = True
        part = Part(start=start, stop=end, at=start)
        self._active.add(part)
        return part

    def ask(self, part: Part) -> None:
        """Note that a part is asked for, for the first time or again."""
        part.beside = self.active > 1

    def answered(
        self, part: Part, status: int, headers: Mapping[str, str | None], *, now_s: float
    ) -> Verdict:
        """Judge the head of an answer to the range of a part.

        Args:
            part: what was asked for, from its ``at`` on.
            status: 200 or 206.
            headers: ``Content-Range``, ``Content-Length`` and ``ETag``, where there are any.
            now_s: monotonic seconds.

        Returns:
            ``take``: its body is the range. ``whole``: ranges are not taken, its body is the whole
            blob. ``odd``: it is something else, and ranges of this blob are not to be trusted.
        """
        if status == 200:
            return "whole"
        try:
            check_content_range(
                headers.get("Content-Range"), first=part.at, last=part.stop - 1, size=self.size
            )
        except ProtocolError:
            return "odd"
        length, etag = headers.get("Content-Length"), headers.get("ETag")
        if length is not None and length != str(part.stop - part.at):
            return "odd"
        if self._etag is not None and etag != self._etag:
            return "odd"  # other content now, or another replica that may have other content
        self._etag = etag
        self._proven = True
        part.begun_s = part.moved_s = now_s
        part.begun_at = part.at
        return "take"

    def moved(self, part: Part, length: int, *, now_s: float) -> None:
        """Note bytes of a part that are safe where they belong."""
        part.at += length
        part.moved_s = now_s
        self._moved += length
        self.pace.moved(length)

    def received(self, part: Part) -> None:
        """Note that all of a part was received: while its end is kept, its connection is free."""
        self._active.discard(part)
        self._received.add(part)

    def left(self, part: Part) -> None:
        """Note that nobody fetches a part any more; what is missing of it is fetched by others."""
        self._active.discard(part)
        self._received.discard(part)
        if part.at < part.stop:
            self._todo.append((part.at, part.stop))
            self._todo.sort()

    def stalled(self, now_s: float) -> list[Part]:
        """Return parts to give up and ask for again, while others move.

        Progress is judged on the whole blob: where nothing moves at all, the line is down, and
        more requests would not help it.
        """
        begun = [part for part in self._active if part.begun_s is not None]
        if len(begun) < 2:
            return []
        newest_s = max(part.moved_s for part in begun)
        still = [p for p in begun if newest_s - p.moved_s > STALL_S]
        median = statistics.median(part.rate(now_s) for part in begun)
        slow = [
            part
            for part in begun
            if part.age_s(now_s) > SLOW_AFTER_S and part.rate(now_s) < SLOW_SHARE * median
        ]
        return list(dict.fromkeys(still + slow))

    def crawls(self, now_s: float) -> bool:
        """Whether the whole blob hardly moved in the last minute; meant to be called often."""
        if not self._active:  # the reader waits, or everything was received
            self._crawl = Crawl()
            return False
        return self._crawl.noticed(now_s, self._moved)


def _gaps(size: int, done: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the stretches of ``[0, size)`` that are not in `done`."""
    gaps: list[tuple[int, int]] = []
    position = 0
    for start, stop in done:
        if start > position:
            gaps.append((position, start))
        position = max(position, stop)
    if position < size:
        gaps.append((position, size))
    return gaps
