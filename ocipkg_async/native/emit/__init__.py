"""What build systems read: a `Linkage` as text for each of them. Nothing here touches a disk."""

from .arguments import compile_arguments, link_arguments
from .cargo import cargo_lines
from .cmake import cmake_files
from .document import linkage_document
from .meson import meson_files
from .pkg_config import pkg_config_files
from .shell import environment, environment_lines, shell_words
from .values import GENERATED

__all__ = [
    "GENERATED",
    "cargo_lines",
    "cmake_files",
    "compile_arguments",
    "environment",
    "environment_lines",
    "link_arguments",
    "linkage_document",
    "meson_files",
    "pkg_config_files",
    "shell_words",
]
