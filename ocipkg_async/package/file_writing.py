"""Writing the content of unpacked files; all of it blocks and raises `OSError`."""

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from .decompress import PIECE_BYTES
from .file_digests import FileDigest


def write_pieces(
    fd: int,
    pieces: Iterable[tuple[int, memoryview]],
    size: int,
    *,
    digest: FileDigest | None,
    check: Callable[[], None],
) -> None:
    """Write a new file.

    Args:
        fd: the file, open and empty.
        pieces: its content, ascending, each with its place; what is between them are holes.
        size: of the whole file.
        digest: is given the content, too.
        check: called between pieces; what it raises ends the work.
    """
    at = 0
    for offset, piece in pieces:
        check()
        if offset != at:
            os.lseek(fd, offset, os.SEEK_SET)
        if digest is not None:
            digest.update(offset, piece)
        write_fully(fd, piece)
        at = offset + len(piece)
    if at < size:
        os.ftruncate(fd, size)


def copy_into(fd: int, source: Path, *, check: Callable[[], None]) -> os.stat_result:
    """Write the content of `source` to an open file; return what became of that."""
    with source.open("rb", buffering=0) as file:
        for piece in iter(functools.partial(file.read, PIECE_BYTES), b""):
            check()
            write_fully(fd, memoryview(piece))
    return os.fstat(fd)


def write_fully(fd: int, piece: memoryview) -> None:
    """Write all of `piece`, of which the system may take less at a time."""
    while piece:
        piece = piece[os.write(fd, piece) :]
