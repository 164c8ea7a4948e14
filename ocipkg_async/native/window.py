"""Bounded reading of a file that may be hostile, or of a part of it."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..errors import LimitExceededError

# Headers, a dynamic section, and the member headers of a large archive; never a file's code.
_MOST_BYTES = 8 << 20
# Four thousand shared libraries with ten times as many headers as usual.
_MOST_PACKAGE_BYTES = 128 << 20
# What a call of the system takes at least, in the time to read so many bytes.
_CALL_BYTES = 64
_STRING_BYTES = 4096


class MalformedError(Exception):
    """What is read does not have the form it claims; it does not leave this folder."""


class Allowance:
    """How much is read of all files of a package; what is kept of them is less than that."""

    def __init__(self) -> None:
        self._left = _MOST_PACKAGE_BYTES

    @contextmanager
    def budget(self) -> Iterator[list[int]]:
        """Give the next file a budget, and count what it took.

        Raises:
            LimitExceededError: nothing is left.
        """
        if self._left <= 0:
            raise LimitExceededError(
                "the libraries of the package have more headers than those of any real one",
                hint="do not trust this package, or ask its author",
            )
        budget = [before := min(_MOST_BYTES, self._left)]
        yield budget
        self._left -= before - budget[0]


class Window:
    """A part of a file. All windows of one file share one budget of bytes to read."""

    def __init__(self, file: BinaryIO, size: int, *, start: int = 0, budget: list[int]) -> None:
        self._file = file
        self._start = start
        self._budget = budget
        self.size = size

    @classmethod
    def of(cls, file: BinaryIO, size: int, budget: list[int] | None = None) -> "Window":
        """Return a window over a whole file, with a new budget unless one is given."""
        return cls(file, size, budget=[_MOST_BYTES] if budget is None else budget)

    def part(self, offset: int, size: int) -> "Window":
        """Return a window over a part, which must lie within.

        Raises:
            MalformedError: it does not.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise MalformedError
        return Window(self._file, size, start=self._start + offset, budget=self._budget)

    def read(self, offset: int, size: int) -> bytes:
        """Read exactly so much.

        Raises:
            MalformedError: there is not as much, or more was read than any real file needs.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise MalformedError
        self._budget[0] -= size + _CALL_BYTES  # a read of nothing counts too
        if self._budget[0] < 0:
            raise MalformedError
        self._file.seek(self._start + offset)
        data = self._file.read(size)
        if len(data) != size:
            raise MalformedError  # the file was cut meanwhile
        return data

    def head(self, size: int) -> bytes:
        """Read so much of its beginning, or all of it where it is shorter."""
        return self.read(0, min(size, self.size))

    def unpack(self, form: str, offset: int) -> tuple[int, ...]:
        """Read integers in the form of `struct`.

        Raises:
            MalformedError: they lie outside.
        """
        return struct.unpack(form, self.read(offset, struct.calcsize(form)))

    def text(self, offset: int, most: int = _STRING_BYTES) -> str:
        """Read a string that ends in a NUL.

        Raises:
            MalformedError: it lies outside, does not end, or is not printable.
        """
        data = self.read(offset, max(0, min(most, self.size - offset)))
        raw, end, _ = data.partition(b"\0")
        return printable(raw) if end else _malformed()


def _malformed() -> str:
    raise MalformedError


def printable(raw: bytes) -> str:
    """Return text that may stand in a message.

    Raises:
        MalformedError: it has control characters, or is not UTF-8.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise MalformedError from None
    return text if text.isprintable() else _malformed()
