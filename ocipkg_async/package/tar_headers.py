"""Tar header blocks, and what extended headers say of them, joined to entries; pure.

Formats: POSIX.1-2008 ``pax`` interchange format and the GNU tar manual's "Basic Tar Format".
"""

import enum
import re
from dataclasses import dataclass

from ..errors import UnsupportedError
from .tar_fields import decimal, invalid, long_text, number, text_of

# Far beyond any date, far below what breaks time arithmetic.
_MAX_TIME_S = 2**40


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
        self._name = long_text(data, self._name)

    def set_long_link(self, data: bytes) -> None:
        """Keep the content of a GNU long link target."""
        self._link = long_text(data, self._link)

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
        name=text_of(name),
        kind=kind,
        mode=header.mode,
        size=_real_size(header, extended, stored),
        mtime_s=_mtime(header, extended),
        link=text_of(link) if kind in _LINKS else "",
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
