"""ELF: programs, libraries and objects of Linux and most other systems (System V ABI, chapter 4)."""

import struct
from dataclasses import dataclass

from .machine import Binary, BinaryKind, Machine
from .window import MalformedError, Window

MAGIC = b"\x7fELF"

_OBJECT, _PROGRAM, _DYNAMIC = 1, 2, 3
_LOAD, _DYNAMIC_SEGMENT, _INTERPRETER, _NOTE = 1, 2, 3, 4
_NEEDED, _STRTAB, _SONAME, _FLAGS_1 = 1, 5, 14, 0x6FFFFFFB
_FLAG_PIE = 0x08000000
_ARM_ATTRIBUTES = 0x70000003
_MIPS_N32 = 0x20

# Real files have some ten segments and needed libraries, and up to some thousand sections.
_MOST_SEGMENTS = 512
_MOST_SECTIONS = 65_535
_MOST_DYNAMIC = 4096
_MOST_NEEDED = 512
_NOTE_BYTES = 4096
_ATTRIBUTE_BYTES = 4096

_OS_ABI = {2: "netbsd", 3: "linux", 6: "solaris", 9: "freebsd", 12: "openbsd"}
_NOTE_OS = {
    b"Android": "android",
    b"FreeBSD": "freebsd",
    b"NetBSD": "netbsd",
    b"OpenBSD": "openbsd",
}

# By e_machine, then by 32 or 64 bits and byte order.
_MACHINES: dict[tuple[int, int, str], str] = {
    (3, 32, "<"): "386",
    (62, 64, "<"): "amd64",
    (62, 32, "<"): "amd64p32",
    (40, 32, "<"): "arm",
    (40, 32, ">"): "armbe",
    (183, 64, "<"): "arm64",
    (183, 64, ">"): "arm64be",
    (243, 64, "<"): "riscv64",
    (243, 32, "<"): "riscv",
    (20, 32, ">"): "ppc",
    (21, 64, "<"): "ppc64le",
    (21, 64, ">"): "ppc64",
    (22, 64, ">"): "s390x",
    (22, 32, ">"): "s390",
    (258, 64, "<"): "loong64",
    (8, 32, "<"): "mipsle",
    (8, 32, ">"): "mips",
    (8, 64, "<"): "mips64le",
    (8, 64, ">"): "mips64",
    (2, 32, ">"): "sparc",
    (43, 64, ">"): "sparc64",
}
# Tag_CPU_arch of the ARM build attributes; what is not here is for microcontrollers.
_ARM_LEVELS = {3: "v5", 4: "v5", 5: "v5", 6: "v6", 7: "v6", 8: "v6", 9: "v6", 10: "v7", 14: "v8"}


@dataclass(frozen=True, slots=True)
class _Header:
    bits: int
    order: str
    abi: int
    kind: int
    machine: int
    flags: int
    segments: tuple[int, int, int]
    sections: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


@dataclass(slots=True)
class _Dynamic:
    needed: tuple[str, ...] = ()
    soname: str | None = None
    pie: bool = False


def read_elf(window: Window) -> Binary:
    """Read the headers of an ELF file.

    Raises:
        MalformedError: they do not make sense.
    """
    header = _header(window)
    segments = _segments(window, header)
    interpreter = next(
        (window.part(s.offset, s.size).text(0) for s in segments if s.kind == _INTERPRETER), None
    )
    dynamic = _dynamic(window, header, segments)
    kind: BinaryKind
    match header.kind:
        case 1:
            kind = "object"
        case 2:
            kind = "executable"
        case 3:
            # The C library itself has an interpreter too, and a name besides.
            program = dynamic.pie or (interpreter is not None and dynamic.soname is None)
            kind = "executable" if program else "dynamic"
        case _:
            raise MalformedError  # a core dump, or nothing known
    return Binary(
        format="elf",
        kind=kind,
        machines=(_machine(window, header),),
        os=_OS_ABI.get(header.abi) or _noted_os(window, header, segments),
        interpreter=interpreter,
        soname=dynamic.soname,
        needed=dynamic.needed,
    )


def _header(window: Window) -> _Header:
    ident = window.read(0, 16)
    bits, order = {1: 32, 2: 64}.get(ident[4]), {1: "<", 2: ">"}.get(ident[5])
    if ident[:4] != MAGIC or bits is None or order is None or ident[6] != 1:
        raise MalformedError
    word = "Q" if bits == 64 else "I"
    fields = window.unpack(f"{order}HHI{word}{word}{word}IHHHHHH", 16)
    kind, machine, _, _, phoff, shoff, flags, _, phentsize, phnum, shentsize, shnum, _ = fields
    return _Header(
        bits=bits,
        order=order,
        abi=ident[7],
        kind=kind,
        machine=machine,
        flags=flags,
        segments=(phoff, phentsize, phnum),
        sections=(shoff, shentsize, shnum),
    )


