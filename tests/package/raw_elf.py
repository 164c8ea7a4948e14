"""ELF files by hand: headers and segments, for machines that no compiler here knows."""

import struct

AMD64, ARM64 = 62, 183
PROGRAM, SHARED = 2, 3
_INTERPRETER = 3


def elf(
    machine: int,
    *,
    kind: int = PROGRAM,
    abi: int = 0,
    bits: int = 64,
    order: str = "<",
    interpreter: bytes = b"",
    body: bytes = b"code",
) -> bytes:
    """An ELF file with one loaded segment, and one that names the interpreter."""
    word = "Q" if bits == 64 else "I"
    header_form, segment_form = f"{order}HHI{word}{word}{word}IHHHHHH", f"{order}8{word}"
    if bits == 64:
        segment_form = f"{order}II6Q"
    start = 16 + struct.calcsize(header_form)
    width = struct.calcsize(segment_form)
    count = 2 if interpreter else 1
    data = start + count * width

    def segment(kind: int, offset: int, size: int) -> bytes:
        if bits == 64:
            return struct.pack(segment_form, kind, 5, offset, offset, offset, size, size, 1)
        return struct.pack(segment_form, kind, offset, offset, offset, size, size, 5, 1)

    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1, abi]) + bytes(8)
    segments = segment(1, data, len(interpreter) + 1 + len(body))
    if interpreter:
        segments += segment(_INTERPRETER, data, len(interpreter) + 1)
    head = struct.pack(
        header_form, kind, machine, 1, data, start, 0, 0, start, width, count, 0, 0, 0
    )
    return ident + head + segments + interpreter + b"\0" + body
