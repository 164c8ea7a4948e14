"""Headers of the members we write: ustar, with a PAX header only where ustar has no room (O-13).

Everything that could differ between two machines is fixed (O-12): times and owners are 0, modes
are 0644.
"""

BLOCK = 512
END = bytes(2 * BLOCK)
"""The end of an archive: exactly two blocks, with nothing behind them."""
MAX_USTAR_SIZE = 8**11 - 1
_MAX_USTAR_NAME = 100


def header(name: str, size: int) -> bytes:
    """Return the header blocks of a regular file.

    Args:
        name: its path in the archive, ASCII.
        size: length of its data in bytes.
    """
    records: dict[str, str] = {}
    if len(name) > _MAX_USTAR_NAME:
        records["path"] = name
    if size > MAX_USTAR_SIZE:
        records["size"] = str(size)
    if not records:
        return _block(name, size, b"0")
    data = b"".join(_record(key, value) for key, value in records.items())
    short = name[:_MAX_USTAR_NAME]
    # A reader that knows PAX ignores the size beside it, one that does not must not trust it.
    plain = _block(short, 0 if size > MAX_USTAR_SIZE else size, b"0")
    return _block("PaxHeader", len(data), b"x") + data + padding(len(data)) + plain


def padding(size: int) -> bytes:
    """Return the zeros that follow data of `size` bytes."""
    return bytes(-size % BLOCK)


def _record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n"
    length = len(body) + 1
    while length != len(body) + len(str(length)):  # the length counts its own digits
        length = len(body) + len(str(length))
    return f"{length}{body}".encode("ascii")


def _block(name: str, size: int, kind: bytes) -> bytes:
    start = name.encode("ascii").ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    start += b"%011o\0" % size + b"%011o\0" % 0
    rest = kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
    rest = rest.ljust(BLOCK - 156, b"\0")
    checksum = sum(start) + sum(rest) + 8 * ord(" ")
    return start + b"%06o\0 " % checksum + rest
