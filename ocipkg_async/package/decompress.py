"""A layer's bytes, uncompressed: gzip, zstd or plain tar, told apart by their first bytes (I-41)."""

import sys
from collections.abc import Callable
from typing import Protocol

from isal import igzip_lib

from ..errors import InvalidPackageError, UnsupportedError
from ..spec import media_types
from .limits import RATIO_GRACE_BYTES, UnpackLimits, exceeded

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Read = Callable[[int], bytes]
"""Blocking: up to so many bytes, at least one, or ``b""`` at the end."""

PIECE_BYTES = 1 << 20
"""How much is read and decoded at a time: the most that one call can expand to in memory."""
# A new member is fed little at first: what lies behind its end is copied once for each member,
# and thousands of tiny members in one piece would make that slower than linear.
_FIRST_FEED_BYTES = 4096
# Layers that are read in part have a member for each file or, of large ones, for each 4 MiB.
_MEMBERS_PER_ENTRY = 2
# The format allows windows up to 2 GiB, held in memory; 128 MiB is what the zstd command accepts.
_ZSTD_WINDOW_LOG = 27

_MAGIC_BYTES = 4
_GzipError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # its stub has no base
_KNOWN = frozenset({"", "gzip", "gz", "zstd", "zst"})
_FOREIGN_MAGIC = {b"BZh": "bzip2", b"\xfd7zX": "xz", b"\x04\x22\x4d\x18": "lz4"}
_BROKEN_HINT = "the layer is as its author pushed it; it has to be packed and pushed again"


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview | bytes, max_length: int, /) -> bytes: ...


def _new_gzip() -> _Decoder:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)


def _new_zstd() -> _Decoder:
    return zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    )


