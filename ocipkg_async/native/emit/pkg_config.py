r"""A ``.pc`` file for pkg-config, its two programs alike.

Both split values as a shell does, but differ in ``$$``: so each character that could mean something
has a backslash before it, and ``$$`` and ``${`` never stand side by side. In what they print, both
escape for the shell all but ``$``, ``(`` and ``)``, which makefiles are meant to see; Meson and
CMake get these right nevertheless.
"""

import re

from ..linkage import Linkage
from .arguments import compile_arguments, library_arguments, system_arguments
from .values import (
    GENERATED,
    description_text,
    needs_system,
    package_name,
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
    own = library_arguments(linkage, rpath=rpath)
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


def _words(arguments: list[str]) -> str:
    return " ".join(_SPECIAL.sub(lambda match: f"\\{match[0]}", one) for one in arguments)


def _prose(text: str) -> str:
    """Return text that is not split: variables and comments are looked for, nothing can hide them."""
    return text.replace("\\", "").replace("$", "").replace("#", "\\#")
