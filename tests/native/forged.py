"""Headers of binaries, made by hand: of systems whose compilers are not here, and broken ones."""

import struct


def elf(
    *,
    kind: int = 1,
    machine: int = 62,
    bits: int = 64,
    order: str = "<",
    abi: int = 0,
    flags: int = 0,
    segments: int = 0,
    segments_at: int = 0,
) -> bytes:
    """An ELF header; `kind` 1 is an object, 2 a program, 3 a shared object."""
    ident = b"\x7fELF" + bytes((bits // 32, 1 if order == "<" else 2, 1, abi)) + bytes(8)
    word = "Q" if bits == 64 else "I"
    width, entry = (64, 56) if bits == 64 else (52, 32)
    return ident + struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        *(kind, machine, 1, 0, segments_at, 0, flags, width, entry, segments, 64, 0, 0),
    )


def macho(
    *,
    kind: int = 1,
    cpu: int = 0x0100000C,
    subtype: int = 0,
    platform: int | None = 1,
    name: str = "",
) -> bytes:
    """A Mach-O file of 64 bits; `kind` 1 is an object, 2 a program, 6 a library."""
    commands = []
    if platform is not None:
        commands.append(struct.pack("<IIIIII", 0x32, 24, platform, 0, 0, 0))
    if name:
        text = name.encode() + b"\0"
        text += bytes(-len(text) % 8)
        commands.append(struct.pack("<IIIIII", 0xD, 24 + len(text), 24, 0, 0, 0) + text)
    body = b"".join(commands)
    head = struct.pack("<IIIIIIII", 0xFEEDFACF, cpu, subtype, kind, len(commands), len(body), 0, 0)
    return head + body


def universal(*files: tuple[int, bytes]) -> bytes:
    """A universal file of files, each with its CPU."""
    offset = 8 + 20 * len(files)
    head, body = struct.pack(">II", 0xCAFEBABE, len(files)), b""
    for cpu, data in files:
        head += struct.pack(">IIIII", cpu, 0, offset + len(body), len(data), 0)
        body += data
    return head + body


def pe(*, machine: int = 0x8664, flags: int = 0x2002) -> bytes:
    """A DLL, or a program with other flags."""
    stub = b"MZ" + bytes(58) + struct.pack("<I", 64)
    return stub + b"PE\0\0" + struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, 240, flags)


def coff(*, machine: int = 0x8664, section: bytes = b".text", data: bytes = b"") -> bytes:
    """An object of Windows."""
    head = struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, 0, 0)
    return head + struct.pack("<8sIIIIIIHHI", section, 0, 0, len(data), 60, 0, 0, 0, 0, 0) + data


def import_object(dll: str, *, machine: int = 0x8664) -> bytes:
    """An import of one function, as Microsoft's tools write it."""
    names = b"f\0" + dll.encode() + b"\0"
    return struct.pack("<HHHHIIHH", 0, 0xFFFF, 0, machine, 0, len(names), 0, 0) + names


def ar(*members: tuple[str, bytes], magic: bytes = b"!<arch>\n") -> bytes:
    """An archive with members under the names as they stand in it, such as ``a.o/``."""
    data = magic
    for name, body in members:
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(body):<10}`\n".encode()
        data += body + b"\n" * (len(body) % 2)
    return data
