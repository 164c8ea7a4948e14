"""Fields and records of tar archives: bytes to values, strictly; pure.

Formats: POSIX.1-2008 ``pax`` interchange format, the GNU tar manual's "Basic Tar Format" and
"Storing Sparse Files".
"""

from collections.abc import Callable, Iterable

from ..errors import InvalidPackageError, UnsafeArchiveError, UnsupportedError
from .limits import UnpackLimits, exceeded

BLOCK_BYTES = 512
Span = tuple[int, int]
"""Offset and length of a run of content in a sparse file."""

_MAX_NUMBER = 2**63 - 1
_DAMAGED_HINT = "the archive is damaged, or made to confuse readers; pack it again"


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
            raise invalid(f"an extended header has the key {text_of(key)[:60]!r} twice")
        if for_all and (key in _DECISIVE or key.startswith(b"GNU.sparse.")):
            raise UnsafeArchiveError(
                f"a global header sets {text_of(key)[:60]!r} for all entries", hint=_DAMAGED_HINT
            )
        records[key] = value
        at = end
    return {key: value for key, value in records.items() if value}


def long_text(data: bytes, earlier: bytes | None) -> bytes:
    """Return the content of a GNU long name, of which `earlier` must be None."""
    if earlier is not None:
        raise invalid("two long names stand before one entry")
    text, _, rest = data.partition(b"\0")
    if not text or rest.strip(b"\0"):
        raise invalid("a long name is empty, or has a NUL in it")
    return text


def text_of(raw: bytes) -> str:
    """Decode a name so that it can be encoded again to the same bytes."""
    return raw.decode("utf-8", "surrogateescape")


def parse_old_sparse(
    header: bytes, take: Callable[[int], bytes], limits: UnpackLimits
) -> tuple[Span, ...]:
    """Read the map of a GNU sparse file, from its header and the blocks that follow it."""
    spans, more = _old_spans(header[386:482]), header[482]
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
