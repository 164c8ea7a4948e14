"""A tar stream whose bytes follow from its entries alone: ustar, PAX records where needed.

POSIX.1-2017 ``pax``, sections "ustar Interchange Format" and "pax Interchange Format". It ends
with exactly two zero blocks: ORAS hashes what Go's tar reader consumes, which stops there, so
padding behind them would be a digest mismatch for ORAS (spec check I-69).
"""

import errno
import io
import os
import stat
import struct
from collections.abc import Callable

from ..errors import InvalidArgumentError, InvalidPackageError, storage_errors
from .entry import Entry

BLOCK_BYTES = 1 << 20
"""Size of the pieces handed on; also what one compression job takes, so that none is copied."""

_RECORD = 512
_MAX_OCTAL = 8**11 - 1  # a twelve-byte field holds eleven octal digits and a zero byte
_MAX_NAME = 100
_MAX_PREFIX = 155
_USTAR = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 32s 32s 8s 8s 155s 12x")
_ZERO = b"0000000\0"
_MAGIC = b"ustar\x0000"
_TYPES = {"file": b"0", "directory": b"5", "symlink": b"2", "pax": b"x"}
# O_NONBLOCK: what was a file a moment ago may be a fifo now, and must not hang.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def header(
    name: str, kind: str, *, mode: int, size: int = 0, mtime_s: int = 0, link: str = ""
) -> bytes:
    """Return the header of one entry: 512 bytes, or more where PAX records come first.

    Args:
        name: slash-separated path; a directory's ends with a slash.
        kind: ``file``, ``directory`` or ``symlink``.
        mode: permission bits.
        size: bytes of content that follow.
        mtime_s: seconds since 1970.
        link: target of a symlink.
    """
    records: dict[str, str] = {}
    prefix, base = _split(name) or ("", "")
    if not base:
        records["path"] = name
        base = _ascii(name)
    if not link.isascii() or len(link) > _MAX_NAME:
        records["linkpath"] = link
        link = _ascii(link)
    if size > _MAX_OCTAL:
        records["size"] = str(size)
        size = 0
    plain = _ustar(
        base, _TYPES[kind], prefix=prefix, mode=mode, size=size, mtime_s=mtime_s, link=link
    )
    if not records:
        return plain
    body = b"".join(_pax_record(key, value) for key, value in sorted(records.items()))
    first = _ustar("PaxHeader", _TYPES["pax"], mode=0o644, size=len(body), mtime_s=mtime_s)
    return b"".join((first, body, bytes(-len(body) % _RECORD), plain))


def _ustar(
    name: str,
    kind: bytes,
    *,
    mode: int,
    size: int,
    mtime_s: int,
    prefix: str = "",
    link: str = "",
) -> bytes:
    fields = [
        name.encode(),
        b"%07o\0" % mode,
        _ZERO,  # owner
        _ZERO,  # group
        b"%011o\0" % size,
        b"%011o\0" % mtime_s,
        b"        ",  # the sum counts its own field as spaces
        kind,
        link.encode(),
        _MAGIC,
        b"",
        b"",
        _ZERO,  # device numbers
        _ZERO,
        prefix.encode(),
    ]
    fields[6] = b"%06o\0 " % sum(_USTAR.pack(*fields))
    return _USTAR.pack(*fields)


def _split(name: str) -> tuple[str, str] | None:
    """Split a path into ustar's prefix and name; None if it does not fit."""
    if not name.isascii():
        return None
    if len(name) <= _MAX_NAME:
        return "", name
    # A directory's last slash stays with its name.
    cut = name.rfind("/", 0, min(_MAX_PREFIX + 1, len(name) - 1))
    if cut <= 0 or len(name) - cut - 1 > _MAX_NAME:
        return None
    return name[:cut], name[cut + 1 :]


def _ascii(text: str) -> str:
    """Return what stands in a field whose true value is in a PAX record."""
    return "".join(c if c.isascii() else "_" for c in text)[:_MAX_NAME]


def _pax_record(key: str, value: str) -> bytes:
    """Return one record; the length in front counts its own digits."""
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length += 1
    return str(length).encode() + rest


