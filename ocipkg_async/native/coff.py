"""PE and COFF: programs, DLLs, objects and import objects of Windows (PE format specification)."""

import struct
from dataclasses import dataclass

from .machine import Binary, BinaryKind, Machine
from .window import MalformedError, Window, printable

PROGRAM_MAGIC = b"MZ"
ANONYMOUS_MAGIC = b"\0\0\xff\xff"

_PROGRAM, _DLL = 0x0002, 0x2000
# The loader refuses more than 96 sections in a program; an object may have many.
_MOST_SECTIONS = 65_279
_SHOWN_SECTIONS = 32
_DLL_NAME_BYTES = 512

_MACHINES = {
    0x014C: Machine("386"),
    0x8664: Machine("amd64"),
    0xAA64: Machine("arm64"),
    0xA641: Machine("arm64ec"),
    0x01C0: Machine("arm"),
    0x01C4: Machine("arm", "v7"),
    0x5064: Machine("riscv64"),
    0x6264: Machine("loong64"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """What an object of an archive says.

    Attributes:
        machine: what it is for.
        imports: it is a part of an import library.
        dll: the DLL that it imports from, if it says so.
    """

    machine: Machine
    imports: bool = False
    dll: str | None = None


def read_program(window: Window) -> Binary:
    """Read the headers of a program or DLL.

    Raises:
        MalformedError: they do not make sense, or it is for DOS.
    """
    (start,) = window.unpack("<I", 0x3C)
    if window.read(start, 4) != b"PE\0\0":
        raise MalformedError
    number, sections, _, _, _, _, flags = window.unpack("<HHIIIHH", start + 4)
    if number not in _MACHINES or sections == 0:
        raise MalformedError
    kind: BinaryKind
    if flags & _DLL:
        kind = "dynamic"
    elif flags & _PROGRAM:
        kind = "executable"
    else:
        raise MalformedError
    return Binary(format="pe", kind=kind, machines=(_MACHINES[number],), os="windows")


def read_object(window: Window) -> Member:
    """Read an object, which has no magic number: what does not look like one is refused.

    Raises:
        MalformedError: it is not one.
    """
    head = window.head(20)
    if head[:4] == ANONYMOUS_MAGIC:
        return _anonymous(window)
    number, count, _, symbols, symbol_count, optional, _ = struct.unpack(
        "<HHIIIHH", window.read(0, 20)
    )
    if number not in _MACHINES or optional != 0 or not 0 < count <= _MOST_SECTIONS:
        raise MalformedError
    if symbols + 18 * symbol_count > window.size or 20 + 40 * count > window.size:
        raise MalformedError
    shown = window.read(20, 40 * min(count, _SHOWN_SECTIONS))
    dll = None
    imports = False
    for start in range(0, len(shown), 40):
        name = shown[start : start + 8].rstrip(b"\0")
        imports = imports or name.startswith(b".idata$")
        if name == b".idata$7":  # where GNU's tools keep the name
            size, offset = struct.unpack_from("<II", shown, start + 16)
            dll = dll or _dll_name(window.read(offset, min(size, _DLL_NAME_BYTES)))
    return Member(_MACHINES[number], imports=imports, dll=dll)


def _anonymous(window: Window) -> Member:
    """Read an import object, one with many sections, or one for the linker to compile."""
    version, number = window.unpack("<HH", 4)
    if number not in _MACHINES:
        raise MalformedError
    if version != 0:
        return Member(_MACHINES[number])
    (size,) = window.unpack("<I", 12)
    names = window.read(20, min(size, 2 * _DLL_NAME_BYTES)).split(b"\0")
    return Member(
        _MACHINES[number], imports=True, dll=_dll_name(names[1] if len(names) > 1 else b"")
    )


def _dll_name(raw: bytes) -> str | None:
    try:
        name = printable(raw.partition(b"\0")[0])
    except MalformedError:
        return None
    return name if "." in name and "/" not in name and "\\" not in name else None
