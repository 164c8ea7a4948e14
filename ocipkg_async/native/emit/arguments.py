"""Arguments for compilers that take gcc's options, which clang and MinGW do too."""

from ..linkage import Linkage
from .values import (
    conventional,
    library_name,
    macro,
    needs_system,
    path_text,
    rpath_arguments,
)


def compile_arguments(linkage: Linkage) -> list[str]:
    """Return the arguments for compiling against the headers.

    Raises:
        InvalidPackageError: a value cannot be expressed.
    """
    return [
        *(f"-I{path_text(folder)}" for folder in linkage.include),
        *(f"-D{macro(define)}" for define in linkage.defines),
    ]


def link_arguments(linkage: Linkage, *, rpath: bool = False) -> list[str]:
    """Return the arguments for linking, which come behind the object files.

    Args:
        linkage: what to link.
        rpath: programs find shared libraries in the package's folder.

    Raises:
        InvalidPackageError: a value cannot be expressed.
    """
    system = system_arguments(linkage) if needs_system(linkage) else []
    return [*library_arguments(linkage, rpath=rpath), *system]


def library_arguments(linkage: Linkage, *, rpath: bool) -> list[str]:
    """Return the arguments for the package's own libraries."""
    arguments: list[str] = []
    for library in linkage.libraries:
        if library.kind == "static" or linkage.platform.os == "windows":
            # By its path: -l prefers a shared library of the same name.
            arguments.append(path_text(library.path))
            continue
        folder = f"-L{path_text(library.path.parent)}"
        if folder not in arguments:
            arguments.append(folder)
        # By name: the path of a library that has no SONAME would become part of the program.
        if conventional(library, linkage):
            arguments.append(f"-l{library_name(library.name)}")
        elif linkage.platform.os in {"darwin", "ios"}:
            arguments.append(path_text(library.path))
        else:
            arguments.append(f"-l:{library_name(library.path.name)}")
    if rpath:
        arguments += [one for group in rpath_arguments(linkage) for one in group]
    return arguments


def system_arguments(linkage: Linkage) -> list[str]:
    """Return the arguments for what the package's libraries need of the system."""
    return [
        *(f"-l{library_name(name)}" for name in linkage.system_libraries),
        *(
            argument
            for name in linkage.frameworks
            for argument in ("-framework", library_name(name))
        ),
    ]