class TarWriter:
    """Writes a tar stream in pieces of `BLOCK_BYTES`, the last one shorter. Blocking.

    Args:
        write: takes each piece, and may keep it: it is not changed afterwards.
        mtime_s: seconds since 1970, for every entry.
        prefix: put before every name, with a slash between.

    Attributes:
        name: the entry that was added last.
        entries: how many entries there are so far.
        content_bytes: bytes of file content so far.
        size: bytes of the stream handed to `write` so far.

    Raises:
        InvalidArgumentError: `mtime_s` does not fit into a tar header.
    """

    def __init__(
        self, write: Callable[[bytearray], object], *, mtime_s: int = 0, prefix: str = ""
    ) -> None:
        if not 0 <= mtime_s <= _MAX_OCTAL:
            raise InvalidArgumentError(
                f"the time {mtime_s} is not between 0 and {_MAX_OCTAL}",
                hint="give seconds since 1970",
            )
        self.name = ""
        self.entries = 0
        self.content_bytes = 0
        self.size = 0
        self._write = write
        self._mtime_s = mtime_s
        self._prefix = prefix + "/" if prefix else ""
        self._block = bytearray(BLOCK_BYTES)
        self._fill = 0

    def add(self, entry: Entry) -> None:
        """Write one entry with its content.

        Raises:
            InvalidPackageError: the file is not what it was when it was found.
            StorageError: it cannot be read.
        """
        self.name = entry.name
        self.entries += 1
        name = self._prefix + entry.name
        if entry.kind == "file":
            mode = 0o755 if entry.executable else 0o644
            self._put(header(name, "file", mode=mode, size=entry.size, mtime_s=self._mtime_s))
            self._put_content(entry)
            self._pad()
        elif entry.kind == "directory":
            self.add_directory(name)
        else:
            self._put(header(name, "symlink", mode=0o777, mtime_s=self._mtime_s, link=entry.link))

    def add_directory(self, name: str) -> None:
        """Write a directory entry under exactly this name."""
        self._put(header(name + "/", "directory", mode=0o755, mtime_s=self._mtime_s))

    def close(self) -> None:
        """Write the two zero blocks and what is still held back."""
        self._put(bytes(2 * _RECORD))
        if self._fill:
            del self._block[self._fill :]
            self._hand_on()

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            taken = min(len(view), BLOCK_BYTES - self._fill)
            self._block[self._fill : self._fill + taken] = view[:taken]
            self._advance(taken)
            view = view[taken:]

    def _pad(self) -> None:
        # The block is as new behind its fill: zeroes. Its size is a multiple of a record's.
        rest = -self._fill % _RECORD
        if rest:
            self._block[self._fill : self._fill + rest] = bytes(rest)
            self._advance(rest)

    def _put_content(self, entry: Entry) -> None:
        with storage_errors(f"read {entry.path}"), _open(entry) as file:
            left = entry.size
            while left:
                room = min(left, BLOCK_BYTES - self._fill)
                got = file.readinto(memoryview(self._block)[self._fill : self._fill + room])
                if not got:
                    raise _changed(entry)
                left -= got
                self.content_bytes += got
                self._advance(got)
            if file.read(1):
                raise _changed(entry)

    def _advance(self, count: int) -> None:
        self._fill += count
        if self._fill == BLOCK_BYTES:
            self._hand_on()

    def _hand_on(self) -> None:
        block, self._block, self._fill = self._block, bytearray(BLOCK_BYTES), 0
        self.size += len(block)
        self._write(block)


def _open(entry: Entry) -> io.FileIO:
    flags = _READ_FLAGS if entry.followed else _READ_FLAGS | _NO_FOLLOW
    try:
        fd = os.open(entry.path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symlink stands where the file was
            raise _changed(entry) from error
        raise
    file = io.FileIO(fd, "rb")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        file.close()
        raise _changed(entry)
    return file


def _changed(entry: Entry) -> InvalidPackageError:
    return InvalidPackageError(
        f"{entry.path} changed while it was packed",
        hint="pack again when nothing writes to it",
    )
