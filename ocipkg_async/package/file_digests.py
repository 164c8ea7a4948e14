"""Digests of files, taken while they are written: of large ones in a thread of its own.

A file has the SHA-256 of its content. One with holes would cost a hundred seconds for content that
takes no place, so of it only the chunks of 1 MiB count that are not all zeros, each behind its
number; such a digest begins with ``chunks-sha256:``. Everything here blocks.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from ..errors import InvalidDocumentError, OCIError
from ..spec import Digester

CHUNK_BYTES = 1 << 20
_CHUNKS = "chunks-sha256"
_ZEROS = bytearray(CHUNK_BYTES)
_AHEAD = 8  # pieces of up to 1 MiB that wait for their turn
# Below, hashing costs less than handing it to another thread.
_INLINE_BYTES = 128 << 10


class _Hash(Protocol):
    def update(self, offset: int, piece: memoryview, /) -> None: ...
    def text(self) -> str: ...


class _Plain:
    def __init__(self) -> None:
        self._digester = Digester()

    def update(self, _offset: int, piece: memoryview) -> None:
        self._digester.update(piece)

    def text(self) -> str:
        return self._digester.digest()


class _Chunks:
    """Hashes chunks that are not all zeros, from pieces in ascending order, gaps being zeros."""

    def __init__(self) -> None:
        self._digester = Digester()
        self._chunk = bytearray(CHUNK_BYTES)
        self._number = 0

    def update(self, offset: int, piece: memoryview) -> None:
        while piece:
            number, at = divmod(offset, CHUNK_BYTES)
            if number != self._number:
                self._take()
                self._number = number
            part = piece[: CHUNK_BYTES - at]
            self._chunk[at : at + len(part)] = part
            offset, piece = offset + len(part), piece[len(part) :]

    def _take(self) -> None:
        if self._chunk != _ZEROS:
            self._digester.update(self._number.to_bytes(8, "big"))
            self._digester.update(self._chunk)
            self._chunk[:] = _ZEROS

    def text(self) -> str:
        self._take()
        return f"{_CHUNKS}:{self._digester.digest().encoded}"


class FileDigest:
    """The digest of one file; `text` is known when `FileDigests.settle` returned."""

    __slots__ = ("_hash", "_submit", "text")

    def __init__(self, made: _Hash, submit: Callable[..., None] | None) -> None:
        self.text = ""
        self._hash: _Hash | None = made
        self._submit = submit

    def update(self, offset: int, piece: memoryview) -> None:
        """Count bytes of the file, which nobody changes any more."""
        if self._hash is None:
            return
        if self._submit is None:
            self._hash.update(offset, piece)
        else:
            self._submit(self._hash.update, offset, piece)

    def end(self) -> None:
        """Nothing follows."""
        if self._submit is None:
            self._end()
        else:
            self._submit(self._end)

    def _end(self) -> None:
        if self._hash is not None:
            self.text, self._hash = self._hash.text(), None


class FileDigests:
    """Makes digests of files that are written one after the other; close it."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: deque[Future[None]] = deque()

    def begin(self, size: int, *, holes: bool) -> FileDigest:
        """Start with a file of `size` bytes."""
        inline = size <= _INLINE_BYTES
        return FileDigest(_Chunks() if holes else _Plain(), None if inline else self._submit)

    def _submit(self, function: Callable[..., None], *args: object) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="digest")
        if len(self._jobs) >= _AHEAD:
            self._jobs.popleft().result()
        self._jobs.append(self._pool.submit(function, *args))

    def settle(self) -> None:
        """Wait for all digests."""
        while self._jobs:
            self._jobs.popleft().result()

    def close(self) -> None:
        """End the thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def digest_of(path: Path, like: str, *, check: Callable[[], None]) -> str:
    """Return the digest of a file, made in the way of the digest `like`.

    Args:
        path: the file.
        like: decides what is hashed, and how.
        check: called between pieces; what it raises ends the work.

    Raises:
        InvalidDocumentError: `like` is no digest that can be made.
        OSError: the file cannot be read.
    """
    algorithm = like.partition(":")[0]
    with path.open("rb", buffering=0) as file:
        if algorithm == _CHUNKS:
            made: _Hash = _Chunks()
            for offset, piece in _data(file.fileno()):
                check()
                made.update(offset, piece)
            return made.text()
        try:
            digester = Digester(algorithm)
        except OCIError as error:
            raise InvalidDocumentError(f"{like[:100]!r} is not the digest of a file") from error
        while data := file.read(CHUNK_BYTES):
            check()
            digester.update(data)
        return digester.digest()


def _data(fd: int) -> Iterator[tuple[int, memoryview]]:
    """Yield what a file holds, without its holes where the system tells of them."""
    offset = 0
    while True:
        offset = _next_data(fd, offset)
        os.lseek(fd, offset, os.SEEK_SET)
        data = os.read(fd, CHUNK_BYTES)
        if not data:
            return
        yield offset, memoryview(data)
        offset += len(data)


def _next_data(fd: int, offset: int) -> int:
    if not hasattr(os, "SEEK_DATA"):
        return offset
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError:
        return os.lseek(fd, 0, os.SEEK_END)  # nothing but a hole follows
