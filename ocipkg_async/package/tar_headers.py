"""Tar header blocks and extended headers: bytes to values, strictly; pure.

Formats: POSIX.1-2008 ``pax`` interchange format, the GNU tar manual's "Basic Tar Format" and
"Storing Sparse Files".
"""

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import InvalidPackageError, UnsafeArchiveError, UnsupportedError
from .limits import UnpackLimits, exceeded

BLOCK_BYTES = 512
Span = tuple[int, int]
"""Offset and length of a run of content in a sparse file."""

_MAX_NUMBER = 2**63 - 1
# Far beyond any date, far below what breaks time arithmetic.
_MAX_TIME_S = 2**40
_DAMAGED_HINT = "the archive is damaged, or made to confuse readers; pack it again"


class Kind(enum.Enum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "FIFO"


_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,  # contiguous, a wish to the file system
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_LINKS = frozenset({Kind.SYMLINK, Kind.HARDLINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """One entry of an archive.

    Attributes:
        name: as written, decoded as UTF-8 with surrogate escapes; nothing is stripped but the
            slash that ends a directory's name.
        kind: what it is.
        mode: permission bits with setuid, setgid and sticky.
        size: length of the file in bytes, holes included; 0 for all other kinds.
        mtime_s: seconds since 1970, negative before.
        link: target of a link, as written, else empty.
    """

    name: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    mtime_s: float = 0.0
    link: str = ""


class TarHeader:
    """One header block, its checksum verified; fields are parsed when asked for."""

    __slots__ = ("block", "size", "type")

    def __init__(self, block: bytes) -> None:
        self.block = block
        written = number(block[148:156], "checksum")
        unsigned = sum(block) - sum(block[148:156]) + 8 * 0x20
        if written != unsigned:
            # Some old writers summed signed characters.
            signed = unsigned - 256 * sum(1 for byte in block[:148] + block[156:] if byte > 127)
            if written != signed:
                raise invalid("a header has a wrong checksum")
        self.type = block[156:157]
        self.size = number(block[124:136], "size")

    @property
    def name(self) -> bytes:
        """The name, joined with the prefix where the format has one."""
        block = self.block
        name = block[:100].partition(b"\0")[0]
        if block[257:263] != b"ustar\0":
            return name
        end = 476 if block[508:] == b"tar\0" else 500  # star keeps times behind a short prefix
        prefix = block[345:end].partition(b"\0")[0]
        return prefix + b"/" + name if prefix else name

    @property
    def link(self) -> bytes:
        """The link target."""
        return self.block[157:257].partition(b"\0")[0]

    @property
    def mode(self) -> int:
        """Permission bits; the file type that some writers add is dropped."""
        return number(self.block[100:108], "mode") & 0o7777

    @property
    def mtime_s(self) -> int:
        """Modification time."""
        return number(self.block[136:148], "time", signed=True)


class Extended:
    """What extended headers said of the entry that comes next."""

    def __init__(self) -> None:
        self._pax: dict[bytes, bytes] | None = None
        self._name: bytes | None = None
        self._link: bytes | None = None
        self.sparse_version = ""

    def set_pax(self, pax: dict[bytes, bytes]) -> None:
        """Keep the records of a local PAX header, the only one for this entry."""
        if self._pax is not None:
            raise invalid("two extended headers stand before one entry")
        self._pax = pax
        major, minor = pax.get(b"GNU.sparse.major"), pax.get(b"GNU.sparse.minor")
        if (major, minor) == (b"1", b"0"):
            self.sparse_version = "1.0"
        elif major is None and minor is None and b"GNU.sparse.map" in pax:
            self.sparse_version = "0.1"
        elif any(key.startswith(b"GNU.sparse.") for key in pax):
            raise UnsupportedError(
                "the archive has sparse files of an unknown version",
                hint="pack it again without --sparse",
            )

    def set_long_name(self, data: bytes) -> None:
        """Keep the content of a GNU long name."""
        self._name = _long_text(data, self._name)

    def set_long_link(self, data: bytes) -> None:
        """Keep the content of a GNU long link target."""
        self._link = _long_text(data, self._link)

    def require_unused(self) -> None:
        """Check that no extended header waits for an entry."""
        if (self._pax, self._name, self._link) != (None, None, None):
            raise invalid("an extended header stands before no entry")

    @property
    def name(self) -> bytes | None:
        """The name, if one was given."""
        if self.sparse_version and (name := self.pax(b"GNU.sparse.name")):
            return name
        return self._only(self._name, self.pax(b"path"))

    @property
    def link(self) -> bytes | None:
        """The link target, if one was given."""
        return self._only(self._link, self.pax(b"linkpath"))

    def pax(self, key: bytes) -> bytes | None:
        """The value of a PAX record, or None."""
        return (self._pax or {}).get(key)

    def sparse_map_01(self) -> list[bytes]:
        """The numbers of a sparse map of version 0.1."""
        return (self.pax(b"GNU.sparse.map") or b"").split(b",")

    def _only(self, long: bytes | None, pax: bytes | None) -> bytes | None:
        if long is not None and pax is not None:
            raise invalid("an entry has both a GNU and a PAX long name")
        return long if pax is None else pax


def entry_of(header: TarHeader, extended: Extended) -> tuple[TarEntry, int]:
    """Join a header with what its extended headers said.

    Returns:
        the entry, and how many bytes of content are stored for it.
    """
    kind = _KINDS.get(header.type)
    if kind is None:
        raise UnsupportedError(
            f"the archive has an entry of type {header.type.decode('latin-1')!r}",
            hint="only files, directories, links, devices and FIFOs are known",
        )
    name = header.name if extended.name is None else extended.name
    if header.type == b"\0" and name.endswith(b"/"):
        kind = Kind.DIRECTORY  # as tar wrote them before it had a type for directories
    if kind is Kind.DIRECTORY:
        name = name.rstrip(b"/") or name[:1]
    link = header.link if extended.link is None else extended.link
    stored = header.size
    if (size := extended.pax(b"size")) is not None:
        stored = decimal(size, "size")
    entry = TarEntry(
        name=_text(name),
        kind=kind,
        mode=header.mode,
        size=_real_size(header, extended, stored),
        mtime_s=_mtime(header, extended),
        link=_text(link) if kind in _LINKS else "",
    )
    _check_entry(entry, stored, extended)
    return entry, stored


def _check_entry(entry: TarEntry, stored: int, extended: Extended) -> None:
    if not entry.name or "\0" in entry.name + entry.link:
        raise invalid("an entry has no name, or a NUL in it")
    if entry.kind in _LINKS and not entry.link:
        raise invalid(f"the link {entry.name!r} has no target")
    if entry.kind is not Kind.FILE and (stored or extended.sparse_version):
        raise invalid(f"the {entry.kind.value} {entry.name!r} has content")
    if entry.kind is Kind.FILE and entry.name.endswith("/"):
        raise invalid(f"the file {entry.name!r} is named like a directory")


def _real_size(header: TarHeader, extended: Extended, stored: int) -> int:
    if header.type == b"S":
        if extended.sparse_version:
            raise invalid("a sparse file is described twice")
        return number(header.block[483:495], "size")
    if not extended.sparse_version:
        return stored
    key = b"GNU.sparse.realsize" if extended.sparse_version == "1.0" else b"GNU.sparse.size"
    return decimal(extended.pax(key) or b"", "size")


def _mtime(header: TarHeader, extended: Extended) -> float:
    written = extended.pax(b"mtime")
    if written is None:
        time_s: float = header.mtime_s
    elif len(written) <= _MAX_TIME_TEXT and _PAX_TIME.fullmatch(written):
        time_s = float(written)
    else:
        raise invalid("an extended header has a wrong time")
    if abs(time_s) > _MAX_TIME_S:
        raise invalid("an entry has an absurd time")
    return time_s


_PAX_TIME = re.compile(rb"-?[0-9]+(?:\.[0-9]*)?")
_MAX_TIME_TEXT = 64


def invalid(what: str) -> InvalidPackageError:
    """Return the error for a damaged or ambiguous archive."""
    return InvalidPackageError(f"the layer is not a valid archive: {what}", hint=_DAMAGED_HINT)


def number(field: bytes, what: str, *, signed: bool = False) -> int:
    """Parse a numeric header field: octal text or base 256.

    Raises:
        InvalidPackageError: neither, negative where that means nothing, or above 2**63 - 1.
    """
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        if field[0] & 0x40:
            value -= 1 << bits
        if (value < 0 and not signed) or abs(value) > _MAX_NUMBER:
            raise invalid(f"a header has an absurd {what}")
        return value
    text = field.lstrip(b" ").rstrip(b" \0")
    if text.strip(b"01234567"):
        raise invalid(f"a header has a {what} that is no octal number")
    return int(text or b"0", 8)


def decimal(text: bytes, what: str) -> int:
    """Parse a decimal number of an extended header.

    Raises:
        InvalidPackageError: it is none, or above 2**63 - 1.
    """
    if len(text) > _MAX_DIGITS or not text.isdigit() or int(text) > _MAX_NUMBER:
        raise invalid(f"an extended header has a wrong {what}")
    return int(text)


_MAX_DIGITS = 19
# What changes which entries there are or where they go. In a global header readers disagree on it.
_DECISIVE = frozenset({b"path", b"linkpath", b"size"})
# Version 0.0 repeats these for each run of content.
_SPARSE_00 = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})


def parse_pax(data: bytes, *, for_all: bool = False) -> dict[bytes, bytes]:
    """Parse the records of an extended header; an empty value takes a key back (POSIX).

    Args:
        data: its content.
        for_all: it is a global header, which may hold nothing that names or sizes entries.

    Raises:
        InvalidPackageError: not records, or a key twice.
        UnsafeArchiveError: a global header that names or sizes entries.
        UnsupportedError: a sparse file of version 0.0.
    """
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        length_text, space, _ = data[at : at + _MAX_DIGITS + 1].partition(b" ")
        if not space or not length_text.isdigit():
            raise invalid("an extended header has a record without length")
        end = at + int(length_text)
        key, equals, value = data[at + len(length_text) + 1 : end - 1].partition(b"=")
        if end > len(data) or data[end - 1 : end] != b"\n" or not key or not equals:
            raise invalid("an extended header has a damaged record")
        if key in _SPARSE_00:
            raise UnsupportedError(
                "the archive has sparse files of version 0.0",
                hint="pack it again without --sparse",
            )
        if key in records:
            raise invalid(f"an extended header has the key {_text(key)[:60]!r} twice")
        if for_all and (key in _DECISIVE or key.startswith(b"GNU.sparse.")):
            raise UnsafeArchiveError(
                f"a global header sets {_text(key)[:60]!r} for all entries", hint=_DAMAGED_HINT
            )
        records[key] = value
        at = end
    return {key: value for key, value in records.items() if value}


def _long_text(data: bytes, earlier: bytes | None) -> bytes:
    if earlier is not None:
        raise invalid("two long names stand before one entry")
    text, _, rest = data.partition(b"\0")
    if not text or rest.strip(b"\0"):
        raise invalid("a long name is empty, or has a NUL in it")
    return text


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def parse_old_sparse(
    header: TarHeader, take: Callable[[int], bytes], limits: UnpackLimits
) -> tuple[Span, ...]:
    """Read the map of a GNU sparse file, from its header and the blocks that follow it."""
    spans, more = _old_spans(header.block[386:482]), header.block[482]
    blocks = 0
    while more:
        blocks += 1
        if blocks * BLOCK_BYTES > limits.pax_bytes:
            raise exceeded("pax_bytes", "a sparse file with a very long map")
        block = take(BLOCK_BYTES)
        spans += _old_spans(block[:504])
        more = block[504]
    return tuple(spans)


def _old_spans(fields: bytes) -> list[Span]:
    spans: list[Span] = []
    for at in range(0, len(fields), 24):
        if fields[at] == 0:
            break
        spans.append(
            (number(fields[at : at + 12], "offset"), number(fields[at + 12 : at + 24], "size"))
        )
    return spans


def parse_sparse_map(numbers: Iterable[bytes]) -> tuple[Span, ...]:
    """Parse offsets and lengths in turn."""
    values = [decimal(text, "sparse map") for text in numbers]
    if len(values) % 2:
        raise invalid("the map of a sparse file has an odd length")
    return tuple(zip(values[::2], values[1::2], strict=True))
