"""A strict, streaming reader of tar archives: ustar, PAX, GNU names, GNU and PAX sparse files.

The standard library's reader is not used: supported Pythons have known ways around its filters,
and it goes on after damaged headers. Here a header that is damaged, ambiguous or cut off is an
error, and one parser serves checking and extracting (spec checks I-60, S-31, S-32). Where common
readers would see different archives in the same bytes, the archive is refused.
"""

from collections.abc import Iterator

from ..errors import InvalidPackageError
from ..spec import Digest, Digester
from .decompress import PIECE_BYTES, Read
from .limits import UnpackLimits, exceeded
from .tar_fields import (
    BLOCK_BYTES,
    Span,
    decimal,
    invalid,
    parse_old_sparse,
    parse_pax,
    parse_sparse_map,
)
from .tar_headers import Extended, Kind, TarEntry, TarHeader, entry_of

__all__ = ["Kind", "TarEntry", "TarReader"]

_ZERO_BLOCK = bytes(BLOCK_BYTES)


class TarReader:
    """Reads the entries of one archive in order, from a blocking ``read``.

    Iterate to get each `TarEntry`; take the content of a file with `pieces` before going on. The
    iteration ends only after the end marker and nothing but zeros up to the end of the stream.

    Args:
        read: the uncompressed archive.
        limits: longest name and extended header, and how many headers.
        algorithm: hash the stream with this digest algorithm, or do not hash it.
        needs_end: without the zero blocks at its end an archive was cut off. False takes the end
            of the stream after any entry for the end: umoci 0.4 writes layers so, and what checks
            a digest of the whole stream knows that it is whole.

    Attributes:
        archive_digest: digest up to the two zero blocks that end the archive, as Go's reader
            consumes it and ORAS hashes it; after the iteration, if hashing.
        stream_digest: digest of the whole stream, the layer's diff id; likewise.

    Raises:
        InvalidPackageError: (while iterating) the archive is damaged, ambiguous or ends early.
        UnsupportedError: it holds an entry of a kind that is not supported.
        LimitExceededError: a name or an extended header is too long.
    """

    def __init__(
        self,
        read: Read,
        *,
        limits: UnpackLimits | None = None,
        algorithm: str | None = None,
        needs_end: bool = True,
    ) -> None:
        self.archive_digest: Digest | None = None
        self.stream_digest: Digest | None = None
        self._limits = limits or UnpackLimits()
        self._digester = Digester(algorithm) if algorithm else None
        self._input = _Input(read, self._digester)
        self._needs_end = needs_end
        self._globals = 0
        self._left = 0  # bytes of the current entry's stored content not read yet
        self._padding = 0
        self._spans: tuple[Span, ...] = ()
        self._size = 0

    def __iter__(self) -> Iterator[TarEntry]:
        while (entry := self._next()) is not None:
            yield entry

    @property
    def has_holes(self) -> bool:
        """Whether the current file has holes, before its content was taken."""
        return sum(length for _, length in self._spans) != self._size

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the content of the current file: offset in the file, and at most 1 MiB of bytes.

        Holes of a sparse file are not yielded.
        """
        for offset, length in self._spans:
            at, end = offset, offset + length
            while at < end:
                piece = self._input.piece(min(end - at, self._left))
                self._left -= len(piece)
                yield at, piece
                at += len(piece)
        self._spans = ()

    def _next(self) -> TarEntry | None:
        self._skip_content()
        extended = Extended()
        while True:
            block = self._input.take(BLOCK_BYTES, or_end=not self._needs_end)
            if block in {b"", _ZERO_BLOCK}:
                extended.require_unused()
                self._finish()
                return None
            header = TarHeader(block)
            if not self._take_extension(header, extended):
                return self._entry(header, extended)

    def _take_extension(self, header: TarHeader, extended: Extended) -> bool:
        """Read a header that says something of the next one; False if it is an entry itself."""
        if header.type == b"x":
            extended.set_pax(parse_pax(self._metadata(header)))
        elif header.type == b"g":
            extended.require_unused()
            parse_pax(self._metadata(header), for_all=True)
            self._globals += 1
            if self._globals > self._limits.entries:
                raise exceeded("entries", f"more than {self._limits.entries} global headers")
        elif header.type == b"L":
            extended.set_long_name(self._metadata(header))
        elif header.type == b"K":
            extended.set_long_link(self._metadata(header))
        else:
            return False
        return True

    def _entry(self, header: TarHeader, extended: Extended) -> TarEntry:
        entry, stored = entry_of(header, extended)
        limit = self._limits.path_bytes
        if len(entry.name.encode("utf-8", "surrogateescape")) > limit or (
            len(entry.link.encode("utf-8", "surrogateescape")) > limit
        ):
            raise exceeded("path_bytes", f"a name of more than {limit} bytes")
        spans: tuple[Span, ...] = ((0, entry.size),) if entry.size else ()
        padding = -stored % BLOCK_BYTES
        if header.type == b"S":
            spans = parse_old_sparse(header.block, self._input.take, self._limits)
        elif extended.sparse_version == "0.1":
            spans = parse_sparse_map(extended.sparse_map_01())
        elif extended.sparse_version == "1.0":
            spans, used = self._sparse_map_10(stored)
            stored -= used
        if header.type == b"S" or extended.sparse_version:
            _check_spans(entry, spans, stored)
        self._spans, self._left, self._padding = spans, stored, padding
        self._size = entry.size
        return entry

    def _sparse_map_10(self, stored: int) -> tuple[tuple[Span, ...], int]:
        """Read the map at the head of the content: decimal lines, padded to whole blocks."""
        blocks: list[bytes] = []
        lines = 0
        wanted: int | None = None
        while wanted is None or lines < wanted:
            if (len(blocks) + 1) * BLOCK_BYTES > min(stored, self._limits.pax_bytes):
                raise invalid("the map of a sparse file is damaged or too long")
            blocks.append(self._input.take(BLOCK_BYTES))
            lines += blocks[-1].count(b"\n")
            if wanted is None:  # the first number, always in the first block
                wanted = 1 + 2 * decimal(blocks[0].partition(b"\n")[0], "sparse map")
        numbers = b"".join(blocks).split(b"\n")[1:wanted]
        return parse_sparse_map(numbers), len(blocks) * BLOCK_BYTES

    def _metadata(self, header: TarHeader) -> bytes:
        size, limit = header.size, self._limits.pax_bytes
        if size > limit:
            raise exceeded("pax_bytes", f"an extended header of {size} bytes")
        data = self._input.take(size)
        self._input.take(-size % BLOCK_BYTES)
        return data

    def _skip_content(self) -> None:
        while self._left:
            self._left -= len(self._input.piece(min(self._left, PIECE_BYTES)))
        if self._padding:
            self._input.take(self._padding, or_end=not self._needs_end)
        self._spans, self._padding = (), 0

    def _finish(self) -> None:
        """Check the end: a second zero block or the end of the stream, then nothing but zeros."""
        second = self._input.take(BLOCK_BYTES, or_end=True)
        if second not in {b"", _ZERO_BLOCK}:
            raise InvalidPackageError(
                "the archive goes on after a block of zeros", hint="it is damaged; pack it again"
            )
        if self._digester:
            self._input.hash_consumed()
            self.archive_digest = self._digester.digest()
        while rest := self._input.piece(PIECE_BYTES, or_end=True):
            if rest.tobytes().strip(b"\0"):
                raise InvalidPackageError(
                    "something follows the end of the archive",
                    hint="readers disagree on what such an archive holds; pack it again",
                )
        if self._digester:
            self._input.hash_consumed()
            self.stream_digest = self._digester.digest()


def _check_spans(entry: TarEntry, spans: tuple[Span, ...], stored: int) -> None:
    at = total = 0
    for offset, length in spans:
        if offset < at or offset + length > entry.size:
            raise InvalidPackageError(f"the sparse file {entry.name!r} has a wrong map")
        at, total = offset + length, total + length
    if total != stored:
        raise InvalidPackageError(
            f"the map of the sparse file {entry.name!r} does not fit its content"
        )


class _Input:
    """Exact and bounded takes from a ``read`` that gives what it likes; hashes what was taken."""

    def __init__(self, read: Read, digester: Digester | None) -> None:
        self._read = read
        self._digester = digester
        self._piece = memoryview(b"")
        self._at = 0
        self._hashed = 0

    def take(self, count: int, *, or_end: bool = False) -> bytes:
        """Return exactly `count` bytes; with `or_end`, ``b""`` at the end of the stream."""
        end = self._at + count
        if end <= len(self._piece):
            data = bytes(self._piece[self._at : end])
            self._at = end
            return data
        parts: list[bytes] = []
        left = count
        while left:
            piece = self.piece(left, or_end=or_end and left == count)
            if not piece:
                return b""
            parts.append(bytes(piece))
            left -= len(piece)
        return b"".join(parts)

    def piece(self, max_bytes: int, *, or_end: bool = False) -> memoryview:
        """Return at least one and at most `max_bytes` bytes; with `or_end`, none at the end."""
        if self._at == len(self._piece):
            self.hash_consumed()
            self._piece = memoryview(self._read(PIECE_BYTES))
            self._at = self._hashed = 0
            if not self._piece and not or_end:
                raise InvalidPackageError(
                    "the archive ends early",
                    hint="it was cut off when it was made; it has to be packed again",
                )
        piece = self._piece[self._at : self._at + max_bytes]
        self._at += len(piece)
        return piece

    def hash_consumed(self) -> None:
        """Bring the digester up to what was taken."""
        if self._digester and self._at > self._hashed:
            self._digester.update(self._piece[self._hashed : self._at])
            self._hashed = self._at
