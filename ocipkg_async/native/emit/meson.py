"""A subproject for Meson, which overrides the dependency of the package's name.

After ``subproject('foo')``, ``dependency('foo')`` is this package. Meson looks for folders below
``subprojects`` when it starts: one that ``run_command`` makes needs a ``foo.wrap`` beside it, which
says ``directory = foo`` in its section ``[wrap-file]``.
"""

import re

from ..linkage import Linkage
from .arguments import compile_arguments, link_arguments
from .values import GENERATED, package_name, version_number


def meson_files(linkage: Linkage, *, rpath: bool = False) -> dict[str, str]:
    """Return the file for a folder below ``subprojects``, under its name.

    Args:
        linkage: what to link.
        rpath: programs find shared libraries in the package's folder.

    Raises:
        InvalidArgumentError: the name cannot be a dependency's.
        InvalidPackageError: a value cannot be expressed.
    """
    name = package_name(linkage)
    version = version_number(linkage)
    variable = re.sub(r"\W", "_", name, flags=re.ASCII)
    if variable[0].isdigit():
        variable = f"_{variable}"
    compiling, linking = compile_arguments(linkage), link_arguments(linkage, rpath=rpath)
    text = f"""\
# {GENERATED}; run it again instead of editing this.
project({_quoted(name)}{f", version: {_quoted(version)}" if version else ""})

{variable}_dep = declare_dependency(
  version: meson.project_version(),
  compile_args: {_list(compiling)},
  link_args: {_list(linking)},
)
meson.override_dependency({_quoted(name)}, {variable}_dep)
"""
    return {"meson.build": text}


def _list(texts: list[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
