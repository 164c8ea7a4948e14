"""Mach-O: programs, libraries and objects of Apple's systems, one machine or universal."""

import struct
from collections.abc import Callable

from .machine import Binary, BinaryKind, Machine
from .window import MalformedError, Window

# Magic number as bytes: word size, byte order.
MAGICS: dict[bytes, tuple[int, str]] = {
    b"\xce\xfa\xed\xfe": (32, "<"),
    b"\xcf\xfa\xed\xfe": (64, "<"),
    b"\xfe\xed\xfa\xce": (32, ">"),
    b"\xfe\xed\xfa\xcf": (64, ">"),
}
UNIVERSAL_MAGICS: dict[bytes, str] = {b"\xca\xfe\xba\xbe": ">IIIII", b"\xca\xfe\xba\xbf": ">IIQQII"}

# Java's classes have the same magic, then a version of 45 and more.
_MOST_SLICES = 32
_MOST_COMMANDS = 4096
_MOST_COMMAND_BYTES = 1 << 20

_ID_DYLIB, _BUILD_VERSION = 0xD, 0x32
_LOAD_DYLIB = frozenset({0xC, 0x80000018, 0x8000001F, 0x80000023})
_VERSION_MIN = {0x24: "darwin", 0x25: "ios", 0x2F: "tvos", 0x30: "watchos"}
_PLATFORMS = {1: "darwin", 2: "ios", 3: "tvos", 4: "watchos", 11: "visionos"}
_KINDS: dict[int, BinaryKind] = {1: "object", 2: "executable", 6: "dynamic", 8: "dynamic"}

_MACHINES = {
    7: "386",
    0x01000007: "amd64",
    12: "arm",
    0x0100000C: "arm64",
    0x0200000C: "arm64p32",
    18: "ppc",
    0x01000012: "ppc64",
}
_SUBTYPE = 0x00FFFFFF
_ARM_LEVELS = {6: "v6", 7: "v5", 9: "v7", 10: "v7", 11: "v7", 12: "v7"}


def machine_of(cpu: int, subtype: int) -> Machine:
    """Return the machine of Apple's numbers."""
    name, subtype = _MACHINES.get(cpu, "unknown"), subtype & _SUBTYPE
    match name, subtype:
        case "arm64", 2:
            return Machine("arm64e")  # signed pointers: it cannot be mixed with plain arm64
        case "amd64", 8:
            return Machine(name, "v3")  # x86_64h
        case "arm", _:
            return Machine(name, _ARM_LEVELS.get(subtype, ""))
        case _:
            return Machine(name)


def read_macho(window: Window) -> Binary:
    """Read the headers of a file for one machine.

    Raises:
        MalformedError: they do not make sense.
    """
    bits, order = MAGICS[window.read(0, 4)]
    cpu, subtype, file_kind, count, size = window.unpack(f"{order}IIIII", 4)
    kind = _KINDS.get(file_kind)
    if kind is None or count > _MOST_COMMANDS or size > _MOST_COMMAND_BYTES:
        raise MalformedError
    commands = window.part(32 if bits == 64 else 28, size)
    os: str | None = None
    soname: str | None = None
    needed: list[str] = []
    position = 0
    for _ in range(count):
        command, length = commands.unpack(f"{order}II", position)
        if length < 8:
            raise MalformedError
        body = commands.part(position, length)
        if command == _BUILD_VERSION:
            (platform,) = body.unpack(f"{order}I", 8)
            os = _PLATFORMS.get(platform, "unknown")
        elif command in _VERSION_MIN:
            os = _VERSION_MIN[command]
        elif command == _ID_DYLIB or command in _LOAD_DYLIB:
            (offset,) = body.unpack(f"{order}I", 8)
            name = body.text(offset)
            if command == _ID_DYLIB:
                soname = name
            else:
                needed.append(name)
        position += length
    return Binary(
        format="macho",
        kind=kind,
        machines=(machine_of(cpu, subtype),),
        os=os,
        soname=soname,
        needed=tuple(needed),
    )


def read_universal(window: Window, read: Callable[[Window], Binary | None]) -> Binary:
    """Read a file that holds one file, or archive, for each of several machines.

    Args:
        window: the file.
        read: reads one of the files in it.

    Raises:
        MalformedError: the headers do not make sense, or the files in it are of different kinds.
    """
    form = UNIVERSAL_MAGICS[window.read(0, 4)]
    (count,) = window.unpack(">I", 4)
    if not 0 < count <= _MOST_SLICES:
        raise MalformedError
    machines: list[Machine] = []
    slices: list[Binary] = []
    table = window.read(8, count * struct.calcsize(form))
    for cpu, subtype, offset, size, *_ in struct.iter_unpack(form, table):
        machines.append(machine_of(cpu, subtype))
        inner = read(window.part(offset, size))
        if inner is None or inner.format not in {"macho", "ar"}:
            raise MalformedError
        slices.append(inner)
    first = slices[0]
    if len({(inner.kind, inner.os) for inner in slices}) != 1:
        raise MalformedError
    return Binary(
        format="macho",
        kind=first.kind,
        machines=tuple(machines),
        os=first.os,
        soname=first.soname,
        needed=tuple(dict.fromkeys(name for inner in slices for name in inner.needed)),
    )
