"""Telling from its headers what a binary is, and which machines it is for."""

import io
import os
from pathlib import Path

from ..errors import storage_errors
from . import ar, coff, elf, macho
from .machine import Binary
from .window import Allowance, MalformedError, Window

__all__ = ["Binary", "identify"]


def identify(binary: Path | bytes, *, allowance: Allowance | None = None) -> Binary | None:
    """Tell what a binary is: a program, library, object or archive of objects of any system.

    It reads headers only, of bounded size. It blocks.

    Args:
        binary: a file, or its content.
        allowance: how much may be read of several files together.

    Returns:
        what it is, or None if it is no binary, or broken.

    Raises:
        StorageError: the file cannot be read.
        LimitExceededError: the allowance is used up.
    """
    if isinstance(binary, bytes):
        return _identify(Window.of(io.BytesIO(binary), len(binary)))
    with storage_errors(f"read {binary}"):
        if not binary.is_file():  # opening a pipe would wait for its other end
            binary.stat()
            return None
        with binary.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if allowance is None:
                return _identify(Window.of(file, size))
            with allowance.budget() as budget:
                return _identify(Window.of(file, size, budget))


def _identify(window: Window) -> Binary | None:
    try:
        head = window.head(8)
        if head in {ar.MAGIC, ar.THIN_MAGIC}:
            return ar.read_archive(window, _single)
        if head[:4] in macho.UNIVERSAL_MAGICS:
            return macho.read_universal(window, _slice)
        return _single(window) or _object(window)
    except MalformedError:
        return None


def _single(window: Window) -> Binary | None:
    """Read a file for one machine that has a magic number."""
    head = window.head(4)
    if head == elf.MAGIC:
        return elf.read_elf(window)
    if head in macho.MAGICS:
        return macho.read_macho(window)
    if head[:2] == coff.PROGRAM_MAGIC:
        return coff.read_program(window)
    return None


def _slice(window: Window) -> Binary | None:
    return ar.read_archive(window, _single) if window.head(8) == ar.MAGIC else _single(window)


def _object(window: Window) -> Binary:
    member = coff.read_object(window)
    return Binary(format="coff", kind="object", machines=(member.machine,), os="windows")
