"""What a binary is and which machines it is for: plain values, and which platform they fit."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..spec import Platform

BinaryFormat = Literal["elf", "macho", "pe", "coff", "ar"]
BinaryKind = Literal["executable", "dynamic", "object", "archive"]

# Systems whose binaries have another form; every other one of `Platform` uses ELF.
_APPLE = frozenset({"darwin", "ios", "tvos", "watchos", "visionos"})
_FORMATS = {**dict.fromkeys(_APPLE, ("macho",)), "windows": ("pe", "coff")}
_LEVEL = re.compile(r"v([0-9]{1,2})", re.ASCII)
# What a platform without a variant means.
_USUAL_LEVEL = {"arm": 7, "amd64": 1}


class Machine(NamedTuple):
    """A processor, in the words of `ocipkg_async.Platform`; one that has none there is ``unknown``.

    Attributes:
        architecture: such as ``arm64``.
        variant: such as ``v7``, or empty where the binary does not tell.
    """

    architecture: str
    variant: str = ""

    def runs_in(self, wanted: Platform) -> bool:
        """Return whether its code can be a part of a program for `wanted`."""
        if self.architecture != wanted.architecture:
            return False  # a processor may run programs for another, but one program has one
        usual = _USUAL_LEVEL.get(wanted.architecture, 0)
        return _level(self.variant, 0) <= _level(wanted.variant, usual)


def _level(variant: str, otherwise: int) -> int:
    match = _LEVEL.match(variant)
    return int(match[1]) if match else otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """What a file with machine code is, as its headers say.

    Attributes:
        format: of the file, or of what an archive holds; ``ar`` is an archive without objects
            that tell their machine.
        kind: a program, a library that is loaded, an object, or an archive of objects.
        machines: what it is for: one, or several in a universal file of Apple's; empty if it does
            not tell.
        os: the operating system, in the words of `ocipkg_async.Platform`; None if it does not tell.
        interpreter: the program that loads it (ELF), or None: a program without is linked statically.
        soname: the name that programs load it by: of a dynamic library, or of the DLL behind an
            import library; None if it has none.
        needed: the names of the libraries it loads.
        import_library: an archive that only leads to a DLL.
        thin: an archive that names its objects and does not hold them.
    """

    format: BinaryFormat
    kind: BinaryKind
    machines: tuple[Machine, ...] = ()
    os: str | None = None
    interpreter: str | None = None
    soname: str | None = None
    needed: tuple[str, ...] = ()
    import_library: bool = False
    thin: bool = False

    @property
    def libc(self) -> str | None:
        """The C library that it was linked with: ``glibc`` or ``musl``, or None if it does not tell."""
        if self.format != "elf":
            return None
        name = (self.interpreter or "").rpartition("/")[2]
        if name.startswith("ld-musl-") or any(n.startswith("libc.musl-") for n in self.needed):
            return "musl"
        if name.startswith(("ld-linux", "ld64.so", "ld.so")) or "libc.so.6" in self.needed:
            return "glibc"
        return None

    def platforms(self, *, os: str | None = None) -> tuple[Platform, ...]:
        """Return the platforms it is for; none if it does not tell.

        Args:
            os: the operating system of a binary that does not name its own, as most for Linux.
        """
        system = self.os or os
        if system is None:
            return ()
        return tuple(
            Platform(os=system, architecture=machine.architecture, variant=machine.variant)
            for machine in self.machines
            if machine.architecture != "unknown"
        )

    def fits(self, wanted: Platform) -> bool:
        """Return whether it can be a part of a program for a platform.

        What it does not tell is taken to fit: an object for Linux and one for FreeBSD look alike.
        """
        wanted = wanted.normalised()
        if self.os is not None and self.os != wanted.os:
            return False
        if self.format != "ar" and self.format not in _FORMATS.get(wanted.os, ("elf",)):
            return False
        return not self.machines or any(machine.runs_in(wanted) for machine in self.machines)

    def __str__(self) -> str:
        """What it is for, as a part of a message: ``linux/arm64`` or ``arm64 (elf)``."""
        machines = [f"{m.architecture}/{m.variant}".rstrip("/") for m in self.machines]
        if not machines:
            return f"an unknown machine ({self.format})"
        if self.os is None:
            return f"{' and '.join(machines)} ({self.format})"
        return " and ".join(f"{self.os}/{machine}" for machine in machines)
