"""Loading a library of a package into this process."""

import ctypes
import sys
from pathlib import Path

from ..client import ClientOptions
from ..errors import UnsupportedError
from ..native import identify, load_order
from ..spec import Platform, Reference
from ..store import LockFile
from .linking import file_of, link

# A 32-bit program on a 64-bit system.
_NARROW = {"amd64": "386", "arm64": "arm"}


def load_library(
    reference: str | Reference,
    name: str | None = None,
    *,
    mode: int = ctypes.DEFAULT_MODE,
    lock: Path | LockFile | None = None,
    offline: bool = False,
    options: ClientOptions | None = None,
) -> ctypes.CDLL:
    """Load a dynamic library of a package for ctypes; the package is installed where it is missing.

    Before anything is loaded the file is checked to be for this process. Libraries of the same
    package that it needs are loaded first. For cffi, hand what `find_library` returns to its
    ``dlopen``.

    Args:
        reference: the package.
        name: the library, ``foo`` for ``libfoo.so``; None is the package's only one, or the one
            that has the name of the package.
        mode: as of `ctypes.CDLL`.
        lock: a lock file; what it says is used, and nothing else.
        offline: make no request, but use what is installed.
        options: where the store lies, and how the registry is asked.

    Raises:
        NotFoundError: the package has no such library, or none for this process; the message says
            what they are for.
        InvalidArgumentError: it has several, and none was named.
        UnsupportedError: the system's loader refused it.
        OCIError: as `ocipkg_async.Client.link`.
    """
    process = _process()
    linkage = link(
        reference, target=process, kind="dynamic", lock=lock, offline=offline, options=options
    )
    *needed, library = load_order(linkage.path, file_of(linkage, name), process)
    for path in needed:
        _load(path, ctypes.DEFAULT_MODE)  # ctypes never unloads, so they stay
    return _load(library, mode)


def _process() -> Platform:
    """Return what this process runs code for."""
    host = Platform.host()
    if sys.maxsize > 2**32 or host.architecture not in _NARROW:
        return host
    return Platform(os=host.os, architecture=_NARROW[host.architecture]).normalised()


def _load(path: Path, mode: int) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path), mode=mode)
    except OSError as error:
        raise UnsupportedError(f"{path.name} cannot be loaded: {error}", hint=_why(path)) from error


def _why(path: Path) -> str:
    binary, python = identify(path), identify(Path(sys.executable))
    ours = python.libc if python is not None else None
    theirs = binary.libc if binary is not None else None
    if ours and theirs and ours != theirs:
        return f"it was linked with {theirs}, and this Python with {ours}; get a package for {ours}"
    needed = ", ".join(binary.needed) if binary is not None and binary.needed else "nothing"
    return (
        "install what is missing, or get a package that was built on a system as old as this one;"
        f" it needs: {needed}"
    )
