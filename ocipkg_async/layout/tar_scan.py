"""The members of a tar archive, found by a strict scan of its headers.

The standard library's reader takes sizes of extension headers on trust, guesses where it cannot
understand, and can be made to loop; this one refuses. It knows ustar, the PAX records ``path``
and ``size``, GNU long names and GNU base-256 numbers. A header that it cannot understand is an
error, never skipped (S-31). POSIX.1-2017 ``pax``, sections "ustar Interchange Format" and "pax
Header Block"; GNU tar manual, "Basic Tar Format".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidLayoutError, LimitExceededError, UnsupportedError
from .random_file import RandomFile

BLOCK = 512
MAX_MEMBERS = 100_000
"""Members of one archive; each costs some hundred bytes of memory, images have some dozen."""
MAX_EXTENSION_BYTES = 64 << 10
"""Size of one PAX or long-name header; the names in a layout have some 150 bytes."""
MAX_SIZE = 2**63 - 1
"""What sizes in the image specification are limited to."""

Kind = Literal["file", "folder", "link", "special"]
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "link",
    b"2": "link",
    b"3": "special",
    b"4": "special",
    b"5": "folder",
    b"6": "special",
}
_EMPTY = bytes(BLOCK)
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*", re.ASCII)
_NO_NUMBER = re.compile(rb"[ \0]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Member:
    """One member.

    Attributes:
        name: as it is written, not to be trusted.
        kind: what it is.
        offset: where its data begins in the archive.
        size: length of its data in bytes; 0 for all but files.
    """

    name: str
    kind: Kind
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    type: bytes
    size: int


def scan(file: RandomFile) -> Iterator[Member]:
    """Yield the members in order; blocks.

    What follows the end marker is ignored, as every reader does.

    Raises:
        InvalidLayoutError: a damaged header, or an archive that is cut off.
        UnsupportedError: a sparse file, or an extension that changes what a header means.
        LimitExceededError: too many members, or an extension header that is too large.
        StorageError: the file cannot be read.
    """
    end = file.size()
    position = members = 0
    extra: dict[str, str] = {}
    while (block := _next_block(file, position)) is not None:
        header = _parse(block, where=f"{file.name} at byte {position}")
        position += BLOCK
        members += 1
        if members > MAX_MEMBERS:
            raise LimitExceededError(f"{file.name} has more than {MAX_MEMBERS} members")
        if header.type in b"xgLK":
            extra |= _extension(file, header, position)
            position += _padded(header.size)
            continue
        kind = _KINDS.get(header.type)
        if kind is None:
            raise UnsupportedError(
                f"{file.name} has a member of the unknown type {header.type!r}: {header.name!r}"
            )
        size = _size(extra["size"], file) if "size" in extra else header.size
        # A link or device has no data, whatever size its header gives.
        size = size if kind == "file" else 0
        if size > end - position:
            raise InvalidLayoutError(
                f"{file.name} is cut off inside {header.name!r}",
                hint="fetch or copy the archive again",
            )
        yield Member(extra.get("path", header.name), kind, position, size)
        extra = {}
        position += _padded(size)
    if extra:
        raise InvalidLayoutError(f"{file.name} ends after an extension header")


def _next_block(file: RandomFile, position: int) -> bytes | None:
    """Return the next header block, or None at the end marker: two blocks of zeros.

    The second is not insisted on, since some writers leave it out.
    """
    block = file.read_exactly(position, BLOCK)
    if block != _EMPTY:
        return block
    if file.read(position + BLOCK, BLOCK) not in {_EMPTY, b""}:
        raise InvalidLayoutError(f"{file.name} has an empty header in its middle")
    return None


def _parse(block: bytes, *, where: str) -> _Header:
    stored = _number(block[148:156], where=where)
    unsigned = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    # Some old writers summed signed bytes.
    signed = unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
    if stored not in {unsigned, signed}:
        raise InvalidLayoutError(
            f"{where}: no tar header, or a damaged one", hint="is this an archive?"
        )
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return _Header(
        name=name.decode("utf-8", "surrogateescape"),
        type=block[156:157],
        size=_number(block[124:136], where=where),
    )


def _number(field: bytes, *, where: str) -> int:
    if field[0] == 0x80:  # base 256, positive
        value = int.from_bytes(field[1:], "big")
    else:
        match = _OCTAL.fullmatch(field)
        if match is None and not _NO_NUMBER.fullmatch(field):
            raise InvalidLayoutError(f"{where}: a damaged tar header: {field!r} is not a number")
        value = int(match[1], 8) if match else 0
    if value > MAX_SIZE:
        raise InvalidLayoutError(f"{where}: a damaged tar header: {value} is too large")
    return value


def _extension(file: RandomFile, header: _Header, position: int) -> dict[str, str]:
    """Return what an extension header says of the next member."""
    if header.size > MAX_EXTENSION_BYTES:
        raise LimitExceededError(
            f"{file.name} has an extension header of {header.size} bytes; "
            f"at most {MAX_EXTENSION_BYTES} are read"
        )
    data = file.read_exactly(position, header.size)
    if header.type == b"L":
        return {"path": data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    if header.type == b"K":
        return {}  # the target of a link, which nothing here follows
    records = _records(data, file)
    changing = header.type == b"g" and not records.keys().isdisjoint({"path", "size"})
    if changing or any(key.startswith("GNU.sparse.") for key in records):
        raise UnsupportedError(
            f"{file.name} has sparse members, or one header for many members",
            hint="write the archive again with another program",
        )
    return {key: records[key] for key in ("path", "size") if key in records}


def _records(data: bytes, file: RandomFile) -> dict[str, str]:
    """Parse PAX records: length, key and value, each on its line; a later one counts."""
    records: dict[str, str] = {}
    while data:
        digits, blank, _ = data[:20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record[:-1].partition(b"=")
        if not blank or length > len(data) or not record.endswith(b"\n") or not equals:
            raise InvalidLayoutError(f"{file.name} has a damaged PAX header")
        if b"\0" in key + value and key in {b"path", b"size"}:
            raise InvalidLayoutError(f"{file.name} has a PAX header with a zero byte")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    return records


def _size(text: str, file: RandomFile) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or int(text) > MAX_SIZE:
        raise InvalidLayoutError(f"{file.name} has a damaged PAX header: the size {text[:40]!r}")
    return int(text)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
