"""Archives of objects, static and import libraries: GNU, BSD and Microsoft forms of ``ar``."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from .coff import Member, read_object
from .machine import Binary
from .window import MalformedError, Window

MAGIC = b"!<arch>\n"
THIN_MAGIC = b"!<thin>\n"

_HEADER_BYTES = 60
_MOST_MEMBERS = 8192
_NAME_BYTES = 256
# Symbol tables and long names, of GNU and Microsoft, of BSD and Apple; and what rustc adds.
_TABLES = frozenset(
    [
        b"/",
        b"//",
        b"/SYM64/",
        b"/<ECSYMBOLS>/",
        b"/<XFGHASHMAP>/",
        b"__.SYMDEF",
        b"__.SYMDEF SORTED",
        b"__.SYMDEF_64",
        b"__.SYMDEF_64 SORTED",
    ]
)
_METADATA = frozenset({b"lib.rmeta", b"rust.metadata.bin", b"lib.rmeta-link"})


def read_archive(window: Window, read: Callable[[Window], Binary | None]) -> Binary:
    """Read which machine the objects of an archive are for: the first that tells decides.

    Args:
        window: the archive.
        read: reads an object that is not COFF.

    Raises:
        MalformedError: it is not an archive.
    """
    if window.read(0, len(MAGIC)) == THIN_MAGIC:
        return Binary(format="ar", kind="archive", thin=True)
    found: Binary | None = None
    for body in _members(window):
        if found is None:
            found = _object(body, read)
            if found is not None and found.format != "coff":
                return found
        elif found.import_library and found.soname is None:
            dll = _dll(body)  # the first objects of an import library need not name it
            found = found if dll is None else replace(found, soname=dll)
        else:
            member = _coff(body)
            if member is not None and member.imports:
                found = replace(found, import_library=True, soname=member.dll)
        if found is not None and found.soname is not None:
            return found
    return found or Binary(format="ar", kind="archive")


def _members(window: Window) -> Iterator[Window]:
    position = len(MAGIC)
    for _ in range(_MOST_MEMBERS):
        if position >= window.size:
            return
        header = window.read(position, _HEADER_BYTES)
        text = header[48:58].strip()
        if header[58:] != b"`\n" or not text.isdigit():
            raise MalformedError
        size = int(text)
        name, body = header[:16].rstrip(), window.part(position + _HEADER_BYTES, size)
        if name.startswith(b"#1/") and name[3:].isdigit():  # BSD: the name is in front of the data
            length = int(name[3:])
            name = body.head(min(length, _NAME_BYTES)).rstrip(b"\0")
            body = body.part(length, size - length)
        if name not in _TABLES and name.rstrip(b"/") not in _METADATA:
            yield body
        position += _HEADER_BYTES + size + size % 2


def _object(body: Window, read: Callable[[Window], Binary | None]) -> Binary | None:
    """Return what an archive is whose first object is this one; None is no object."""
    try:
        inner = read(body)
    except MalformedError:
        inner = None
    if inner is not None:
        return replace(inner, kind="archive") if inner.kind == "object" else None
    member = _coff(body)
    if member is None:
        return None  # bitcode, or no code at all
    return Binary(
        format="coff",
        kind="archive",
        machines=(member.machine,),
        os="windows",
        soname=member.dll,
        import_library=member.imports,
    )


def _coff(body: Window) -> Member | None:
    try:
        return read_object(body)
    except MalformedError:
        return None


def _dll(body: Window) -> str | None:
    member = _coff(body)
    return None if member is None else member.dll
