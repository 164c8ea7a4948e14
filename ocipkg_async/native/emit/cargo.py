"""Lines for Cargo, which a build script prints.

The form with one colon is understood by every Cargo. What a build script says about arguments of
the linker, the rpath here, holds for its own crate only and not for crates that depend on it.
"""

import os
from pathlib import Path

from ...errors import InvalidPackageError
from ..linkage import Library, Linkage
from .values import (
    conventional,
    library_name,
    needs_system,
    path_text,
    rpath_arguments,
)


def cargo_lines(
    linkage: Linkage,
    *,
    rpath: bool = False,
    lock: Path | None = None,
    separator: str = os.pathsep,
) -> str:
    """Return the lines for a build script.

    A crate with ``links = "foo"`` hands ``DEP_FOO_ROOT`` and ``DEP_FOO_INCLUDE`` to those that
    depend on it; the latter is a list as `std::env::split_paths` reads it.

    Args:
        linkage: what to link.
        rpath: programs find shared libraries in the package's folder.
        lock: the lock file that was obeyed, whose change is one of the build's.
        separator: between folders in a list, on the host.

    Raises:
        InvalidPackageError: a value cannot be expressed.
    """
    lines = [f"rustc-link-search=native={path_text(folder)}" for folder in linkage.search]
    lines += [f"rustc-link-lib={_library(library, linkage)}" for library in linkage.libraries]
    if needs_system(linkage):
        lines += [f"rustc-link-lib=dylib={library_name(name)}" for name in linkage.system_libraries]
        lines += [f"rustc-link-lib=framework={library_name(name)}" for name in linkage.frameworks]
    if rpath:
        lines += [
            f"rustc-link-arg={argument}" for group in rpath_arguments(linkage) for argument in group
        ]
    lines.append(f"root={path_text(linkage.path)}")
    if linkage.include:
        lines.append(f"include={_list(linkage, separator)}")
    # Cargo looks at all that is below: a package that was removed is fetched again.
    lines.append(f"rerun-if-changed={path_text(linkage.path)}")
    if lock is not None:
        lines.append(f"rerun-if-changed={path_text(lock)}")
    lines.append("rerun-if-env-changed=OCIPKG_STORE")
    return "".join(f"cargo:{line}\n" for line in lines)


def _library(library: Library, linkage: Linkage) -> str:
    kind = "static" if library.kind == "static" else "dylib"
    if conventional(library, linkage):
        return f"{kind}={library_name(library.name)}"
    return f"{kind}:+verbatim={library_name(library.path.name)}"


def _list(linkage: Linkage, separator: str) -> str:
    folders = [path_text(folder) for folder in linkage.include]
    for folder in folders:
        if separator in folder:
            raise InvalidPackageError(
                f"{folder} has {separator!r}, which ends a folder in a list of them",
                hint="give the store another folder with --store",
            )
    return separator.join(folders)
