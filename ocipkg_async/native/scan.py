"""How an unpacked package is linked: its libraries for a platform, each in one form, and its headers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import InvalidPackageError, NotFoundError
from ..spec import Platform
from .binary import Binary
from .candidates import Candidate, Contents, Form, look_through, resolve_folder
from .linkage import Library, LibraryKind, Linkage
from .metadata import LinkMetadata

Toolchain = Literal["gnu", "msvc"]

# Where one library lies in one kind in several forms, the first is taken.
_OTHERWISE: tuple[Form, ...] = ("versioned so", "versioned dylib", "dll")
_GNU: tuple[Form, ...] = ("so", "dylib", "dll.a", "ar", "lib", *_OTHERWISE)
_MSVC: tuple[Form, ...] = ("lib", "dll.a", "ar", "so", "dylib", *_OTHERWISE)
_SHOWN = 8
_CHOOSE = "choose another with --platform or --target, or get a package for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be linked.

    Attributes:
        platform: for what.
        kind: None takes what there is: static libraries, and dynamic ones where there is no other.
        toolchain: whose names are preferred on Windows, where both may be there.
        libc: which C library programs have, ``glibc`` or ``musl``, if that is known: no program can
            load a library that was linked with the other.
    """

    platform: Platform
    kind: LibraryKind | None = None
    toolchain: Toolchain = "msvc"
    libc: str | None = None

    def takes(self, binary: Binary) -> bool:
        """Return whether a binary can be a part of it."""
        strange = binary.libc is not None and self.libc not in {None, binary.libc}
        return binary.fits(self.platform) and not strange

    def __str__(self) -> str:
        return f"{self.platform} with {self.libc}" if self.libc == "musl" else str(self.platform)


def scan(
    folder: Path,
    wanted: Wanted,
    metadata: LinkMetadata | None = None,
    *,
    name: str,
    version: str = "",
    description: str = "",
) -> Linkage:
    """Find out how an unpacked package is linked. It blocks.

    Static libraries go first, as with ocipkg: a program then needs nothing at run time. Without
    `LinkMetadata.libraries` all that fit are linked, sorted by name, but those that are not there in
    the kind that is asked for. With it, only where shared ones are asked for those are left out that
    are static alone. A package without any library is its headers.

    Args:
        folder: where it is unpacked; absolute.
        wanted: what is to be linked.
        metadata: what the package says about itself.
        name: what build systems shall call it.
        version: of the package.
        description: of the package.

    Raises:
        NotFoundError: there is nothing to link, or nothing for this platform or of this kind.
        InvalidPackageError: a library or folder that the metadata name is missing, or which of two
            files is meant cannot be told.
        StorageError: the folder cannot be read.
    """
    says = metadata or LinkMetadata()
    contents = look_through(folder, shown=_SHOWN)
    include = _include(folder, contents, says)
    return Linkage(
        name=name,
        version=version,
        description=description,
        path=folder,
        platform=wanted.platform,
        libraries=_libraries(folder, contents, says, wanted, headers=bool(include)),
        include=include,
        defines=says.defines,
        system_libraries=says.system_libraries,
        frameworks=says.frameworks,
    )


def _include(folder: Path, contents: Contents, says: LinkMetadata) -> tuple[Path, ...]:
    if not says.include:
        usual = resolve_folder(folder, "include")
        if usual is not None:
            return (usual,)
        return (folder,) if contents.root_headers else ()
    found: list[Path] = []
    for name in says.include:
        path = resolve_folder(folder, name)
        if path is None:
            raise InvalidPackageError(
                f"the package has no folder {name!r}, which its link metadata name for headers",
                hint="ask its author to correct it",
            )
        found.append(path)
    return tuple(found)


def _libraries(
    folder: Path, contents: Contents, says: LinkMetadata, wanted: Wanted, *, headers: bool
) -> tuple[Library, ...]:
    by_name: dict[str, list[Candidate]] = {}
    for candidate in contents.candidates:
        by_name.setdefault(candidate.name, []).append(candidate)
    _drop_runtimes(by_name, contents.candidates)
    if says.libraries:
        listed = {
            name: _listed(folder, name, by_name.get(name, []), contents, wanted)
            for name in says.libraries
        }
        of_kind = {name: _of_kind(some, wanted.kind) for name, some in listed.items()}
        missing = next((name for name, some in of_kind.items() if not some), None)
        # A shared library has in it what it needs of static ones; a static one has nothing in it.
        if missing is not None and not (wanted.kind == "dynamic" and any(of_kind.values())):
            raise _not_of_kind(folder, listed[missing], wanted, listed=missing)
        return tuple(
            _library(folder, _one(folder, name, some, wanted), contents)
            for name, some in of_kind.items()
            if some
        )
    if not by_name:
        if headers and wanted.kind is None:
            return ()
        what = "no library" if headers else "no library, and no header at its root or in include"
        raise NotFoundError(
            f"the package has {what}: {_files(contents)}",
            hint="libraries are found by names as libfoo.a, libfoo.so, libfoo.dylib, foo.lib",
        )
    fitting = {n: _fitting(all_of, wanted) for n, all_of in sorted(by_name.items())}
    if not any(fitting.values()):
        raise _nothing_fits(folder, contents.candidates, wanted)
    of_kind = {n: _of_kind(some, wanted.kind) for n, some in fitting.items() if some}
    if not any(of_kind.values()):
        there = [one for some in fitting.values() for one in some]
        raise _not_of_kind(folder, there, wanted)
    return tuple(
        _library(folder, _one(folder, n, some, wanted), contents)
        for n, some in of_kind.items()
        if some
    )


