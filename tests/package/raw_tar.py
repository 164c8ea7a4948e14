"""Tar archives by hand, header by header, since no library writes the ones that must be refused."""

from collections.abc import Mapping

BLOCK = 512
USTAR = b"ustar\x0000"
GNU = b"ustar  \0"


def octal(value: int, width: int = 12) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def header(
    name: bytes,
    *,
    kind: bytes = b"0",
    size: int | bytes = 0,
    link: bytes = b"",
    mode: int | bytes = 0o644,
    mtime: int | bytes = 0,
    magic: bytes = USTAR,
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block; numbers are written in octal, bytes as they are."""
    block = bytearray(BLOCK)
    fields = (
        (0, name),
        (100, octal(mode, 8) if isinstance(mode, int) else mode),
        (108, octal(0, 8)),
        (116, octal(0, 8)),
        (124, octal(size) if isinstance(size, int) else size),
        (136, octal(mtime) if isinstance(mtime, int) else mtime),
        (148, b" " * 8),
        (156, kind),
        (157, link),
        (257, magic),
        (345, tail),
    )
    for at, value in fields:
        block[at : at + len(value)] = value
    block[148:156] = checksum if checksum is not None else b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def file(name: bytes, data: bytes = b"", **fields: object) -> bytes:
    return header(name, **({"size": len(data)} | fields)) + padded(data)  # type: ignore[arg-type]


def folder(name: bytes, mode: int = 0o755) -> bytes:
    return header(name, kind=b"5", mode=mode)


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"2", link=target, mode=0o777)


def hardlink(name: bytes, target: bytes) -> bytes:
    return header(name, kind=b"1", link=target)


def record(key: bytes, value: bytes) -> bytes:
    """One PAX record, whose length counts itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def pax(records: Mapping[bytes, bytes] | bytes, kind: bytes = b"x") -> bytes:
    data = (
        records
        if isinstance(records, bytes)
        else b"".join(record(key, value) for key, value in records.items())
    )
    return file(b"PaxHeaders/x", data, kind=kind)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return file(b"././@LongLink", name + b"\0", kind=kind, magic=GNU)


def archive(*entries: bytes, zeros: int = 2) -> bytes:
    return b"".join(entries) + bytes(BLOCK * zeros)
