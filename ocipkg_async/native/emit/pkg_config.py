r"""A ``.pc`` file for pkg-config, its two programs alike.

Both split values as a shell does, but differ in ``$$``: so each character that could mean something
has a backslash before it, and ``$$`` and ``${`` never stand side by side. In what they print, both
escape for the shell all but ``$``, ``(`` and ``)``, which makefiles are meant to see; Meson, which
uses no shell, gets these right nevertheless. So a shell that runs a makefile's recipe would expand
the ``$`` of a macro, which a registry had a hand in, and run ``$(...)``: such macros are refused.
"""

import re
from collections.abc import Iterator

from ...errors import InvalidPackageError
from ..linkage import Linkage
from .arguments import compile_arguments, library_arguments, system_arguments
from .values import (
    GENERATED,
    description_text,
    needs_system,
    package_name,
    path_text,
    version_number,
)

_SPECIAL = re.compile(r"[^A-Za-z0-9_./+:=@%,^\x80-\U0010ffff-]")


def pkg_config_files(linkage: Linkage, *, rpath: bool = False) -> dict[str, str]:
    """Return the file for a folder of ``PKG_CONFIG_PATH``, under its name.

    Args:
        linkage: what to link.
        rpath: programs find shared libraries in the package's folder.

    Raises:
        InvalidArgumentError: the name cannot be a file's.
        InvalidPackageError: a value cannot be expressed.
    """
    name = package_name(linkage)
    for define in linkage.defines:
        if "$" in define:
            raise InvalidPackageError(
                f"pkg-config cannot be told of the macro {define!r}: a shell would expand its '$'",
                hint="the package says so in its link metadata; ask its author",
            )
    own = list(_apart(linkage, library_arguments(linkage, rpath=rpath)))
    system = system_arguments(linkage)
    # Required of each file, and 0 satisfies no condition.
    fields = {
        "Name": name,
        "Description": _prose(description_text(linkage)),
        "Version": version_number(linkage) or "0",
        "Cflags": _words(compile_arguments(linkage)),
        "Libs": _words(own + system if needs_system(linkage) else own),
        "Libs.private": "" if needs_system(linkage) else _words(system),
    }
    lines = [f"# {GENERATED}; run it again instead of editing this."]
    lines += [f"{field}: {value}" for field, value in fields.items() if value]
    return {f"{name}.pc": "".join(f"{line}\n" for line in lines)}


def _apart(linkage: Linkage, arguments: list[str]) -> Iterator[str]:
    """Put a ``-L`` before each argument that has no letter of its own, such as a path.

    pkgconf makes one argument of several such, with bare spaces where it escapes those of one.
    """
    for argument in arguments:
        if argument == "-Xlinker":
            raise InvalidPackageError(
                f"an rpath with a comma cannot be said to pkg-config: {linkage.path}",
                hint="leave --rpath out, or give the store another folder with --store",
            )
        if not argument.startswith(("-L", "-l")):
            yield f"-L{path_text(linkage.search[0])}"
        yield argument


def _words(arguments: list[str]) -> str:
    return " ".join(_SPECIAL.sub(lambda match: f"\\{match[0]}", one) for one in arguments)


def _prose(text: str) -> str:
    """Return text that is not split: variables and comments are looked for, nothing can hide them."""
    return text.replace("\\", "").replace("$", "").replace("#", "\\#")
