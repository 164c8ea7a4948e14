"""How to link an installed package: plain values, from which flags for a build system are made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..spec import Platform

LibraryKind = Literal["static", "dynamic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One library of a package, in the form that is linked.

    Attributes:
        name: what linkers call it: ``foo`` for ``libfoo.a``, ``libfoo.so.1`` and ``foo.dll``.
        kind: how it is linked.
        path: the file; absolute.
        runtime: the file that a program loads, where it is another one: a DLL behind an import
            library.
    """

    name: str
    kind: LibraryKind
    path: Path
    runtime: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """How to link a package.

    Attributes:
        name: what build systems call it: the last part of its repository's name.
        version: of the package, as it says, else its tag; empty if neither.
        description: one line, or empty.
        path: the folder of the package; absolute.
        platform: what it is linked for.
        libraries: in link order, each in one form.
        include: folders with headers; absolute.
        defines: preprocessor macros that users need, ``NAME`` or ``NAME=VALUE``.
        system_libraries: libraries of the system that these need, such as ``m``.
        frameworks: Apple's frameworks that these need.
    """

    name: str
    version: str
    description: str
    path: Path
    platform: Platform
    libraries: tuple[Library, ...]
    include: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    system_libraries: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()

    @property
    def search(self) -> tuple[Path, ...]:
        """The folders with libraries, in order, each once."""
        return tuple(dict.fromkeys(library.path.parent for library in self.libraries))