def _is_gzip(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b"


def _is_zstd(head: bytes) -> bool:
    skippable = head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
    return head[:4] == b"\x28\xb5\x2f\xfd" or skippable


class LayerStream:
    """Uncompressed bytes of a layer; get one from `open_layer`.

    Attributes:
        compression: ``gzip``, ``zstd`` or ``""``.
        compressed_bytes: how much was taken from the source so far.
        uncompressed_bytes: how much was handed out so far.
    """

    def __init__(self, read: Read, limits: UnpackLimits) -> None:
        self.compressed_bytes = 0
        self.uncompressed_bytes = 0
        self._members = 1
        self._source = read
        self._limits = limits
        self._piece = memoryview(b"")
        self._at = 0
        head = self._peek()
        self.compression, self._new, self._continues = _recognise(head)
        self._decoder = self._new() if self._new else None
        self._feed_bytes = _FIRST_FEED_BYTES

    def read(self, max_bytes: int) -> bytes:
        """Return up to `max_bytes` bytes, at most 1 MiB, at least one, or ``b""`` at the end.

        Raises:
            InvalidPackageError: the stream is damaged, ends early, or something follows its end.
            LimitExceededError: it expands too far.
        """
        wanted = min(max_bytes, PIECE_BYTES)
        data = self._plain(wanted) if self._new is None else self._decoded(wanted, self._new)
        self.uncompressed_bytes += len(data)
        self._check_limits()
        return data

    def _check_limits(self) -> None:
        done, limits = self.uncompressed_bytes, self._limits
        if done > limits.total_bytes:
            raise exceeded("total_bytes", f"a layer of more than {limits.total_bytes} bytes")
        if done > RATIO_GRACE_BYTES and done > limits.ratio * self.compressed_bytes:
            raise exceeded("ratio", f"a layer that expands more than {limits.ratio} times")

    def _plain(self, wanted: int) -> bytes:
        if self._at == len(self._piece) and not self._refill():
            return b""
        return bytes(self._feed(wanted))

    def _decoded(self, wanted: int, new: Callable[[], _Decoder]) -> bytes:
        while True:
            if self._decoder is None:
                if not self._more_members():
                    return b""
                self._count_member()
                self._decoder, self._feed_bytes = new(), _FIRST_FEED_BYTES
            if data := self._step(self._decoder, wanted):
                return data

    def _step(self, decoder: _Decoder, wanted: int) -> bytes:
        feed = memoryview(b"")
        if decoder.needs_input:
            if self._at == len(self._piece) and not self._refill():
                raise InvalidPackageError(
                    f"the layer's {self.compression} stream ends early", hint=_BROKEN_HINT
                )
            feed = self._feed(self._feed_bytes)
            self._feed_bytes = min(2 * self._feed_bytes, PIECE_BYTES)
        try:
            data = decoder.decompress(feed, wanted)
        except (_GzipError, zstd.ZstdError) as error:
            raise InvalidPackageError(
                f"the layer's {self.compression} stream is damaged: {error}", hint=_BROKEN_HINT
            ) from error
        if decoder.eof:
            self._at -= len(decoder.unused_data)  # always a tail of the last feed
            self._decoder = None
        return data

    def _more_members(self) -> bool:
        """Whether another member or frame follows; zeros up to the end are padding."""
        head = self._peek()
        if not head or self._continues(head):
            return bool(head)
        while head:
            if bytes(self._piece[self._at :]).strip(b"\0"):
                raise InvalidPackageError(
                    f"something follows the end of the layer's {self.compression} stream",
                    hint=_BROKEN_HINT,
                )
            head = self._refill()
        return False

    def _count_member(self) -> None:
        """Count a further member or frame: an empty one costs time, and shows in no other limit."""
        self._members += 1
        if self._members > _MEMBERS_PER_ENTRY * self._limits.entries:
            raise exceeded("entries", f"a layer of {self._members} compressed pieces")

    def _feed(self, max_bytes: int) -> memoryview:
        feed = self._piece[self._at : self._at + max_bytes]
        self._at += len(feed)
        return feed

    def _peek(self) -> bytes:
        """Return the next four bytes, fewer at the end, and leave them there."""
        while len(self._piece) - self._at < _MAGIC_BYTES:
            rest = bytes(self._piece[self._at :])
            more = self._refill()
            if rest:
                self._piece, self._at = memoryview(rest + more), 0
            if not more:
                break
        return bytes(self._piece[self._at : self._at + _MAGIC_BYTES])

    def _refill(self) -> bytes:
        data = self._source(PIECE_BYTES)
        self.compressed_bytes += len(data)
        self._piece, self._at = memoryview(data), 0
        return data


def _recognise(
    head: bytes,
) -> tuple[str, Callable[[], _Decoder] | None, Callable[[bytes], bool]]:
    if _is_gzip(head):
        return "gzip", _new_gzip, _is_gzip
    if _is_zstd(head):
        return "zstd", _new_zstd, _is_zstd
    for magic, name in _FOREIGN_MAGIC.items():
        if head.startswith(magic):
            raise _unsupported(name)
    return "", None, _is_gzip


def _unsupported(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"the layer is compressed with {name!r}, which cannot be unpacked here",
        hint="copy it as it is, or have it packed with gzip or zstd",
    )


def open_layer(
    read: Read, media_type: str | None, *, limits: UnpackLimits | None = None
) -> LayerStream:
    """Open a layer for reading its uncompressed tar.

    Args:
        read: the layer's bytes, verified before; blocking.
        media_type: decides only what is refused, None nothing; how to decompress is seen from the
            first bytes.
        limits: how far it may expand.

    Raises:
        UnsupportedError: no tar type, or compressed with something else than gzip or zstd.
    """
    compression = "" if media_type is None else media_types.tar_compression(media_type)
    if compression is None:
        raise UnsupportedError(
            f"a layer of type {media_type} is not a tar archive and cannot be unpacked",
            hint="copy it as it is, or fetch the blob",
        )
    if compression not in _KNOWN:
        raise _unsupported(compression)
    return LayerStream(read, limits or UnpackLimits())