def _drop_runtimes(by_name: dict[str, list[Candidate]], candidates: Sequence[Candidate]) -> None:
    """Leave out DLLs that an import library leads to: they have its name, not their own."""
    behind = {
        one.binary.soname.lower()
        for one in candidates
        if one.binary is not None and one.binary.import_library and one.binary.soname
    }
    for name, some in list(by_name.items()):
        rest = [one for one in some if not (one.form == "dll" and one.path.name.lower() in behind)]
        if rest:
            by_name[name] = rest
        else:
            del by_name[name]


def _listed(
    folder: Path, name: str, some: list[Candidate], contents: Contents, wanted: Wanted
) -> list[Candidate]:
    """Return the files of a library that the metadata name, for the platform, of whatever kind."""
    if not some:
        raise InvalidPackageError(
            f"the package has no library {name!r}, which its link metadata name:"
            f" {_files(contents)}",
            hint="ask its author to correct it",
        )
    fitting = _fitting(some, wanted)
    if not fitting:
        raise _nothing_fits(folder, some, wanted, listed=name)
    return fitting


def _fitting(some: Sequence[Candidate], wanted: Wanted) -> list[Candidate]:
    return [
        one
        for one in some
        if one.kind is not None and one.binary is not None and wanted.takes(one.binary)
    ]


def _of_kind(some: Sequence[Candidate], kind: LibraryKind | None) -> list[Candidate]:
    if kind is None:
        return _of_kind(some, "static") or _of_kind(some, "dynamic")
    return [one for one in some if one.kind == kind]


def _one(folder: Path, name: str, some: list[Candidate], wanted: Wanted) -> Candidate:
    """Return the one file that is meant, of several that fit."""
    forms = _GNU if wanted.platform.os != "windows" or wanted.toolchain == "gnu" else _MSVC
    form = min((one.form for one in some), key=forms.index)
    some = [one for one in some if one.form == form]
    surest = max(_sureness(one) for one in some)
    some = [one for one in some if _sureness(one) == surest]
    by_file = {one.real: one for one in reversed(some)}  # links to one file are one
    if len(by_file) > 1:
        first, second, *_ = sorted(
            one.path.relative_to(folder).as_posix() for one in by_file.values()
        )
        raise InvalidPackageError(
            f"the package has the library {name!r} twice for {wanted.platform}:"
            f" {first} and {second}",
            hint="ask its author to leave one out",
        )
    return next(iter(by_file.values()))


def _sureness(one: Candidate) -> tuple[str, bool]:
    """Order files that fit: for the newest variant first, and what does not tell its machine last."""
    if one.binary is None:
        return "", False
    variants = [f"for {machine.variant}" for machine in one.binary.machines]
    return max(variants, default=""), one.binary.os is not None


def _library(folder: Path, one: Candidate, contents: Contents) -> Library:
    if one.kind is None:
        raise InvalidPackageError(f"{_shown(folder, one)} cannot be linked")
    return Library(name=one.name, kind=one.kind, path=one.path, runtime=_runtime(one, contents))


def _runtime(one: Candidate, contents: Contents) -> Path | None:
    """Return the DLL behind an import library, if the package has it."""
    if one.kind != "dynamic" or one.form not in {"lib", "dll.a"} or one.binary is None:
        return None
    soname = one.binary.soname
    names = {soname.lower()} if soname else {f"{one.name}.dll", f"lib{one.name}.dll"}
    machines = set(one.binary.machines)
    dlls = [
        dll.path
        for dll in contents.candidates
        if dll.form == "dll"
        and dll.kind == "dynamic"
        and dll.path.name.lower() in names
        and dll.binary is not None
        and machines & set(dll.binary.machines)
    ]
    beside = [dll for dll in dlls if dll.parent == one.path.parent]
    return next(iter(beside or dlls), None)


def _nothing_fits(
    folder: Path, some: Sequence[Candidate], wanted: Wanted, *, listed: str | None = None
) -> NotFoundError:
    found = _listing([f"{_shown(folder, one)} is {one.what}" for one in some])
    which = f"library {listed!r}" if listed else "library"
    return NotFoundError(f"the package has no {which} for {wanted}: {found}", hint=_CHOOSE)


def _not_of_kind(
    folder: Path, some: Sequence[Candidate], wanted: Wanted, *, listed: str | None = None
) -> NotFoundError:
    found = _listing([f"{_shown(folder, one)} is {one.kind}" for one in some])
    which = f"library {listed!r}" if listed else "library"
    needs = ", which its link metadata name" if listed else ""
    return NotFoundError(
        f"the package has no {wanted.kind} {which} for {wanted}{needs}: {found}",
        hint="leave the kind open to take what there is, or get a package that has it",
    )


def _shown(folder: Path, one: Candidate) -> str:
    return one.path.relative_to(folder).as_posix()


def _files(contents: Contents) -> str:
    return f"it has {_listing([ascii(n) for n in contents.files], contents.count)}"


def _listing(texts: Sequence[str], count: int | None = None) -> str:
    shown, total = texts[:_SHOWN], len(texts) if count is None else count
    more = f" and {total - len(shown)} more" if total > len(shown) else ""
    return (", ".join(shown) or "no file") + more
