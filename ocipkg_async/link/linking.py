"""How to link a package, for scripts that build: blocking, each call with a client of its own."""

from pathlib import Path

from ..client import ClientOptions
from ..errors import InvalidArgumentError, NotFoundError
from ..native import Library, LibraryKind, Linkage
from ..spec import Platform, Reference
from ..store import LockFile
from ..sync import Client


def link(
    reference: str | Reference,
    *,
    target: str | Platform | None = None,
    kind: LibraryKind | None = None,
    name: str | None = None,
    lock: Path | LockFile | None = None,
    offline: bool = False,
    options: ClientOptions | None = None,
) -> Linkage:
    """Tell how to link a package, which is installed where it is missing.

    Args:
        reference: the package.
        target: what is built for, a target triple or platform; None is the host.
        kind: which libraries; None takes what there is: static ones, and dynamic ones where there
            is no other.
        name: what build systems shall call it; None is the last part of its repository's name.
        lock: a lock file; what it says is linked, and nothing else.
        offline: make no request, but link what is installed.
        options: where the store lies, and how the registry is asked.

    Raises:
        OCIError: as `ocipkg_async.Client.link`.
    """
    with Client(options) as client:
        return client.link(
            reference, target=target, kind=kind, name=name, lock=lock, offline=offline
        )


def find_library(
    reference: str | Reference,
    name: str | None = None,
    *,
    target: str | Platform | None = None,
    lock: Path | LockFile | None = None,
    offline: bool = False,
    options: ClientOptions | None = None,
) -> Path:
    """Return the file of a dynamic library, for what loads it by its path, as cffi's ``dlopen``.

    Args:
        reference: the package.
        name: the library, ``foo`` for ``libfoo.so``; None is the package's only one, or the one
            that has the name of the package.
        target: what loads it; None is the host.
        lock: a lock file; what it says is used, and nothing else.
        offline: make no request, but use what is installed.
        options: where the store lies, and how the registry is asked.

    Raises:
        NotFoundError: the package has no such library.
        InvalidArgumentError: it has several, and none was named.
        OCIError: as `ocipkg_async.Client.link`.
    """
    linkage = link(
        reference, target=target, kind="dynamic", lock=lock, offline=offline, options=options
    )
    return file_of(linkage, name)


def file_of(linkage: Linkage, name: str | None) -> Path:
    """Return the file that a program loads, of the library of a name or else the only one.

    Raises:
        NotFoundError: there is no such library.
        InvalidArgumentError: there are several, and none was named.
    """
    there = {library.name: library for library in linkage.libraries}
    library = _chosen(there, linkage.name if name is None and len(there) > 1 else name)
    if library is not None:
        return library.runtime or library.path
    known = ", ".join(there) or "nothing"
    if name is None and there:
        raise InvalidArgumentError(
            f"{linkage.name} has several libraries, and which one is not said",
            hint=f"name one of: {known}",
        )
    raise NotFoundError(
        f"{linkage.name} has no dynamic library{f' {name!r}' if name else ''}",
        hint=f"it has: {known}",
    )


def _chosen(there: dict[str, Library], name: str | None) -> Library | None:
    return next(iter(there.values()), None) if name is None else there.get(name)
