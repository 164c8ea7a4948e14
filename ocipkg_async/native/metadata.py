"""What a package says about linking it: the ``link`` object of its config, the table of its TOML.

ocipkg ignores further keys of the config (ocipkg.md section 4), so its readers are not disturbed.
What is read here comes from a registry and ends in files that build systems and shells run: names
have a form that none of them takes for anything else, and no value has a line break.
"""

import re
from collections.abc import Callable
from typing import Any, Self, cast

import msgspec

from ..errors import InvalidDocumentError
from ..spec import Platform
from ..spec.decoding import convert, decode_json

# `stdc++`, `boost_system-vc140-mt`; no option, no path, no file (`-l:libfoo.a`).
_LIBRARY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}", re.ASCII)
_FRAMEWORK = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}", re.ASCII)
_DEFINE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}(?:=.{0,256})?", re.ASCII)
# Folders are found on disk, so this only has to hold back what means something to build systems.
_FOLDER = re.compile(r"[\w.+@=~()-][\w.+@=~() -]{0,254}")
# Far more than any library needs, and few enough for a command line.
_MOST_VALUES = 256
_MOST_PARTS = 32
_HINT = "the package says so in its link metadata; ask its author to correct it"


class LinkMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """How a package wants to be linked; all of it is optional, and what is left out is found out.

    Making one raises `InvalidDocumentError` for a value that is not of its form.

    Attributes:
        libraries: names of its libraries in link order, each before what it needs: ``foo`` for
            ``libfoo.a``. Others of the package are not linked.
        system_libraries: names of libraries of the system that those need, such as ``m``.
        frameworks: names of Apple's frameworks that those need.
        include: folders with headers, as slash-separated paths in the package; ``.`` is its root.
        defines: preprocessor macros that users of the headers need, ``NAME`` or ``NAME=VALUE``,
            printable.
    """

    libraries: tuple[str, ...] = ()
    system_libraries: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("libraries", self.libraries, is_library_name, "the name of a library, as foo")
        _check("system libraries", self.system_libraries, is_library_name, "a library, as m")
        _check("frameworks", self.frameworks, is_framework_name, "a framework, as Security")
        _check("include", self.include, _is_folder, "a folder in the package, as include/foo")
        _check("defines", self.defines, _is_define, "a macro, as FOO or FOO=1")

    @classmethod
    def from_config(cls, raw: bytes) -> Self:
        """Read it from a package's config; a config that says nothing gives the default.

        Raises:
            InvalidDocumentError: the config is no JSON object, or a value is not of its form.
        """
        found = _member(raw, "link")
        if found is None:
            return cls()
        try:
            return convert(found, cls, what="link metadata")
        except InvalidDocumentError as error:
            raise InvalidDocumentError(str(error), hint=_HINT) from error


def packed_platform(raw: bytes) -> Platform | None:
    """Return what a package is for, as its config says; None if it does not.

    Raises:
        InvalidDocumentError: the config is no JSON object, or says it in another form.
    """
    found = _member(raw, "platform")
    return None if found is None else convert(found, Platform, what="platform").normalised()


def _member(raw: bytes, key: str) -> Any:
    tree = decode_json(raw, what="config")
    if not isinstance(tree, dict):
        raise InvalidDocumentError("the config is not a JSON object")
    return cast("dict[str, Any]", tree).get(key)


def is_library_name(name: str) -> bool:
    """Return whether build systems can be told to link a library of this name."""
    return _LIBRARY.fullmatch(name) is not None and ".." not in name


def is_framework_name(name: str) -> bool:
    """Return whether build systems can be told to link a framework of this name."""
    return _FRAMEWORK.fullmatch(name) is not None


def is_folder_name(name: str) -> bool:
    """Return whether build systems can be told of a folder of this name."""
    return _FOLDER.fullmatch(name) is not None and name not in {".", ".."} and name[-1] != " "


def _is_folder(path: str) -> bool:
    parts = path.split("/")
    return path == "." or (len(parts) <= _MOST_PARTS and all(map(is_folder_name, parts)))


def _is_define(define: str) -> bool:
    # Whoever writes it quotes it; no format of lines has a place for control characters.
    return _DEFINE.fullmatch(define) is not None and define.isprintable()


def _check(
    what: str, values: tuple[str, ...], is_valid: Callable[[str], object], form: str
) -> None:
    if len(values) > _MOST_VALUES:
        raise InvalidDocumentError(
            f"the {what} are {len(values)}, more than {_MOST_VALUES}", hint=_HINT
        )
    for value in values:
        if not is_valid(value):
            raise InvalidDocumentError(
                f"{what}: {value[:100]!a} is not {form}", hint=f"give {form}"
            )
