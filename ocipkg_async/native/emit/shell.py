"""What a POSIX shell takes: variables for search paths, and words for a compiler's command line."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from ...errors import InvalidPackageError
from ..linkage import Linkage
from .arguments import compile_arguments, link_arguments
from .values import path_text, runtime_folders

_RUNTIME_VARIABLES = {
    "darwin": "DYLD_LIBRARY_PATH",
    "ios": "DYLD_LIBRARY_PATH",
    "windows": "PATH",
}


def environment(linkage: Linkage) -> Mapping[str, tuple[Path, ...]]:
    """Return the variables with search paths for compilers and programs, and the folders of each."""
    variables = {
        "LIBRARY_PATH": linkage.search,
        "CPATH": linkage.include,
        _RUNTIME_VARIABLES.get(linkage.platform.os, "LD_LIBRARY_PATH"): runtime_folders(linkage),
    }
    return {name: folders for name, folders in variables.items() if folders}


def environment_lines(linkage: Linkage, *, separator: str = os.pathsep) -> str:
    """Return lines for a shell's ``eval``, which put the folders before those that are there.

    In ``PATH`` they come last: a shell finds commands by it, and a package must not replace any.
    Macros and link order cannot be said in variables.

    Args:
        linkage: what to link.
        separator: between folders in a variable, on the host.

    Raises:
        InvalidPackageError: a folder cannot be expressed.
    """
    lines: list[str] = []
    for name, folders in environment(linkage).items():
        texts = [path_text(folder) for folder in folders]
        for text in texts:
            # Loaders of Linux end folders at semicolons too.
            for end in (separator, ";"):
                if end not in text:
                    continue
                raise InvalidPackageError(
                    f"{text} has {end!r}, which ends a folder in {name}",
                    hint="give the store another folder with --store",
                )
        value = shlex.quote(separator.join(texts))
        # Quoted apart: shells split the expansion, and an empty folder would be the current one.
        if name == "PATH":
            lines.append(f'export PATH="${{PATH:+$PATH{separator}}}"{value}\n')
        else:
            lines.append(f'export {name}={value}"${{{name}:+{separator}${name}}}"\n')
    return "".join(lines)


def shell_words(linkage: Linkage, *, rpath: bool = False) -> str:
    """Return the arguments for a compiler, in one line, quoted for a shell.

    Where no folder has a space or another special character, ``cc main.c $(...)`` splits them
    rightly; ``eval "cc main.c $(...)"`` is right with any.

    Args:
        linkage: what to link.
        rpath: programs find shared libraries in the package's folder.

    Raises:
        InvalidPackageError: a value cannot be expressed.
    """
    return shlex.join([*compile_arguments(linkage), *link_arguments(linkage, rpath=rpath)]) + "\n"
