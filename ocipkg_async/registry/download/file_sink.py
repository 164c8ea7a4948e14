"""Writes parts to a file where they belong, hashes them in order, and journals what is safe.

What arrives in order is hashed by the thread that writes it, from memory; what arrived early is
read again from the page cache when its turn comes. So the digest is known when the last byte is
written, and memory holds only what is being written.
"""

import threading
from collections.abc import Collection, Sequence

import anyio
from anyio import to_thread

from ...content import run_in_thread
from ...errors import TooShortError
from ...spec import Descriptor, Digest, Digester
from .partial import PartialFile

RECORD_BYTES = 4 << 20
"""A stretch is journaled when it is this long, or closes a gap: a kill loses no more of each part."""
_READ_BYTES = 1 << 20
"""Small enough to stay in the processor's cache between being read and hashed."""
_TURN_BYTES = 16 << 20
"""How much is caught up in one hop to a thread."""


class FileSink:
    """The sink of a download to a file.

    Args:
        file: the unfinished file.
        descriptor: the blob.
        done: stretches that it has already, sorted and disjoint.
    """

    below: int | None = None

    def __init__(
        self, file: PartialFile, descriptor: Descriptor, *, done: Sequence[tuple[int, int]] = ()
    ) -> None:
        self._file = file
        self._descriptor = descriptor
        self._digester = Digester(descriptor.digest.algorithm)
        self._hashed = 0
        self._written = Stretches(done)
        self._fresh = Stretches()
        self._recorded = {descriptor.size, *(start for start, _ in done)}
        # The digester is one thread's at a time; the lists of stretches are changed in no time.
        self._hashing = threading.Lock()
        self._noting = threading.Lock()
        self._behind = anyio.Event()

    async def put(self, offset: int, pieces: Sequence[bytes]) -> None:
        """Write bytes that follow each other.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        await to_thread.run_sync(self._put, offset, pieces)
        if self._hashed < self._written.prefix:
            self._behind.set()

    async def follow(self) -> None:
        """Hash what arrived early, for ever; runs beside the download."""
        while True:
            self._behind = anyio.Event()
            if self._hashed >= self._written.prefix:
                await self._behind.wait()
            await to_thread.run_sync(self._catch_up)

    async def digest(self) -> Digest:
        """Return the digest of the file, of which nothing is missing any more.

        Raises:
            TooShortError: the file ended too early.
            StorageError: it cannot be read.
        """
        while self._hashed < self._descriptor.size:
            await run_in_thread(self._catch_up)
        return self._digester.digest()

    def record(self) -> None:
        """Journal everything that was written; blocks.

        Raises:
            DiskFullError, StorageError: the file system refused.
        """
        self._record(at_least=1)

    def _put(self, offset: int, pieces: Sequence[bytes]) -> None:
        self._file.write(offset, pieces)
        stop = offset + sum(map(len, pieces))
        with self._noting:
            self._written.add(offset, stop)
            self._fresh.add(offset, stop)
        self._record(at_least=RECORD_BYTES)
        if not self._hashing.acquire(blocking=False):
            return
        try:
            if self._hashed == offset:
                for piece in pieces:
                    self._digester.update(piece)
                self._hashed = stop
        finally:
            self._hashing.release()

    def _record(self, *, at_least: int) -> None:
        with self._noting:
            due = self._fresh.take(at_least, or_before=self._recorded)
            self._recorded.update(start for start, _ in due)
        for start, stop in due:
            self._file.record(start, stop)

    def _catch_up(self) -> None:
        buffer = memoryview(bytearray(_READ_BYTES))
        with self._hashing:
            end = min(self._written.prefix, self._hashed + _TURN_BYTES)
            while self._hashed < end:
                wanted = min(len(buffer), end - self._hashed)
                length = self._file.read_into(self._hashed, buffer[:wanted])
                if not length:
                    raise TooShortError(
                        f"the unfinished file of {self._descriptor.digest} became shorter",
                        expected=str(self._descriptor.size),
                        actual=str(self._hashed),
                        hint="somebody else changed it; run this again",
                    )
                self._digester.update(buffer[:length])
                self._hashed += length


class Stretches:
    """Disjoint stretches ``[start, stop)``, those that touch merged into one."""

    def __init__(self, stretches: Sequence[tuple[int, int]] = ()) -> None:
        self._all = sorted(stretches)

    @property
    def prefix(self) -> int:
        """Where the stretch that begins at 0 ends."""
        return self._all[0][1] if self._all and self._all[0][0] == 0 else 0

    def add(self, start: int, stop: int) -> None:
        """Add one; it may overlap others."""
        rest: list[tuple[int, int]] = []
        for one in self._all:
            if one[1] < start or one[0] > stop:
                rest.append(one)
            else:
                start, stop = min(start, one[0]), max(stop, one[1])
        rest.append((start, stop))
        self._all = sorted(rest)

    def take(self, at_least: int, *, or_before: Collection[int] = ()) -> list[tuple[int, int]]:
        """Remove and return those that have so many bytes, or end at one of some offsets."""
        taken = [one for one in self._all if one[1] - one[0] >= at_least or one[1] in or_before]
        if taken:
            self._all = [one for one in self._all if one not in taken]
        return taken