def _machine(window: Window, header: _Header) -> Machine:
    name = _MACHINES.get((header.machine, header.bits, header.order), "unknown")
    if name in {"mips", "mipsle"} and header.flags & _MIPS_N32:
        return Machine("mips64p32" + name.removeprefix("mips"))
    if name == "arm":
        return Machine(name, _arm_level(window, header))
    return Machine(name)


def _segments(window: Window, header: _Header) -> list[_Segment]:
    start, width, count = header.segments
    if header.kind == _OBJECT or count == 0:
        if header.kind == _OBJECT:
            return []
        raise MalformedError  # nothing of it would be loaded
    form = f"{header.order}{'IIQQQQQQ' if header.bits == 64 else 'IIIIIIII'}"
    if count > _MOST_SEGMENTS or width != struct.calcsize(form):
        raise MalformedError
    table = window.read(start, width * count)
    found: list[_Segment] = []
    for fields in struct.iter_unpack(form, table):
        if header.bits == 64:
            kind, _, offset, address, _, size, _, _ = fields
        else:
            kind, offset, address, _, size, _, _, _ = fields
        found.append(_Segment(kind, offset, address, size))
    return found


def _dynamic(window: Window, header: _Header, segments: list[_Segment]) -> _Dynamic:
    section = next((s for s in segments if s.kind == _DYNAMIC_SEGMENT), None)
    if section is None or section.size == 0:
        return _Dynamic()
    form = f"{header.order}{'QQ' if header.bits == 64 else 'II'}"
    width = struct.calcsize(form)
    count = min(section.size // width, _MOST_DYNAMIC)
    strings, soname, flags = 0, None, 0
    needed: list[int] = []
    for tag, value in struct.iter_unpack(form, window.read(section.offset, count * width)):
        if tag == 0:
            break
        if tag == _NEEDED:
            needed.append(value)
        elif tag == _STRTAB:
            strings = value
        elif tag == _SONAME:
            soname = value
        elif tag == _FLAGS_1:
            flags = value
    if len(needed) > _MOST_NEEDED:
        raise MalformedError
    found = _Dynamic(pie=bool(flags & _FLAG_PIE))
    if needed or soname is not None:
        table = _file_offset(strings, segments)
        found.needed = tuple(window.text(table + offset, 512) for offset in needed)
        found.soname = None if soname is None else window.text(table + soname, 512)
    return found


def _file_offset(address: int, segments: list[_Segment]) -> int:
    for segment in segments:
        if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise MalformedError


def _noted_os(window: Window, header: _Header, segments: list[_Segment]) -> str | None:
    """Return the system that a note names: GNU's ABI tag, or one of a system's own."""
    for segment in segments:
        if segment.kind != _NOTE:
            continue
        data = window.read(segment.offset, min(segment.size, _NOTE_BYTES))
        position = 0
        while position + 12 <= len(data):
            sizes = struct.unpack_from(f"{header.order}III", data, position)
            name_bytes, value_bytes, kind = sizes
            name = data[position + 12 : position + 12 + name_bytes].rstrip(b"\0")
            value = position + 12 + _aligned(name_bytes)
            if name in _NOTE_OS:
                return _NOTE_OS[name]
            if (name, kind) == (b"GNU", 1) and data[value : value + 4] == b"\0" * 4:
                return "linux"
            position = value + _aligned(value_bytes)
    return None


def _aligned(size: int) -> int:
    return (size + 3) & ~3


def _arm_level(window: Window, header: _Header) -> str:
    """Return the variant of 32-bit ARM from the build attributes, or empty without them."""
    start, width, count = header.sections
    if start == 0 or width != 40 or count > _MOST_SECTIONS:
        return ""
    table = window.read(start, width * count)
    for fields in struct.iter_unpack(f"{header.order}10I", table):
        if fields[1] == _ARM_ATTRIBUTES:
            data = window.read(fields[4], min(fields[5], _ATTRIBUTE_BYTES))
            return _ARM_LEVELS.get(_arm_architecture(data, header.order), "")
    return ""


def _arm_architecture(data: bytes, order: str) -> int:
    """Return Tag_CPU_arch (Addenda to the ABI for the Arm Architecture, 3.3), or -1.

    ``A``, then the subsection ``aeabi`` with its size, then its first sub-subsection for the file.
    """
    head = struct.calcsize("<I") + len(b"aeabi\0")
    if data[:1] != b"A" or data[5:11] != b"aeabi\0" or len(data) < 1 + head + 5:
        return -1
    if data[1 + head] != 1:
        return -1  # not for the whole file
    (size,) = struct.unpack_from(f"{order}I", data, 2 + head)
    end = min(len(data), 1 + head + size)
    position = 6 + head
    while position < end:
        tag, position = _uleb(data, position)
        if tag in {4, 5, 67} or (tag > 32 and tag % 2):
            text = data.find(b"\0", position, end)
            if text < 0:
                return -1
            position = text + 1
            continue
        value, position = _uleb(data, position)
        if tag == 6:
            return value
        if tag == 32:  # Tag_compatibility: a number, then a name
            text = data.find(b"\0", position, end)
            if text < 0:
                return -1
            position = text + 1
    return -1


def _uleb(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position
    raise MalformedError
