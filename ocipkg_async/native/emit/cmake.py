"""A config-file package for CMake's ``find_package``, with an imported target ``foo::foo``."""

from collections.abc import Iterator
from itertools import pairwise

from ...errors import InvalidPackageError
from ...spec import Platform
from ..linkage import Library, Linkage
from .values import (
    GENERATED,
    checked_text,
    conventional,
    library_name,
    macro,
    needs_system,
    package_name,
    path_text,
    version_number,
)

_HEAD = f"# {GENERATED}; run it again instead of editing this.\n"
_SYSTEMS = {
    "android": "Android",
    "darwin": "Darwin",
    "freebsd": "FreeBSD",
    "ios": "iOS",
    "linux": "Linux",
    "netbsd": "NetBSD",
    "openbsd": "OpenBSD",
    "windows": "Windows",
}
# What CMake calls the other processor; only these two are told apart, for none runs the other's code.
_OTHER_PROCESSORS = {"amd64": "^(aarch64|arm64)$", "arm64": "^(x86_64|amd64|x64)$"}
# There CMake may name the host's processor, not the one that is built for.
_UNTOLD = frozenset({"darwin", "ios", "windows"})


def cmake_files(linkage: Linkage) -> dict[str, str]:
    """Return the files for a folder of ``CMAKE_PREFIX_PATH``, under their names.

    One library is the target ``foo::foo`` itself; several are ``foo::foo-NAME``, and ``foo::foo``
    stands for all of them in link order. Programs that CMake builds find shared libraries.

    Raises:
        InvalidArgumentError: the name cannot be a target's.
        InvalidPackageError: a value cannot be expressed.
    """
    name = package_name(linkage)
    # Both find_package(Foo) and find_package(foo) look for a file of small letters.
    stem = f"{name.lower()}-config"
    return {
        f"{stem}.cmake": _HEAD + "".join(f"{line}\n" for line in _config(linkage, name)),
        f"{stem}-version.cmake": _HEAD + _version(linkage),
    }


def _config(linkage: Linkage, name: str) -> Iterator[str]:
    whole = f"{name}::{name}"
    yield f"if(TARGET {whole})\n  return()\nendif()\n"
    libraries = linkage.libraries
    targets = (
        [whole]
        if len(libraries) == 1
        else [f"{whole}-{library_name(library.name)}" for library in libraries]
    )
    for target, library in zip(targets, libraries, strict=True):
        yield f"add_library({target} {'STATIC' if library.kind == 'static' else 'SHARED'} IMPORTED)"
        for key, value in _files(library, linkage):
            yield from _property(target, key, [value])
    # Each before what it needs, also where a project links them beside other libraries.
    for target, after in pairwise(targets):
        yield from _property(target, "INTERFACE_LINK_LIBRARIES", [after])
    if whole not in targets:
        yield f"add_library({whole} INTERFACE IMPORTED)"
        yield from _property(whole, "INTERFACE_LINK_LIBRARIES", targets)
    if needs_system(linkage):
        system = [library_name(one) for one in linkage.system_libraries]
        system += [f"-framework {library_name(one)}" for one in linkage.frameworks]
        yield from _property(targets[-1], "INTERFACE_LINK_LIBRARIES", system)
    folders = [path_text(folder) for folder in linkage.include]
    defines = [macro(define) for define in linkage.defines]
    # Of every library, since a project may link only some.
    for target in dict.fromkeys([whole, *targets]):
        yield from _property(target, "INTERFACE_INCLUDE_DIRECTORIES", folders)
        yield from _property(target, "INTERFACE_COMPILE_DEFINITIONS", defines)


def _files(library: Library, linkage: Linkage) -> Iterator[tuple[str, str]]:
    """Return the properties that say where a library is."""
    path = path_text(library.path)
    if library.kind == "static":
        yield "IMPORTED_LOCATION", path
    elif linkage.platform.os == "windows":
        yield "IMPORTED_IMPLIB", path
        if library.runtime is not None:
            yield "IMPORTED_LOCATION", path_text(library.runtime)
    else:
        if "," in path:
            raise _inexpressible(",", path)  # CMake itself makes it an rpath, with commas around
        yield "IMPORTED_LOCATION", path
        if conventional(library, linkage):
            # By name: the path of a library that has no SONAME would become part of the program.
            yield "IMPORTED_NO_SONAME", "TRUE"


def _property(target: str, key: str, values: list[str]) -> Iterator[str]:
    """Return the command that adds values to a property, if there are any."""
    if not values:
        return
    for value in values:
        # Variables of make, and ends of values in a list, at too many levels to escape them.
        for text in ("$(", ";"):
            if text in value:
                raise _inexpressible(text, value)
        if value.count("[") != value.count("]"):
            raise _inexpressible("[", value)  # a list does not end between brackets
    if key.startswith("INTERFACE_"):
        # These hold generator expressions, which know no other way to say this.
        values = [value.replace("$<", "$<1:$><") for value in values]
    added = "".join(f" {_argument(value)}" for value in values)
    yield f"set_property(TARGET {target} APPEND PROPERTY {key}{added})"


def _inexpressible(text: str, value: str) -> InvalidPackageError:
    return InvalidPackageError(
        f"CMake cannot be told {value!r}, for the {text!r} in it",
        hint="where it is a path, give the store another folder with --store",
    )


def _argument(value: str) -> str:
    """Return a value as an argument in which nothing is expanded."""
    level = 1
    while f"]{'=' * level}]" in f"{value}]":
        level += 1
    return f"[{'=' * level}[{value}]{'=' * level}]"


def _version(linkage: Linkage) -> str:
    version = version_number(linkage)
    platform = linkage.platform
    text = f"""\
set(PACKAGE_VERSION "{version}")
set(PACKAGE_VERSION_EXACT FALSE)
set(PACKAGE_VERSION_COMPATIBLE FALSE)
"""
    if version:
        text += """\
if(NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION_RANGE)
  if((PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "INCLUDE"
      AND PACKAGE_VERSION VERSION_GREATER PACKAGE_FIND_VERSION_MAX)
      OR (PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "EXCLUDE"
      AND NOT PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION_MAX))
    set(PACKAGE_VERSION_COMPATIBLE FALSE)
  endif()
elseif(PACKAGE_FIND_VERSION AND PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
"""
    return text + "".join(_unsuitable(condition, platform) for condition in _conditions(platform))


def _conditions(platform: Platform) -> Iterator[str]:
    """Return the conditions under which a build is for another platform than the package."""
    system = _SYSTEMS.get(platform.os)
    if system:
        yield f'CMAKE_SYSTEM_NAME AND NOT CMAKE_SYSTEM_NAME STREQUAL "{system}"'
    if platform.os not in _UNTOLD:
        pattern = _OTHER_PROCESSORS.get(platform.architecture)
        if pattern:
            yield f'CMAKE_SYSTEM_PROCESSOR MATCHES "{pattern}"'


def _unsuitable(condition: str, platform: Platform) -> str:
    text = checked_text(f" for {platform.os}/{platform.architecture}", "the platform")
    return f"""\
if({condition})
  string(APPEND PACKAGE_VERSION {_argument(text)})
  set(PACKAGE_VERSION_UNSUITABLE TRUE)
  return()
endif()
"""
