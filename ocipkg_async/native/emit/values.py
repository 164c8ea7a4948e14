"""Values of a linkage as every format takes them: checked, since a registry had a hand in them."""

import re
import unicodedata
from pathlib import Path

from ...errors import InvalidArgumentError, InvalidPackageError
from ..linkage import Library, Linkage

GENERATED = "Written by ocipkg-async link"
"""How every file that is written begins, behind its comment sign: such a file may be replaced."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)
_LIBRARY = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*", re.ASCII)
_MACRO = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NUMBERED = re.compile(r"v?(?P<version>[0-9][A-Za-z0-9._+~-]*)", re.ASCII)
_MOST_CHARACTERS = 200
# Control characters, lone surrogates (of names that are no Unicode), and ends of lines and
# paragraphs: no format of lines can hold them all.
_UNWRITABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def checked_text(text: str, what: str) -> str:
    """Return text that fits on one line.

    Raises:
        InvalidPackageError: it does not.
    """
    if any(unicodedata.category(char) in _UNWRITABLE for char in text):
        raise InvalidPackageError(
            f"{what} {text!r} has a line break, a control character or bytes that are no text, which"
            " a build system cannot be told",
            hint="where it is a path, give the store another folder with --store",
        )
    return text


def path_text(path: Path) -> str:
    """Return a path on one line.

    Raises:
        InvalidPackageError: it has characters that no line can have.
    """
    return checked_text(str(path), "the path")


def package_name(linkage: Linkage) -> str:
    """Return what a package is called in names of files and targets.

    Raises:
        InvalidArgumentError: the name has other characters than letters, digits and ``_.+-``.
    """
    return _checked(linkage.name, _NAME)


def _checked(name: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(name):
        raise InvalidArgumentError(
            f"{name[:_MOST_CHARACTERS]!r} is not a name for build systems",
            hint="give one of letters, digits, '_', '.', '+' and '-' with --name",
        )
    return name


def library_name(name: str) -> str:
    """Return the name of a library or framework, which must not be taken for an option.

    Raises:
        InvalidPackageError: it has other characters than names of libraries have.
    """
    if not _LIBRARY.fullmatch(name):
        raise InvalidPackageError(
            f"{name[:_MOST_CHARACTERS]!r} is not the name of a library",
            hint="the package says so in its link metadata; ask its author",
        )
    return name


def macro(define: str) -> str:
    """Return a macro, ``NAME`` or ``NAME=VALUE``.

    Raises:
        InvalidPackageError: it is none, or has a line break.
    """
    if not _MACRO.fullmatch(define.partition("=")[0]):
        raise InvalidPackageError(
            f"{define[:_MOST_CHARACTERS]!r} is not a macro, NAME or NAME=VALUE",
            hint="the package says so in its link metadata; ask its author",
        )
    return checked_text(define, "the macro")


def version_number(linkage: Linkage) -> str:
    """Return the version without the ``v`` of tags, or an empty text for what is no number."""
    match = _NUMBERED.fullmatch(linkage.version)
    return match["version"] if match and len(linkage.version) <= _MOST_CHARACTERS else ""


def description_text(linkage: Linkage) -> str:
    """Return the description on one line, or the name where there is none."""
    text = "".join(
        char if unicodedata.category(char) not in _UNWRITABLE else " "
        for char in linkage.description
    )
    return " ".join(text.split())[:_MOST_CHARACTERS] or linkage.name


def conventional(library: Library, linkage: Linkage) -> bool:
    """Return whether linkers find a library's file by its name, as ``-l`` gives it."""
    names: tuple[str, ...]
    if library.kind == "static":
        names = ("lib{}.a",)
    elif linkage.platform.os in {"darwin", "ios"}:
        names = ("lib{}.dylib", "lib{}.tbd")
    else:
        names = ("lib{}.so",)
    if linkage.platform.os == "windows":
        names = ("{}.lib", "lib{}.a" if library.kind == "static" else "lib{}.dll.a")
    return library.path.name in {name.format(library.name) for name in names}


def needs_system(linkage: Linkage) -> bool:
    """Return whether who links must name the system's libraries: shared ones bring their own."""
    return any(library.kind == "static" for library in linkage.libraries)


def runtime_folders(linkage: Linkage) -> tuple[Path, ...]:
    """Return the folders that programs load libraries from, each once."""
    return tuple(
        dict.fromkeys(
            (library.runtime or library.path).parent
            for library in linkage.libraries
            if library.kind == "dynamic"
        )
    )


def rpath_arguments(linkage: Linkage) -> list[list[str]]:
    """Return what tells a linker where programs find the libraries; Windows has no such thing."""
    if linkage.platform.os == "windows":
        return []
    return [
        # The compiler splits what follows -Wl at commas.
        ["-Xlinker", "-rpath", "-Xlinker", text] if "," in text else [f"-Wl,-rpath,{text}"]
        for text in map(path_text, runtime_folders(linkage))
    ]
