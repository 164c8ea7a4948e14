"""Linking and loading packages from scripts that build: ``setup.py``, ``conftest.py``, ctypes, cffi.

Example:
    ::

        from ocipkg_async.link import link, link_arguments, load_library

        print(link_arguments(link("ghcr.io/org/foo:1.2")))
        print(load_library("ghcr.io/org/foo:1.2").foo_version())

All calls block. Inside an event loop use `ocipkg_async.Client.link`.
"""

from ..native import Library, LibraryKind, Linkage, LinkMetadata
from ..native.emit import (
    cargo_lines,
    cmake_files,
    compile_arguments,
    environment,
    environment_lines,
    link_arguments,
    linkage_document,
    meson_files,
    pkg_config_files,
    shell_words,
)
from .linking import find_library, link
from .loading import load_library

__all__ = [
    "Library",
    "LibraryKind",
    "LinkMetadata",
    "Linkage",
    "cargo_lines",
    "cmake_files",
    "compile_arguments",
    "environment",
    "environment_lines",
    "find_library",
    "link",
    "link_arguments",
    "linkage_document",
    "load_library",
    "meson_files",
    "pkg_config_files",
    "shell_words",
]
