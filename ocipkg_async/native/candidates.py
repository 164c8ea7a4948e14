"""Which files of a package are libraries, by the names that three systems give them, and headers."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from ..errors import LimitExceededError, storage_errors
from .binary import Binary, identify
from .linkage import LibraryKind
from .metadata import is_folder_name, is_library_name
from .window import Allowance

Form = Literal["ar", "so", "versioned so", "dylib", "versioned dylib", "lib", "dll.a", "dll"]

# As many as a package may have at most, whatever the limits it was unpacked with.
_MOST_FILES = 1_000_000
# Each is opened and its headers are read.
_MOST_LIBRARIES = 4096

_FORMS: tuple[tuple[re.Pattern[str], Form], ...] = (
    (re.compile(r"(?:lib)?(?P<name>.+)\.dll\.a", re.DOTALL), "dll.a"),
    (re.compile(r"lib(?P<name>.+)\.a", re.DOTALL), "ar"),
    (re.compile(r"lib(?P<name>.+?)\.so", re.DOTALL), "so"),
    (re.compile(r"lib(?P<name>.+?)\.so(?:\.[0-9]+)+", re.ASCII | re.DOTALL), "versioned so"),
    (re.compile(r"lib(?P<name>.+?)(?:\.[0-9]+)+\.dylib", re.ASCII | re.DOTALL), "versioned dylib"),
    (re.compile(r"lib(?P<name>.+)\.dylib", re.DOTALL), "dylib"),
    (re.compile(r"(?P<name>.+?)(?:\.dll)?\.lib", re.IGNORECASE | re.DOTALL), "lib"),
    (re.compile(r"(?:lib)?(?P<name>.+)\.dll", re.IGNORECASE | re.DOTALL), "dll"),
)
_HEADERS = (".h", ".hh", ".hpp", ".hxx", ".h++", ".cuh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that is named as a library.

    Attributes:
        name: what linkers call it.
        form: how its file is named.
        path: the file, or the link to it; absolute.
        real: the file behind all links.
        binary: what it is; None is no binary.
    """

    name: str
    form: Form
    path: Path
    real: Path
    binary: Binary | None

    @property
    def kind(self) -> LibraryKind | None:
        """How it is linked; None if it is not what its name says, and cannot be."""
        if self.binary is None or self.binary.thin:
            return None
        if self.form in {"ar", "lib", "dll.a"}:
            if self.binary.kind != "archive":
                return None
            return "dynamic" if self.binary.import_library or self.form == "dll.a" else "static"
        return "dynamic" if self.binary.kind == "dynamic" else None

    @property
    def what(self) -> str:
        """What it is, as a part of a message."""
        if self.binary is None:
            return "no library"
        if self.binary.thin:
            return "a thin archive, without its objects"
        libc = f" with {self.binary.libc}" if self.binary.libc else ""
        what = f"for {self.binary}{libc}"
        return what if self.kind else f"{self.binary.kind} code {what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a package has for who links it.

    Attributes:
        candidates: the files named as libraries, sorted by path.
        root_headers: there are headers at the root.
        files: slash-separated paths of its files, sorted; only the first few.
        count: how many files it has.
    """

    candidates: tuple[Candidate, ...]
    root_headers: bool
    files: tuple[str, ...]
    count: int


def look_through(folder: Path, *, shown: int = 8) -> Contents:
    """Find the libraries and headers of a package. Links are followed to what lies in it.

    Args:
        folder: where it is unpacked.
        shown: how many names of files to keep, for a message.

    Raises:
        StorageError: the folder cannot be read.
        LimitExceededError: there is far more than in any package.
    """
    with storage_errors(f"read {folder}"):
        root = folder.resolve(strict=True)
        files = _files(folder)
        candidates: list[Candidate] = []
        known: dict[Path, Binary | None] = {}
        allowance = Allowance()
        for path in files:
            named = _named(path.relative_to(folder))
            if named is None:
                continue
            real = _inside(path, root)
            if real is None:
                continue
            if len(candidates) == _MOST_LIBRARIES:
                raise LimitExceededError(f"{folder} has more than {_MOST_LIBRARIES} libraries")
            name, form = named
            if real not in known:
                known[real] = identify(real, allowance=allowance)
            candidates.append(
                Candidate(name=name, form=form, path=path, real=real, binary=known[real])
            )
    return Contents(
        candidates=tuple(candidates),
        root_headers=any(p.parent == folder and is_header(p) for p in files),
        files=tuple(path.relative_to(folder).as_posix() for path in files[:shown]),
        count=len(files),
    )


def is_header(path: PurePath) -> bool:
    """Return whether a file is named as a C or C++ header."""
    return path.name.lower().endswith(_HEADERS)


def resolve_folder(folder: Path, name: str) -> Path | None:
    """Return a folder of a package, or None if it is not there or lies outside.

    Raises:
        StorageError: it cannot be read.
    """
    with storage_errors(f"read {folder}"):
        path = folder if name == "." else folder.joinpath(*name.split("/"))
        real = _inside(path, folder.resolve(strict=True))
        return path if real is not None and real.is_dir() else None


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_fail):
        folders.sort()
        found.extend(Path(parent, name) for name in names)
        if len(found) > _MOST_FILES:
            raise LimitExceededError(f"{folder} has more than {_MOST_FILES} files")
    return sorted(found)


def _fail(error: OSError) -> None:
    raise error


def _named(path: PurePath) -> tuple[str, Form] | None:
    """Return the name and form of a library, or None for what no build system could be told of."""
    for pattern, form in _FORMS:
        match = pattern.fullmatch(path.name)
        if match and is_library_name(match["name"]) and is_library_name(path.name):
            return (match["name"], form) if all(map(is_folder_name, path.parts[:-1])) else None
    return None


def _inside(path: Path, root: Path) -> Path | None:
    """Return what is behind all links, if it is there and in the package."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a link to nowhere, or in a circle
        return None
    return real if real.is_relative_to(root) else None
